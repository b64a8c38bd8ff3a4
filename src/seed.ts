/** Dev mode's demo: one ACTIVE cluster with two HSMs and a DISCONNECTED key store named `demo`. */
import { activeHsms } from "./cloudhsm/clusters.ts";
import { createReadyCluster } from "./cloudhsm/quick-cluster.ts";
import type { Config } from "./config.ts";
import { callAsRoot } from "./core/in-process.ts";
import { MODELS } from "./core/transitions.ts";
import type { Kms } from "./kms/service.ts";
import { trentService } from "./kms/trent-service.ts";

export interface Demo {
  readonly clusterId: string;
  readonly adminPassword: string;
  readonly kmsuserPassword: string;
  readonly storeId: string;
  readonly storeName: string;
  readonly hsmAvailabilityZones: readonly string[];
}

const STORE_NAME = "demo";

export async function seedDemo(kms: Kms, config: Config): Promise<Demo> {
  const passwords = { adminPassword: config.devAdminPassword, kmsuserPassword: config.devKmsuserPassword };
  // Nobody watches the seed: its lifecycles take no time, whatever the server's timing is.
  for (const model of MODELS) kms.transitions.set(model, { progression: "immediate" });
  try {
    const { clusterId, customerCaPem } = await createReadyCluster(kms.cloudhsm, passwords);
    const wish = {
      CustomKeyStoreName: STORE_NAME,
      CloudHsmClusterId: clusterId,
      TrustAnchorCertificate: customerCaPem,
      KeyStorePassword: config.devKmsuserPassword,
    };
    const created = await callAsRoot(trentService, "CreateCustomKeyStore", wish, { kms }, kms);
    const { CustomKeyStoreId: storeId } = created as { CustomKeyStoreId: string };
    const hsms = await activeHsms(kms.store.db, clusterId);
    const hsmAvailabilityZones = hsms.map((hsm) => hsm.AvailabilityZone).toSorted();
    return { clusterId, ...passwords, storeId, storeName: STORE_NAME, hsmAvailabilityZones };
  } finally {
    for (const model of MODELS) kms.transitions.set(model, undefined);
  }
}
