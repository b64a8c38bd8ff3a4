/** Key stores for the management API: summaries, and KMS's own connect and disconnect by id or name. */
import { activeHsms } from "../cloudhsm/clusters.ts";
import { callAsRoot } from "../core/in-process.ts";
import { findKeyStore, type Kms } from "../kms/service.ts";
import { trentService } from "../kms/trent-service.ts";
import type { ManageServices } from "./services.ts";
import type { StoreSummary } from "./wire.ts";

interface KeyStoreServices extends Pick<ManageServices["kms"], "connect" | "disconnect"> {
  stores(): Promise<readonly StoreSummary[]>;
  /** As `stores`, for metrics: nobody has described anything. */
  summaries(): Promise<readonly StoreSummary[]>;
}

export function keyStoreServices(kms: Kms): KeyStoreServices {
  const summaries = (): Promise<StoreSummary[]> =>
    Promise.all(
      kms.keyStores.all().map(async (keyStore) => {
        const hsms = await activeHsms(kms.store.db, keyStore.CloudHsmClusterId);
        return {
          CustomKeyStoreId: keyStore.CustomKeyStoreId,
          CustomKeyStoreName: keyStore.CustomKeyStoreName,
          ConnectionState: keyStore.ConnectionState,
          ...(keyStore.ConnectionErrorCode === null
            ? {}
            : { ConnectionErrorCode: keyStore.ConnectionErrorCode }),
          CloudHsmClusterId: keyStore.CloudHsmClusterId,
          hsms: hsms.length,
          keys: kms.keys.ofStore(keyStore.CustomKeyStoreId).length,
          steps: kms.progress.steps(keyStore.CustomKeyStoreId),
        };
      }),
    );
  const run = async (
    name: "ConnectCustomKeyStore" | "DisconnectCustomKeyStore",
    idOrName: string,
  ): Promise<void> => {
    const { CustomKeyStoreId } = kms.keyStores.byName(idOrName) ?? findKeyStore(kms, idOrName);
    await callAsRoot(trentService, name, { CustomKeyStoreId }, { kms }, kms);
  };
  return {
    stores: () => {
      for (const keyStore of kms.keyStores.all()) kms.transitions.observe(keyStore.CustomKeyStoreId);
      return summaries();
    },
    summaries,
    connect: (idOrName) => run("ConnectCustomKeyStore", idOrName),
    disconnect: (idOrName) => run("DisconnectCustomKeyStore", idOrName),
  };
}
