/** Checking who an operator is: the lock-out, KMS's claim on kmsuser, and a genuine C_Login where the token keeps the password. */
import { CKR, isCkr } from "../hsm/errors.ts";
import type { ClusterRow } from "./clusters.ts";
import type { CloudHsm } from "./context.ts";
import { KMS_USER, passwordMatches } from "./passwords.ts";
import { OperatorRefusal } from "./refusal.ts";
import type { SessionRow } from "./sessions.ts";
import { adoptSoPin } from "./so-pin.ts";
import {
  clearFailedLogins,
  countFailedLogin,
  findUser,
  isLocked,
  LOCKED_AFTER,
  type UserRow,
} from "./users.ts";

/** What single-command mode (CLOUDHSM_ROLE, CLOUDHSM_PIN) or `login` sends. */
export interface Credentials {
  readonly role: string;
  readonly username: string;
  readonly password: string;
}

/** Who runs a command. */
export interface Operator {
  readonly user: UserRow;
  readonly password: string;
  /** Absent in single-command mode. */
  readonly session?: SessionRow;
}

/**
 * Check a role, name and password on a cluster. A wrong password is counted, durably.
 * @throws OperatorRefusal unknown, locked, in use by KMS, or wrong; Pkcs11Error when the token cannot be asked
 */
export async function authenticate(
  cloudhsm: CloudHsm,
  cluster: ClusterRow,
  given: Credentials,
): Promise<Operator> {
  const username = given.username.toLowerCase();
  const user = await findUser(cloudhsm.store.db, cluster.ClusterId, username);
  if (user === undefined || user.Role !== given.role)
    throw new OperatorRefusal(`There is no user ${username} with the role ${given.role} on this cluster.`);
  if (isLocked(user))
    throw new OperatorRefusal(`The user ${username} is locked out; an admin must change its password.`);
  refuseWhileKmsConnected(cloudhsm, cluster.ClusterId, username);
  if (!(await accepts(cloudhsm, cluster, user, given.password))) {
    await countFailedLogin(cloudhsm, cluster.ClusterId, username);
    const last = user.FailedLogins + 1 >= LOCKED_AFTER ? " The user is locked out now." : "";
    throw new OperatorRefusal(`Login failed: the password of ${username} is not correct.${last}`);
  }
  if (user.FailedLogins > 0) await clearFailedLogins(cloudhsm, cluster.ClusterId, username);
  return { user, password: given.password };
}

/** While a key store is connected, KMS is logged in as kmsuser, and nobody else can use or change that user. */
export function refuseWhileKmsConnected(cloudhsm: CloudHsm, clusterId: string, username: string): void {
  const storeId = username === KMS_USER ? cloudhsm.kmsLogins.get(clusterId) : undefined;
  if (storeId !== undefined)
    throw new OperatorRefusal(
      `The user kmsuser is logged in by AWS KMS for the custom key store ${storeId}; disconnect the key store first.`,
    );
}

async function accepts(
  cloudhsm: CloudHsm,
  cluster: ClusterRow,
  user: UserRow,
  password: string,
): Promise<boolean> {
  if (user.PasswordHash !== null) return passwordMatches(password, user.PasswordHash);
  return user.Role === "admin"
    ? acceptsAsSo(cloudhsm, cluster, password)
    : tokenAccepts(cloudhsm, cluster, "user", password);
}

async function tokenAccepts(
  cloudhsm: CloudHsm,
  cluster: ClusterRow,
  role: "so" | "user",
  pin: string,
): Promise<boolean> {
  try {
    await cloudhsm.tokens.of(cluster.ClusterId).verify(role, pin);
    return true;
  } catch (error) {
    if (isCkr(error, CKR.PIN_INCORRECT, CKR.PIN_INVALID, CKR.PIN_LEN_RANGE)) return false;
    throw error;
  }
}

/** A SO PIN that the token accepts is the admin's password, also when it was changed from outside. */
async function acceptsAsSo(cloudhsm: CloudHsm, cluster: ClusterRow, password: string): Promise<boolean> {
  const accepted = await tokenAccepts(cloudhsm, cluster, "so", password);
  if (accepted) await adoptSoPin(cloudhsm, cluster, password);
  return accepted;
}
