/** login, logout, and the sessions on a cluster (the latter keystead's own: they show who blocks a connect). */
import { authenticate } from "./login.ts";
import { OperatorRefusal } from "./refusal.ts";
import { closeSession, openSession, sessionsOf } from "./sessions.ts";
import { needed, requireOperator, type Verb } from "./verb.ts";

export const sessionVerbs: Readonly<Record<string, Verb>> = {
  login: {
    access: "anyone",
    states: ["ACTIVE"],
    run: async ({ cloudhsm, cluster, args, operator }) => {
      if (operator?.session !== undefined)
        throw new OperatorRefusal(`${operator.user.Username} is logged in already; run logout first.`);
      const given = {
        username: needed(args, "username"),
        role: needed(args, "role"),
        password: needed(args, "password"),
      };
      const { user, password } = await authenticate(cloudhsm, cluster, given);
      const who = { username: user.Username, role: user.Role };
      const session = await openSession(cloudhsm, cluster.ClusterId, { ...who, password });
      return { data: who, session };
    },
  },

  logout: {
    access: "anyone",
    states: ["INITIALIZED", "ACTIVE"],
    run: async ({ cloudhsm, operator }) => {
      // A session that has ended by itself is no error to log out of.
      if (operator?.session !== undefined) await closeSession(cloudhsm, operator.session);
      return { data: "Logout successful" };
    },
  },

  "session list": {
    access: "anyone",
    states: ["INITIALIZED", "ACTIVE"],
    run: async ({ cloudhsm, cluster }) => {
      const now = cloudhsm.clock.now();
      const sessions = (await sessionsOf(cloudhsm, cluster.ClusterId)).map((row) => ({
        "session-id": row.SessionId,
        username: row.Username,
        role: row.Role,
        "idle-seconds": Math.max(0, Math.floor((now - row.LastUsed) / 1000)),
      }));
      return { data: { sessions } };
    },
  },

  "session close": {
    access: "operator",
    states: ["ACTIVE"],
    run: async (call) => {
      const { user } = requireOperator(call);
      const id = needed(call.args, "session-id");
      const session = (await sessionsOf(call.cloudhsm, call.cluster.ClusterId)).find(
        (row) => row.SessionId === id,
      );
      if (session === undefined) throw new OperatorRefusal(`There is no session ${id} on this cluster.`);
      if (user.Role !== "admin" && session.Username !== user.Username)
        throw new OperatorRefusal("Only an admin can close another user's session.");
      await closeSession(call.cloudhsm, session);
      return { data: { "session-id": id, username: session.Username, role: session.Role } };
    },
  },
};
