/**
 * Management verbs of one token through graphene-pk11 and pkcs11js, inside the HSM worker.
 * Everything here blocks the worker for as long as the token takes; data-key verbs are in
 * `crypto.ts`.
 *
 * pkcs11js is used directly where graphene cannot: C_Initialize with CKF_OS_LOCKING_OK
 * (without it SoftHSM runs without mutexes), C_InitToken (graphene's throws after success),
 * CKA_ALLOWED_MECHANISMS, and searches that fetch many handles at once.
 */
import graphene from "graphene-pk11";
import pkcs11 from "pkcs11js";
import { Pkcs11Error } from "./errors.ts";
import type { KeyObject, Role } from "./manage.ts";
import { attributesOf, identityOf } from "./attributes.ts";

const AES_KEY_BYTES = 32;
const HANDLES_PER_FIND = 1000;
const TOKEN_LABEL_BYTES = 32;

type Handle = Buffer;

/** Run a PKCS#11 call, turning pkcs11js's errors into ours. */
export function pkcs11Call<T>(fn: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw asPkcs11Error(error, fn);
  }
}

/** pkcs11js throws Pkcs11Error{code}, or a plain Error "CKR_X:16" for a few functions. */
function asPkcs11Error(error: unknown, fn: string): Error {
  if (error instanceof Pkcs11Error) return error;
  if (!(error instanceof Error)) return new Pkcs11Error("worker", 0, fn);
  const numbered = /:(\d+)$/.exec(error.message)?.[1];
  const code = "code" in error && typeof error.code === "number" ? error.code : Number(numbered ?? NaN);
  if (Number.isInteger(code)) return new Pkcs11Error("token", code, fn);
  return error;
}

/** The AES-256 key template; first the cheap attributes that end SoftHSM's comparisons early. */
function keyTemplate(id: string, label: string): pkcs11.Template {
  const gcm = Buffer.alloc(8);
  gcm.writeBigUInt64LE(BigInt(pkcs11.CKM_AES_GCM));
  return [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_AES },
    { type: pkcs11.CKA_TOKEN, value: true },
    { type: pkcs11.CKA_PRIVATE, value: true },
    { type: pkcs11.CKA_SENSITIVE, value: true },
    { type: pkcs11.CKA_EXTRACTABLE, value: false },
    { type: pkcs11.CKA_ENCRYPT, value: true },
    { type: pkcs11.CKA_DECRYPT, value: true },
    { type: pkcs11.CKA_WRAP, value: false },
    { type: pkcs11.CKA_UNWRAP, value: false },
    { type: pkcs11.CKA_DERIVE, value: false },
    { type: pkcs11.CKA_SIGN, value: false },
    { type: pkcs11.CKA_VERIFY, value: false },
    { type: pkcs11.CKA_ALLOWED_MECHANISMS, value: gcm },
    { type: pkcs11.CKA_VALUE_LEN, value: AES_KEY_BYTES },
    { type: pkcs11.CKA_LABEL, value: Buffer.from(label) },
    { type: pkcs11.CKA_ID, value: Buffer.from(id, "latin1") },
  ];
}

/** The PKCS#11 module of this process: loaded once, initialised once, finalised at exit. */
export class TokenModule {
  readonly #module: graphene.Module;

  /** Loads the shared library; C_Initialize comes later, when the worker knows its cluster. */
  constructor(path: string) {
    this.#module = graphene.Module.load(path);
  }

  get lib(): pkcs11.PKCS11 {
    return this.#module.lib;
  }

