/**
 * HSM users: their records, the lock-out counter that SoftHSM does not have, and what KMS
 * asks about kmsuser. One admin, `admin`, and the crypto user `kmsuser` are token-backed:
 * the token checks their passwords (SO PIN and user PIN). All others are records.
 *
 * Nothing here takes the cluster's mutex: KMS holds it around check and login.
 */
import type { Selectable } from "kysely";
import type { Db } from "../store/database.ts";
import type { HsmUserTable } from "../store/schema.ts";
import type { CloudHsm } from "./context.ts";
import { KMS_USER } from "./passwords.ts";
import { sessionsOf } from "./sessions.ts";

/**
 * Sources differ on whether the fifth or the sixth wrong attempt is refused as locked; a
 * user counts as locked once five failures are counted (reference: cloudhsm-v2 §7).
 */
export const LOCKED_AFTER = 5;
export const ADMIN = "admin";
/** The service's own user, which customers can see but not use. */
export const APPLIANCE_USER = "app_user";

export type Role = "admin" | "crypto-user";
export type UserRow = Omit<Selectable<HsmUserTable>, "Role"> & { readonly Role: Role };

/** Where KMS has logged in as kmsuser: cluster id → custom key store id. In memory, as a login is. */
export class KmsLogins {
  readonly #stores = new Map<string, string>();

  set(clusterId: string, storeId: string): void {
    this.#stores.set(clusterId, storeId);
  }

  delete(clusterId: string): void {
    this.#stores.delete(clusterId);
  }

  get(clusterId: string): string | undefined {
    return this.#stores.get(clusterId);
  }
}

export function isLocked(user: Pick<UserRow, "FailedLogins">): boolean {
  return user.FailedLogins >= LOCKED_AFTER;
}

/** The token, not a hash, checks this user's password. */
export function isTokenBacked(user: Pick<UserRow, "PasswordHash">): boolean {
  return user.PasswordHash === null;
}

/** A record, deleted ones included. @param username in lower case */
async function findRecord(db: Db, clusterId: string, username: string): Promise<UserRow | undefined> {
  const row = await db
    .selectFrom("hsm_users")
    .selectAll()
    .where("ClusterId", "=", clusterId)
    .where("Username", "=", username)
    .executeTakeFirst();
  return row === undefined ? undefined : { ...row, Role: row.Role as Role };
}

/** @param username in lower case */
export async function findUser(db: Db, clusterId: string, username: string): Promise<UserRow | undefined> {
  const row = await findRecord(db, clusterId, username);
  return row?.Deleted === 0 ? row : undefined;
}

/** All users but the deleted ones, by name. */
export async function listUsers(db: Db, clusterId: string): Promise<UserRow[]> {
  const rows = await db
    .selectFrom("hsm_users")
    .selectAll()
    .where("ClusterId", "=", clusterId)
    .where("Deleted", "=", 0)
    .orderBy("Username")
    .execute();
  return rows.map((row) => ({ ...row, Role: row.Role as Role }));
}

/** Record a user, also in place of a deleted one of that name. @param hash null for a token-backed user */
export async function recordUser(
  db: Db,
  clusterId: string,
  user: { readonly Username: string; readonly Role: Role; readonly PasswordHash: string | null },
): Promise<void> {
  const fresh = { Role: user.Role, PasswordHash: user.PasswordHash, FailedLogins: 0, Deleted: 0 };
  await db
    .insertInto("hsm_users")
    .values({ ClusterId: clusterId, Username: user.Username, ...fresh })
    .onConflict((conflict) => conflict.columns(["ClusterId", "Username"]).doUpdateSet(fresh))
    .execute();
}

export async function changeUser(
  db: Db,
  user: Pick<UserRow, "ClusterId" | "Username">,
  change: Partial<Pick<UserRow, "PasswordHash" | "FailedLogins" | "Deleted">>,
): Promise<void> {
  await db
    .updateTable("hsm_users")
    .set(change)
    .where("ClusterId", "=", user.ClusterId)
    .where("Username", "=", user.Username)
    .execute();
}

/** A record-only user goes without a trace; kmsuser is only marked as deleted, see user-verbs.ts. */
export async function forgetUser(db: Db, user: Pick<UserRow, "ClusterId" | "Username">): Promise<void> {
  await db
    .deleteFrom("hsm_users")
    .where("ClusterId", "=", user.ClusterId)
    .where("Username", "=", user.Username)
    .execute();
}

/**
 * What a connect must know before its C_Login. `absent`: no record, only the token can
 * tell; `deleted`: there is no crypto user kmsuser, whatever PIN the token has.
 */
export async function kmsuserStanding(
  cloudhsm: CloudHsm,
  clusterId: string,
): Promise<{ record: "present" | "absent" | "deleted"; locked: boolean; operatorLoggedIn: boolean }> {
  const row = await findRecord(cloudhsm.store.db, clusterId, KMS_USER);
  const sessions = await sessionsOf(cloudhsm, clusterId, KMS_USER);
  const usable = row?.Deleted === 0 && row.Role === "crypto-user" && isTokenBacked(row);
  return {
    record: row === undefined ? "absent" : usable ? "present" : "deleted",
    locked: row !== undefined && isLocked(row),
    operatorLoggedIn: sessions.length > 0,
  };
}

/** One failed login, for a wrong password; counting is durable when this resolves. */
export async function countFailedLogin(
  cloudhsm: CloudHsm,
  clusterId: string,
  username: string,
): Promise<void> {
  // A token that calls a PIN wrong has one: a kmsuser made from outside is counted as well.
  if (username === KMS_USER) await adoptKmsuser(cloudhsm, clusterId);
  await cloudhsm.store.db
    .updateTable("hsm_users")
    .set((eb) => ({ FailedLogins: eb("FailedLogins", "+", 1) }))
    .where("ClusterId", "=", clusterId)
    .where("Username", "=", username)
    .execute();
}

/** A successful login or an admin's password change: the count starts again. */
export async function clearFailedLogins(
  cloudhsm: CloudHsm,
  clusterId: string,
  username: string,
): Promise<void> {
  await cloudhsm.store.db
    .updateTable("hsm_users")
    .set({ FailedLogins: 0 })
    .where("ClusterId", "=", clusterId)
    .where("Username", "=", username)
    .where("FailedLogins", ">", 0)
    .execute();
}

/** The token accepted kmsuser's PIN although there is no record: the PIN was set from outside. */
export async function adoptKmsuser(cloudhsm: CloudHsm, clusterId: string): Promise<void> {
  await cloudhsm.store.db
    .insertInto("hsm_users")
    .values({
      ClusterId: clusterId,
      Username: KMS_USER,
      Role: "crypto-user",
      PasswordHash: null,
      FailedLogins: 0,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
