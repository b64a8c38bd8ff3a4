/** `cluster activate`, `cluster hsm-info`, and the way out of a lost admin password. */
import { follow } from "../core/machine.ts";
import { activeHsms } from "./clusters.ts";
import { CLUSTER } from "./machines.ts";
import { checkPassword } from "./passwords.ts";
import { closeSession, sessionsOf } from "./sessions.ts";
import { changeSoPin } from "./so-pin.ts";
import { ADMIN, recordUser } from "./users.ts";
import { needed, type Verb } from "./verb.ts";

export const clusterVerbs: Readonly<Record<string, Verb>> = {
  /**
   * The unactivated admin sets its first password: a genuine C_SetPIN as SO, from the random
   * password that InitializeCluster gave it. The record comes first: without the state ACTIVE
   * it is not used, and with it there must be one.
   */
  "cluster activate": {
    access: "anyone",
    states: ["INITIALIZED"],
    run: async ({ cloudhsm, cluster, args }) => {
      const password = needed(args, "password");
      checkPassword(ADMIN, password);
      const State = follow(CLUSTER, cluster.State, "cluster activate", cluster.ClusterId);
      const admin = { Username: ADMIN, Role: "admin", PasswordHash: null } as const;
      await recordUser(cloudhsm.store.db, cluster.ClusterId, admin);
      await changeSoPin(cloudhsm, cluster, password, { State });
      return { data: "Cluster activation successful" };
    },
  },

  "cluster hsm-info": {
    access: "anyone",
    states: ["INITIALIZED", "ACTIVE"],
    run: async ({ cloudhsm, cluster }) => {
      const hsms = (await activeHsms(cloudhsm.store.db, cluster.ClusterId)).map((hsm) => ({
        vendor: "keystead (simulated)",
        model: hsm.HsmType,
        "serial-number": hsm.HsmId,
        "hardware-version-major": "1",
        "hardware-version-minor": "0",
        "firmware-version-major": "1",
        "firmware-version-minor": "0",
        "firmware-build-number": "0",
        "firmware-id": `SoftHSM2 token ${cluster.TokenSerial ?? ""}`.trim(),
        // SoftHSM is no validated module: only the cluster's mode is repeated here.
        "fips-state":
          cluster.Mode === "FIPS" ? "2 [FIPS mode with single factor authentication]" : "0 [Non-FIPS mode]",
      }));
      return { data: { hsms } };
    },
  },

  /**
   * The documented way out of a lost admin password, which CloudHSM does not have: the
   * server knows the SO PIN and changes it, so whoever may use the management API (loopback,
   * or its bearer token) may do this without a login. It also unlocks `admin`.
   */
  "cluster reset-admin-password": {
    access: "anyone",
    states: ["ACTIVE"],
    run: async ({ cloudhsm, cluster, args }) => {
      const password = needed(args, "password");
      checkPassword(ADMIN, password);
      await changeSoPin(cloudhsm, cluster, password);
      for (const session of await sessionsOf(cloudhsm, cluster.ClusterId, ADMIN))
        await closeSession(cloudhsm, session);
      await recordUser(cloudhsm.store.db, cluster.ClusterId, {
        Username: ADMIN,
        Role: "admin",
        PasswordHash: null,
      });
      return { data: { username: ADMIN, role: "admin" } };
    },
  },
};
