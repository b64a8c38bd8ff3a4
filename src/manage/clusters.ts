/** Clusters for the management API: CloudHSM's own operations and the operator's verbs, bound to one CloudHsm. */
import { join } from "node:path";
import type { CloudHsm } from "../cloudhsm/context.ts";
import { runOperatorCommand } from "../cloudhsm/operator.ts";
import { createReadyCluster, initializeWithThrowAwayCa, restoreCluster } from "../cloudhsm/quick-cluster.ts";
import { baldrApiService } from "../cloudhsm/service.ts";
import { newKmsUserPassword } from "../core/ids.ts";
import { callAsRoot } from "../core/in-process.ts";
import type { ClusterServices, ClusterWish } from "./services.ts";
import type { BackupView, ClusterView, CreatedCluster } from "./wire.ts";

/** Easy to type into a prompt, and within cloudhsm-cli's 7..32 characters. */
const CHOSEN_PASSWORD_LENGTH = 12;

export function clusterServices(cloudhsm: CloudHsm): ClusterServices {
  const call: Call = (name, input) => callAsRoot(baldrApiService, name, input, { cloudhsm }, cloudhsm);
  const list = async (): Promise<readonly ClusterView[]> => {
    const answer = (await call("DescribeClusters", {})) as { Clusters: readonly ClusterView[] };
    return answer.Clusters;
  };
  return {
    list,
    create: (wish) => (wish.activate ? createReady(cloudhsm, wish) : createEmpty(cloudhsm, call)),
    initialize: async (clusterId, given) => {
      const { chosen, adminPassword } = passwords(given);
      const { customerCaPem } = await initializeWithThrowAwayCa(cloudhsm, clusterId, {
        ...given,
        adminPassword,
      });
      return { clusterId, customerCaPem, ...chosen };
    },
    restore: (wish) => restoreCluster(cloudhsm, wish),
    backups: async () => {
      const answer = (await call("DescribeBackups", {})) as { Backups: readonly BackupView[] };
      return answer.Backups;
    },
    operate: (clusterId, request) => runOperatorCommand(cloudhsm, { clusterId, ...request }),
    pkcs11: async () => ({
      module: cloudhsm.tokens.modulePath,
      clusters: (await list()).map(({ ClusterId }) => ({
        clusterId: ClusterId,
        conf: join(cloudhsm.tokens.of(ClusterId).directory, "softhsm2.conf"),
        tokenLabel: cloudhsm.tokens.of(ClusterId).label,
      })),
    }),
  };
}

type Call = (operation: string, input: object) => Promise<object | undefined>;

/** CreateCluster over one private subnet per Availability Zone, and nothing more: as AWS does, it stays UNINITIALIZED. */
async function createEmpty(cloudhsm: CloudHsm, call: Call): Promise<CreatedCluster> {
  const perZone = new Map(
    (await cloudhsm.network.subnets()).map((subnet) => [subnet.AvailabilityZone, subnet.SubnetId]),
  );
  const answer = (await call("CreateCluster", {
    HsmType: "hsm2m.medium",
    SubnetIds: [...perZone.values()],
  })) as {
    Cluster: ClusterView;
  };
  return { clusterId: answer.Cluster.ClusterId };
}

async function createReady(cloudhsm: CloudHsm, wish: ClusterWish): Promise<CreatedCluster> {
  const { chosen, adminPassword } = passwords(wish);
  const kmsuserPassword = wish.kmsuserPassword ?? choosePassword();
  const created = await createReadyCluster(cloudhsm, { hsms: wish.hsms, adminPassword, kmsuserPassword });
  return { ...created, ...chosen, ...(wish.kmsuserPassword === undefined ? { kmsuserPassword } : {}) };
}

function passwords(given: { readonly adminPassword?: string }): {
  adminPassword: string;
  chosen: { adminPassword?: string };
} {
  if (given.adminPassword !== undefined) return { adminPassword: given.adminPassword, chosen: {} };
  const adminPassword = choosePassword();
  return { adminPassword, chosen: { adminPassword } };
}

function choosePassword(): string {
  return newKmsUserPassword().slice(0, CHOSEN_PASSWORD_LENGTH);
}
