/** user create, list, change-password and delete, with CloudHSM's rules (reference: cloudhsm-v2 §7, §9). */
import { newKmsUserPassword } from "../core/ids.ts";
import { refuseWhileKmsConnected, type Operator } from "./login.ts";
import { checkPassword, checkUsername, hashPassword, KMS_USER } from "./passwords.ts";
import { OperatorRefusal } from "./refusal.ts";
import { resealSession, sessionsOf } from "./sessions.ts";
import { changeSoPin, currentSoPin } from "./so-pin.ts";
import {
  ADMIN,
  APPLIANCE_USER,
  changeUser,
  findUser,
  forgetUser,
  isLocked,
  isTokenBacked,
  listUsers,
  recordUser,
  type Role,
  type UserRow,
} from "./users.ts";
import { needed, requireOperator, type Args, type Call, type Verb } from "./verb.ts";

const ROLES: readonly string[] = ["admin", "crypto-user"] satisfies readonly Role[];

export const userVerbs: Readonly<Record<string, Verb>> = {
  "user list": { access: "anyone", states: ["INITIALIZED", "ACTIVE"], run: list },
  "user create": { access: "admin", states: ["ACTIVE"], run: create },
  "user change-password": { access: "operator", states: ["ACTIVE"], run: changePassword },
  "user delete": { access: "admin", states: ["ACTIVE"], run: remove },
};

function roleOf(args: Args): Role {
  const role = needed(args, "role");
  if (!ROLES.includes(role)) throw new OperatorRefusal(`The role ${role} is not one of ${ROLES.join(", ")}.`);
  return role as Role;
}

function shown(username: string, role: string, locked: boolean): object {
  return { username, role, locked: String(locked), mfa: [], "cluster-coverage": "full" };
}

async function list({ cloudhsm, cluster }: Call): Promise<{ data: unknown }> {
  const appliance = shown(APPLIANCE_USER, "internal(APPLIANCE_USER)", false);
  if (cluster.State !== "ACTIVE")
    return { data: { users: [shown(ADMIN, "unactivated-admin", false), appliance] } };
  const rows = await listUsers(cloudhsm.store.db, cluster.ClusterId);
  const users = rows.map((row) => shown(row.Username, row.Role, isLocked(row)));
  return { data: { users: [...users, appliance] } };
}

/** kmsuser is made on the token, C_InitPIN by the SO; every other user is a record. */
async function create({ cloudhsm, cluster, args }: Call): Promise<{ data: unknown }> {
  const role = roleOf(args);
  const username = checkUsername(needed(args, "username"));
  const password = needed(args, "password");
  checkPassword(username, password);
  const existing = await findUser(cloudhsm.store.db, cluster.ClusterId, username);
  if (existing !== undefined || username === APPLIANCE_USER)
    throw new OperatorRefusal(`There is a user ${username} already.`);
  const onToken = username === KMS_USER && role === "crypto-user";
  if (onToken) {
    const soPin = await currentSoPin(cloudhsm, cluster);
    await cloudhsm.tokens.of(cluster.ClusterId).initUserPin(soPin, password);
  }
  const PasswordHash = onToken ? null : await hashPassword(password);
  await recordUser(cloudhsm.store.db, cluster.ClusterId, { Username: username, Role: role, PasswordHash });
  return { data: { username, role } };
}

/** The user that a command names. @throws OperatorRefusal unknown, or logged in (other than by the caller's own session) */
async function freeUser(call: Call, own: Operator): Promise<UserRow> {
  const { cloudhsm, cluster, args } = call;
  const role = roleOf(args);
  const username = needed(args, "username").toLowerCase();
  const user = await findUser(cloudhsm.store.db, cluster.ClusterId, username);
  if (user === undefined || user.Role !== role)
    throw new OperatorRefusal(`There is no user ${username} with the role ${role} on this cluster.`);
  const mayActOnAll = own.user.Role === "admin";
  if (!mayActOnAll && own.user.Username !== username)
    throw new OperatorRefusal("Only an admin can change another user's password.");
  refuseWhileKmsConnected(cloudhsm, cluster.ClusterId, username);
  const sessions = await sessionsOf(cloudhsm, cluster.ClusterId, username);
  if (sessions.some((session) => session.TokenHash !== own.session?.TokenHash))
    throw new OperatorRefusal(
      `The user ${username} is logged in; log it out first (session list, session close).`,
    );
  return user;
}

async function changePassword(call: Call): Promise<{ data: unknown }> {
  const { cloudhsm, args } = call;
  const own = requireOperator(call);
  const user = await freeUser(call, own);
  const password = needed(args, "password");
  checkPassword(user.Username, password);
  await setPassword(call, own, user, password);
  await changeUser(cloudhsm.store.db, user, { FailedLogins: 0 });
  if (own.session !== undefined && own.user.Username === user.Username)
    await resealSession(cloudhsm, own.session, password);
  return { data: { username: user.Username, role: user.Role } };
}

/** kmsuser changes its own password by C_SetPIN; an admin sets it by C_InitPIN, without the old one. */
async function setPassword(
  { cloudhsm, cluster }: Call,
  own: Operator,
  user: UserRow,
  password: string,
): Promise<void> {
  const token = cloudhsm.tokens.of(cluster.ClusterId);
  if (!isTokenBacked(user))
    return changeUser(cloudhsm.store.db, user, { PasswordHash: await hashPassword(password) });
  if (user.Role === "admin") return changeSoPin(cloudhsm, cluster, password);
  if (own.user.Username === user.Username) return token.changePin("user", own.password, password);
  return token.initUserPin(await currentSoPin(cloudhsm, cluster), password);
}

async function remove(call: Call): Promise<{ data: unknown }> {
  const user = await freeUser(call, requireOperator(call));
  const { Username: username, Role: role } = user;
  if (role === "admin" && isTokenBacked(user))
    throw new OperatorRefusal("The user admin is the token's security officer and cannot be deleted.");
  if (role === "crypto-user" && isTokenBacked(user)) await removeKmsuser(call, user);
  else {
    if (requireOperator(call).user.Username === username)
      throw new OperatorRefusal("Users cannot delete themselves.");
    await forgetUser(call.cloudhsm.store.db, user);
  }
  return { data: { username, role } };
}

/**
 * PKCS#11 cannot take a user PIN away: the record says "deleted", which is what a connect
 * looks at first, and the PIN becomes a random value that is kept nowhere.
 */
async function removeKmsuser({ cloudhsm, cluster }: Call, user: UserRow): Promise<void> {
  const keys = await cloudhsm.keyRegister(cluster.ClusterId);
  if (keys.length > 0)
    throw new OperatorRefusal(
      `The user kmsuser owns ${keys.length} key(s); a user who owns keys cannot be deleted.`,
    );
  const soPin = await currentSoPin(cloudhsm, cluster);
  await changeUser(cloudhsm.store.db, user, { Deleted: 1 });
  try {
    await cloudhsm.tokens.of(cluster.ClusterId).initUserPin(soPin, newKmsUserPassword());
  } catch (error) {
    await changeUser(cloudhsm.store.db, user, { Deleted: 0 });
    throw error;
  }
}