  initialize(): void {
    pkcs11Call("C_Initialize", () => this.lib.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK }));
  }

  finalize(): void {
    pkcs11Call("C_Finalize", () => this.#module.finalize());
  }

  /** Find a token by label and, when known, serial; slot ids change with every C_Initialize. */
  findSlot(label: string, serial: string | null): graphene.Slot {
    const slots = pkcs11Call("C_GetSlotList", () => this.#module.getSlots(true));
    for (let index = 0; index < slots.length; index += 1) {
      const slot = slots.items(index);
      const info = tokenInfo(this.lib, slot);
      if (info?.label === label && (serial === null || info.serial === serial)) return slot;
    }
    throw new Pkcs11Error("token", 0xe0, "C_GetSlotList");
  }

  /** C_InitToken on the free slot. @returns the new token's serial number */
  initToken(label: string, soPin: string): string {
    const free = this.lib.C_GetSlotList(false).at(-1);
    if (free === undefined) throw new Pkcs11Error("token", 0x3, "C_GetSlotList");
    // SoftHSM reads 32 bytes whatever the label's length is, and pkcs11js does not pad.
    const padded = label.padEnd(TOKEN_LABEL_BYTES);
    pkcs11Call("C_InitToken", () => this.lib.C_InitToken(free, soPin, padded));
    return pkcs11Call("C_GetTokenInfo", () => this.lib.C_GetTokenInfo(free)).serialNumber.trim();
  }
}

/** Undefined for a token that cannot be asked: one dead token must not hide the others. */
function tokenInfo(lib: pkcs11.PKCS11, slot: graphene.Slot): { label: string; serial: string } | undefined {
  try {
    const info = lib.C_GetTokenInfo(slot.handle);
    return { label: info.label.trim(), serial: info.serialNumber.trim() };
  } catch {
    return undefined;
  }
}

/** One opened token: the read/write session of the management verbs. */
export class Token {
  readonly #lib: pkcs11.PKCS11;
  readonly slot: graphene.Slot;
  readonly session: graphene.Session;

  constructor(module: TokenModule, slot: graphene.Slot) {
    this.#lib = module.lib;
    this.slot = slot;
    const flags = graphene.SessionFlag.RW_SESSION | graphene.SessionFlag.SERIAL_SESSION;
    // graphene types the parameter as one flag, while PKCS#11 wants the union.
    this.session = pkcs11Call("C_OpenSession", () => slot.open(flags as graphene.SessionFlag));
  }

  get serial(): string {
    return pkcs11Call("C_GetTokenInfo", () => this.#lib.C_GetTokenInfo(this.slot.handle)).serialNumber.trim();
  }

  login(role: Role, pin: string): void {
    const type = role === "so" ? graphene.UserType.SO : graphene.UserType.USER;
    pkcs11Call("C_Login", () => this.session.login(pin, type));
  }

  logout(): void {
    pkcs11Call("C_Logout", () => this.session.logout());
  }

  /** Changes the PIN of the role that is logged in (PKCS#11 v2.40 §11.5 C_SetPIN). */
  setPin(current: string, next: string): void {
    pkcs11Call("C_SetPIN", () => this.session.setPin(current, next));
  }

  initPin(pin: string): void {
    pkcs11Call("C_InitPIN", () => this.session.initPin(pin));
  }

  generateKey(id: string, label: string): KeyObject {
    const mechanism = { mechanism: pkcs11.CKM_AES_KEY_GEN };
    const handle = pkcs11Call("C_GenerateKey", () =>
      this.#lib.C_GenerateKey(this.session.handle, mechanism, keyTemplate(id, label)),
    );
    return this.#describe(handle);
  }

  listKeys(): KeyObject[] {
    return this.#find([]).map((handle) => this.#describe(handle));
  }

  /** Destroys exactly one object. @throws Pkcs11Error missing or ambiguous */
  destroyKey(id: string, label: string): void {
    const found = this.#find([
      { type: pkcs11.CKA_ID, value: Buffer.from(id, "latin1") },
      { type: pkcs11.CKA_LABEL, value: Buffer.from(label) },
    ]);
    const [only] = found;
    if (only === undefined) throw new Pkcs11Error("missing", 0, "C_FindObjects");
    if (found.length > 1) throw new Pkcs11Error("ambiguous", 0, "C_FindObjects");
    pkcs11Call("C_DestroyObject", () => this.#lib.C_DestroyObject(this.session.handle, only));
  }

  probe(): void {
    pkcs11Call("C_GetTokenInfo", () => this.#lib.C_GetTokenInfo(this.slot.handle));
  }

  #describe(handle: Handle): KeyObject {
    const read = (template: pkcs11.Template): pkcs11.TemplateResult =>
      pkcs11Call("C_GetAttributeValue", () =>
        this.#lib.C_GetAttributeValue(this.session.handle, handle, template),
      );
    return { ...identityOf(read), attributes: attributesOf(read) };
  }

  #find(more: pkcs11.Template): Handle[] {
    const lib = this.#lib;
    const session = this.session.handle;
    const template: pkcs11.Template = [
      { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
      { type: pkcs11.CKA_TOKEN, value: true },
      ...more,
    ];
    pkcs11Call("C_FindObjectsInit", () => lib.C_FindObjectsInit(session, template));
    const found: Handle[] = [];
    try {
      for (;;) {
        const page = pkcs11Call("C_FindObjects", () => lib.C_FindObjects(session, HANDLES_PER_FIND));
        found.push(...page);
        if (page.length < HANDLES_PER_FIND) return found;
      }
    } finally {
      pkcs11Call("C_FindObjectsFinal", () => lib.C_FindObjectsFinal(session));
    }
  }
}
