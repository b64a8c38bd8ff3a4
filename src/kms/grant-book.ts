/**
 * All grants, in the database and, for the request path, in memory. They go with their
 * key: the database deletes them in the same transaction.
 *
 * A grant token is `grant id ‖ nonce ‖ HMAC` under a key of its grant: any number of tokens
 * can be given out for a grant without a record of each, and all end with the grant.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { Selectable } from "kysely";
import type { GrantFacts } from "../core/access.ts";
import { AwsError } from "../core/errors.ts";
import { Mutex } from "../core/mutex.ts";
import type { Store } from "../store/database.ts";
import type { GrantTable } from "../store/schema.ts";
import { requireRow } from "./key-row.ts";
import type { Key } from "./key.ts";

/** Grants of one KMS key (quota). */
const GRANTS_PER_KEY = 50_000;
const ID_BYTES = 32;
const NONCE_BYTES = 16;
const NO_GRANTS: readonly Grant[] = [];

/** What CreateGrant asks for. */
export interface GrantWish {
  readonly Name: string | undefined;
  readonly GranteePrincipal: string;
  readonly RetiringPrincipal: string | undefined;
  readonly Operations: readonly string[];
  readonly Constraints: NonNullable<GrantFacts["Constraints"]>;
}

export interface Grant extends GrantWish {
  readonly GrantId: string;
  readonly KeyId: string;
  /** ARN of the account whose principal created it. */
  readonly IssuingAccount: string;
  /** Virtual milliseconds since the epoch. */
  readonly CreationDate: number;
  readonly TokenKey: Buffer;
}

export class GrantBook {
  readonly #store: Store;
  readonly #lagMs: number;
  readonly #grants = new Map<string, Grant>();
  readonly #byKey = new Map<string, Grant[]>();
  /** Checks and writes take turns: a name is found once, a quota is never passed. */
  readonly #turn = new Mutex();

  /** @param lagMs how long a grant without its token takes to count */
  constructor(store: Store, lagMs = 0) {
    this.#store = store;
    this.#lagMs = lagMs;
  }

  /** Read all grants; at start and after a reset. */
  async load(): Promise<void> {
    this.#grants.clear();
    this.#byKey.clear();
    for (const row of await this.#store.db.selectFrom("grants").selectAll().execute())
      this.#enter(grantOfRow(row));
  }

  get(grantId: string): Grant | undefined {
    return this.#grants.get(grantId);
  }

  ofKey(keyId: string): readonly Grant[] {
    return this.#byKey.get(keyId) ?? NO_GRANTS;
  }

  /**
   * The grants of a key that count at virtual time `now`: those made before the configured
   * lag, which stands for KMS's eventual consistency, and at once those whose token is shown.
   */
  inForce(keyId: string, now: number, tokens: readonly string[] = []): readonly Grant[] {
    if (this.#lagMs === 0) return this.ofKey(keyId);
    const shown = new Set(tokens.map((token) => this.ofToken(token)));
    return this.ofKey(keyId).filter((grant) => grant.CreationDate + this.#lagMs <= now || shown.has(grant));
  }

  all(): readonly Grant[] {
    return [...this.#grants.values()];
  }

  /** The grant a token was given out for, if it is still there. */
  ofToken(token: string): Grant | undefined {
    const bytes = Buffer.from(token, "base64");
    if (bytes.toString("base64") !== token) return undefined;
    const signed = bytes.subarray(0, ID_BYTES + NONCE_BYTES);
    const grant = this.#grants.get(signed.toString("hex", 0, ID_BYTES));
    if (grant === undefined) return undefined;
    const expected = seal(grant, signed);
    return expected.length === bytes.length && timingSafeEqual(expected, bytes) ? grant : undefined;
  }

  /** @throws AwsError InvalidGrantTokenException when one of them is not known */
  requireTokens(tokens: readonly string[]): void {
    for (const token of tokens) if (this.ofToken(token) === undefined) throw unknownToken();
  }

  /** A new token, valid at once. */
  token(grant: Grant): string {
    const signed = Buffer.concat([Buffer.from(grant.GrantId, "hex"), randomBytes(NONCE_BYTES)]);
    return seal(grant, signed).toString("base64");
  }

  /**
   * A new grant, or the one that was made with the same Name and the same parameters.
   * @throws AwsError LimitExceededException, NotFoundException
   */
  create(key: Key, wish: GrantWish, IssuingAccount: string, CreationDate: number): Promise<Grant> {
    return this.#turn.run(async () => {
      const same = this.#identical(key, wish);
      if (same !== undefined) return same;
      if (this.ofKey(key.KeyId).length >= GRANTS_PER_KEY)
        throw new AwsError(
          "LimitExceededException",
          `${key.Arn} has ${GRANTS_PER_KEY} grants, which is the most a KMS key can have.`,
        );
      const GrantId = randomBytes(ID_BYTES).toString("hex");
      const TokenKey = randomBytes(32);
      const grant = { ...wish, GrantId, KeyId: key.KeyId, IssuingAccount, CreationDate, TokenKey };
      await this.#store.transaction(async (trx) => {
        await requireRow(trx, key);
        await trx.insertInto("grants").values(rowOf(grant)).execute();
      });
      this.#enter(grant);
      return grant;
    });
  }

