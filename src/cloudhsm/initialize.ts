/**
 * InitializeCluster: the signed certificate is checked and recorded, and with it a random
 * SO PIN, the pre-crypto-officer's password that nobody ever sees. The reconciler then runs
 * C_InitToken with it (drivers.ts).
 */
import { newKmsUserPassword } from "../core/ids.ts";
import { follow } from "../core/machine.ts";
import type { Service } from "../core/operation.ts";
import { checkCertificates } from "./certificate-checks.ts";
import { activeHsms, updateCluster } from "./clusters.ts";
import { invalidRequest, onCluster, type CloudHsmContext } from "./context.ts";
import { CLUSTER } from "./machines.ts";
import * as shapes from "./shapes.ts";
import { sealSoPin } from "./so-pin.ts";

const INITIALIZING = "Cluster is initializing. State will change to INITIALIZED upon completion.";

export const initializeOperations: Service<CloudHsmContext> = {
  InitializeCluster: onCluster(
    {},
    { ClusterId: shapes.clusterId, SignedCert: shapes.cert, TrustAnchor: shapes.cert },
    async ({ SignedCert, TrustAnchor }, { cloudhsm, cluster }) => {
      const State = follow(CLUSTER, cluster.State, "InitializeCluster", cluster.ClusterId);
      const { ClusterCsr, ...hardware } = cluster.Certificates;
      const hsms = await activeHsms(cloudhsm.store.db, cluster.ClusterId);
      if (ClusterCsr === undefined || hsms.length === 0)
        throw invalidRequest(
          `The cluster ${cluster.ClusterId} has no active HSM yet; create one with CreateHsm first.`,
        );
      checkCertificates(ClusterCsr, SignedCert, TrustAnchor);
      await updateCluster(cloudhsm.store.db, cluster, {
        State,
        StateMessage: INITIALIZING,
        Certificates: { ...hardware, ClusterCertificate: SignedCert },
        TrustAnchor,
        SoPinSealed: sealSoPin(cloudhsm, cluster.ClusterId, newKmsUserPassword()),
      });
      cloudhsm.reconciler.wake(cluster.ClusterId);
      return { State, StateMessage: INITIALIZING };
    },
  ),
};
