/** Tokens in memory that answer as SoftHSM does; a call can be made to fail once, before or after it acted. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { OperatedToken } from "../../src/cloudhsm/context.ts";
import { CKR, Pkcs11Error } from "../../src/hsm/errors.ts";
import type { KeyObject, Role } from "../../src/hsm/cluster-token.ts";

const FILE = "token.json";

type Verb =
  | "initialize"
  | "verify"
  | "changePin"
  | "initUserPin"
  | "listKeys"
  | "destroyKey"
  | "backup"
  | "restore"
  | "remove";

export class FakeTokens {
  readonly modulePath = "/nowhere/libfake.so";
  readonly #tokens = new Map<string, FakeToken>();

  of(clusterId: string): FakeToken {
    const token = this.#tokens.get(clusterId) ?? new FakeToken(clusterId);
    this.#tokens.set(clusterId, token);
    return token;
  }
}

export class FakeToken implements OperatedToken {
  readonly clusterId: string;
  readonly directory = "/nowhere";
  readonly pins = new Map<"so" | "user", string>();
  readonly calls: Verb[] = [];
  keys: KeyObject[] = [];
  /** The next call of this verb fails. */
  fault: { verb: Verb; when: "before" | "after"; error: Error } | undefined;

  constructor(clusterId: string) {
    this.clusterId = clusterId;
  }

  get label(): string {
    return this.clusterId;
  }

  present(): boolean {
    return this.pins.has("so");
  }

  initialize(soPin: string): Promise<string> {
    return this.#act("initialize", () => {
      if (this.present()) throw new Pkcs11Error("argument", 0, "C_InitToken");
      this.pins.set("so", soPin);
      return "0123456789abcdef";
    });
  }

  verify(role: "so" | "user", pin: string): Promise<void> {
    return this.#act("verify", () => this.#check(role, pin));
  }

  changePin(role: "so" | "user", current: string, next: string): Promise<void> {
    return this.#act("changePin", () => {
      this.#check(role, current);
      this.pins.set(role, next);
    });
  }

  initUserPin(soPin: string, userPin: string): Promise<void> {
    return this.#act("initUserPin", () => {
      this.#check("so", soPin);
      this.pins.set("user", userPin);
    });
  }

  listKeys(userPin: string): Promise<readonly KeyObject[]> {
    return this.#act("listKeys", () => {
      this.#check("user", userPin);
      return this.keys;
    });
  }

  destroyKey(userPin: string, id: string, label: string): Promise<void> {
    return this.#act("destroyKey", () => {
      this.#check("user", userPin);
      this.keys = this.keys.filter((key) => key.id !== id || key.label !== label);
    });
  }

  /** Laid out as a real one is: the token's own directory in the backup's. */
  backup(to: string): Promise<void> {
    return this.#act("backup", () => {
      if (!this.present()) throw new Pkcs11Error("token", CKR.TOKEN_NOT_PRESENT, "token directory");
      mkdirSync(join(to, "token"), { recursive: true });
      writeFileSync(join(to, "token", FILE), JSON.stringify({ pins: [...this.pins], keys: this.keys }));
    });
  }

  restore(from: string): Promise<void> {
    return this.#act("restore", () => {
      const saved = JSON.parse(readFileSync(join(from, "token", FILE), "utf8")) as {
        pins: [Role, string][];
        keys: KeyObject[];
      };
      for (const [role, pin] of saved.pins) this.pins.set(role, pin);
      this.keys = saved.keys;
    });
  }

  remove(): Promise<void> {
    return this.#act("remove", () => this.pins.clear());
  }

  #check(role: "so" | "user", pin: string): void {
    const known = this.pins.get(role);
    if (known === undefined) throw new Pkcs11Error("token", CKR.USER_PIN_NOT_INITIALIZED, "C_Login");
    if (known !== pin) throw new Pkcs11Error("token", CKR.PIN_INCORRECT, "C_Login");
  }

  async #act<T>(verb: Verb, body: () => T): Promise<T> {
    await Promise.resolve();
    this.calls.push(verb);
    const fault = this.fault?.verb === verb ? this.fault : undefined;
    if (fault !== undefined) this.fault = undefined;
    if (fault?.when === "before") throw fault.error;
    const result = body();
    if (fault !== undefined) throw fault.error;
    return result;
  }
}