  async remove({ GrantId, KeyId }: Grant): Promise<void> {
    await this.#store.db.deleteFrom("grants").where("GrantId", "=", GrantId).execute();
    this.#grants.delete(GrantId);
    const left = this.ofKey(KeyId).filter((grant) => grant.GrantId !== GrantId);
    this.#byKey.set(KeyId, left);
  }

  /** The key was deleted, and its grants with it. */
  forget(keyId: string): void {
    for (const { GrantId } of this.ofKey(keyId)) this.#grants.delete(GrantId);
    this.#byKey.delete(keyId);
  }

  #enter(grant: Grant): void {
    this.#grants.set(grant.GrantId, grant);
    const ofKey = this.#byKey.get(grant.KeyId);
    if (ofKey === undefined) this.#byKey.set(grant.KeyId, [grant]);
    else ofKey.push(grant);
  }

  #identical(key: Key, wish: GrantWish): Grant | undefined {
    if (wish.Name === undefined) return undefined;
    const wanted = parametersOf(wish);
    return this.ofKey(key.KeyId).find((grant) => grant.Name === wish.Name && parametersOf(grant) === wanted);
  }
}

export function unknownToken(): AwsError {
  return new AwsError("InvalidGrantTokenException", "The grant token is not valid.");
}

/** `signed ‖ HMAC` */
function seal({ TokenKey }: Grant, signed: Buffer): Buffer {
  return Buffer.concat([signed, createHmac("sha256", TokenKey).update(signed).digest()]);
}

/** The parameters of a grant as one text, the same for the same parameters in any order. */
function parametersOf({ GranteePrincipal, RetiringPrincipal, Operations, Constraints }: GrantWish): string {
  const operations = [...new Set(Operations)].toSorted();
  return JSON.stringify([GranteePrincipal, RetiringPrincipal ?? null, operations, pairsOf(Constraints)]);
}

type Pairs = readonly (readonly [string, string])[];
/** Constraints as JSON has them: lists of pairs, because any text may be a key. */
interface StoredConstraints {
  readonly EncryptionContextSubset?: Pairs;
  readonly EncryptionContextEquals?: Pairs;
}

function sorted(pairs: ReadonlyMap<string, string>): Pairs {
  return [...pairs].toSorted(([one], [other]) => (one < other ? -1 : 1));
}

function pairsOf({
  EncryptionContextSubset,
  EncryptionContextEquals,
}: Grant["Constraints"]): StoredConstraints {
  return {
    ...(EncryptionContextSubset === undefined
      ? {}
      : { EncryptionContextSubset: sorted(EncryptionContextSubset) }),
    ...(EncryptionContextEquals === undefined
      ? {}
      : { EncryptionContextEquals: sorted(EncryptionContextEquals) }),
  };
}

function rowOf(grant: Grant): Selectable<GrantTable> {
  return {
    ...grant,
    Name: grant.Name ?? null,
    RetiringPrincipal: grant.RetiringPrincipal ?? null,
    Operations: JSON.stringify(grant.Operations),
    Constraints: JSON.stringify(pairsOf(grant.Constraints)),
  };
}

function grantOfRow(row: Selectable<GrantTable>): Grant {
  const stored = JSON.parse(row.Constraints) as StoredConstraints;
  const maps = Object.entries(stored).map(([name, pairs]) => [name, new Map(pairs as Pairs)] as const);
  return {
    ...row,
    Name: row.Name ?? undefined,
    RetiringPrincipal: row.RetiringPrincipal ?? undefined,
    Operations: JSON.parse(row.Operations) as string[],
    Constraints: Object.fromEntries(maps) as Grant["Constraints"],
  };
}
