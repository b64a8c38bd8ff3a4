/** Dev mode's demo: one ACTIVE cluster with two HSMs and a DISCONNECTED key store named `demo`. */
import { randomUUID } from "node:crypto";
import { activeHsms } from "./cloudhsm/clusters.ts";
import { createReadyCluster } from "./cloudhsm/quick-cluster.ts";
import type { Config } from "./config.ts";
import { validate } from "./core/shape.ts";
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
    const storeId = await createStore(kms, clusterId, customerCaPem, config.devKmsuserPassword);
    const hsms = await activeHsms(kms.store.db, clusterId);
    const hsmAvailabilityZones = hsms.map((hsm) => hsm.AvailabilityZone).toSorted();
    return { clusterId, ...passwords, storeId, storeName: STORE_NAME, hsmAvailabilityZones };
  } finally {
    for (const model of MODELS) kms.transitions.set(model, undefined);
  }
}

async function createStore(
  kms: Kms,
  clusterId: string,
  trustAnchor: string,
  password: string,
): Promise<string> {
  const operation = trentService["CreateCustomKeyStore"];
  if (operation === undefined) throw new Error("CreateCustomKeyStore is not in the table");
  const input = validate(operation.input, {
    CustomKeyStoreName: STORE_NAME,
    CloudHsmClusterId: clusterId,
    TrustAnchorCertificate: trustAnchor,
    KeyStorePassword: password,
  });
  const caller = {
    account: kms.account,
    arn: `arn:aws:iam::${kms.account}:root`,
    accessKeyId: "keystead-seed",
  };
  const answer = await operation.run(input, { kms, requestId: randomUUID(), caller });
  return (answer as { CustomKeyStoreId: string }).CustomKeyStoreId;
}
