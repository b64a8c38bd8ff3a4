/**
 * Operator sessions: what `login` leaves behind for the commands that follow. A session is
 * a row named by the SHA-256 of a random token that only the operator has; the operator's
 * password is sealed in it, because each of its commands is a client application of its own
 * with its own C_Login. Sessions end after ten idle minutes of virtual time, and then count
 * no more as "logged in".
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Selectable } from "kysely";
import type { OperatorSessionTable } from "../store/schema.ts";
import type { CloudHsm } from "./context.ts";

const IDLE_MS = 10 * 60_000;
const TOKEN_BYTES = 32;

export type SessionRow = Selectable<OperatorSessionTable>;

function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}

/** Rows of ended sessions are removed when somebody looks; also after the virtual clock was set back. */
async function removeEnded(cloudhsm: CloudHsm, clusterId: string): Promise<void> {
  const now = cloudhsm.clock.now();
  await cloudhsm.store.db
    .deleteFrom("operator_sessions")
    .where("ClusterId", "=", clusterId)
    .where((eb) => eb.or([eb("LastUsed", "<", now - IDLE_MS), eb("LastUsed", ">", now + IDLE_MS)]))
    .execute();
}

/** The sessions under way on a cluster, of one user if named; last used first. */
export async function sessionsOf(
  cloudhsm: CloudHsm,
  clusterId: string,
  username?: string,
): Promise<SessionRow[]> {
  await removeEnded(cloudhsm, clusterId);
  const rows = await cloudhsm.store.db
    .selectFrom("operator_sessions")
    .selectAll()
    .where("ClusterId", "=", clusterId)
    .orderBy("LastUsed", "desc")
    .execute();
  return rows.filter((row) => username === undefined || row.Username === username);
}

/** @returns the session's token, which is kept nowhere */
export async function openSession(
  cloudhsm: CloudHsm,
  clusterId: string,
  user: { readonly username: string; readonly role: string; readonly password: string },
): Promise<string> {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const TokenHash = hashOf(token);
  await cloudhsm.store.db
    .insertInto("operator_sessions")
    .values({
      TokenHash,
      SessionId: randomUUID(),
      ClusterId: clusterId,
      Username: user.username,
      Role: user.role,
      PasswordSealed: cloudhsm.vault.seal(user.password, TokenHash),
      LastUsed: cloudhsm.clock.now(),
    })
    .execute();
  return token;
}

/** The session of a token, marked as used now; undefined when it has ended or never was. */
export async function useSession(
  cloudhsm: CloudHsm,
  clusterId: string,
  token: string,
): Promise<SessionRow | undefined> {
  const TokenHash = hashOf(token);
  const session = (await sessionsOf(cloudhsm, clusterId)).find((row) => row.TokenHash === TokenHash);
  if (session === undefined) return undefined;
  await cloudhsm.store.db
    .updateTable("operator_sessions")
    .set({ LastUsed: cloudhsm.clock.now() })
    .where("TokenHash", "=", TokenHash)
    .execute();
  return session;
}

export async function closeSession(
  cloudhsm: CloudHsm,
  session: Pick<SessionRow, "TokenHash">,
): Promise<void> {
  await cloudhsm.store.db
    .deleteFrom("operator_sessions")
    .where("TokenHash", "=", session.TokenHash)
    .execute();
}

export function sessionPassword(cloudhsm: CloudHsm, session: SessionRow): string {
  return cloudhsm.vault.open(session.PasswordSealed, session.TokenHash);
}

/** The user changed its own password from this session. */
export async function resealSession(
  cloudhsm: CloudHsm,
  session: SessionRow,
  password: string,
): Promise<void> {
  await cloudhsm.store.db
    .updateTable("operator_sessions")
    .set({ PasswordSealed: cloudhsm.vault.seal(password, session.TokenHash) })
    .where("TokenHash", "=", session.TokenHash)
    .execute();
}
