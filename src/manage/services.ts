/**
 * What the management API needs of the server, as the composition root hands it in. The
 * interfaces are the narrow side of the real things, so that tests can pass fakes.
 */
import type { Registry } from "prom-client";
import type { Clock } from "../core/clock.ts";
import type { Logger } from "../core/logger.ts";
import type { Transitions } from "../core/transitions.ts";
import type {
  BackupView,
  ClusterView,
  CreatedCluster,
  Health,
  OperatorReply,
  OperatorRequest,
  Pkcs11View,
  Readiness,
  ServerInfo,
  StoreSummary,
  SubnetView,
} from "./wire.ts";

/** `Network` of src/network, as far as the management API uses it. */
export interface NetworkServices {
  subnets(): Promise<readonly SubnetView[]>;
  createSubnet(subnet: { AvailabilityZone: string; CidrBlock?: string }): Promise<SubnetView>;
  deleteSubnet(id: string): Promise<void>;
  fillSubnet(id: string, free: number): Promise<void>;
  securityGroups(): Promise<readonly object[]>;
  networkInterfaces(): Promise<readonly object[]>;
}

export interface ClusterWish {
  readonly hsms: number;
  readonly activate: boolean;
  readonly adminPassword?: string;
  readonly kmsuserPassword?: string;
}

/** The clusters and their operator's verbs; `clusterServices` of ./clusters.ts makes it from a CloudHsm. */
export interface ClusterServices {
  list(): Promise<readonly ClusterView[]>;
  create(wish: ClusterWish): Promise<CreatedCluster>;
  initialize(
    clusterId: string,
    passwords: { readonly adminPassword?: string; readonly kmsuserPassword?: string },
  ): Promise<CreatedCluster>;
  /** A cluster from a backup, with HSMs. */
  restore(wish: { readonly backupId: string; readonly hsms: number }): Promise<CreatedCluster>;
  /** All backups, the newest first. */
  backups(): Promise<readonly BackupView[]>;
  operate(clusterId: string, request: OperatorRequest): Promise<OperatorReply>;
  pkcs11(): Promise<Pkcs11View>;
}

export interface ManageServices {
  readonly version: string;
  info(): ServerInfo;
  health(): Promise<Health>;
  ready(): Promise<Readiness>;
  reset(seed: "demo" | "empty"): Promise<void>;
  readonly clock: Clock;
  readonly transitions: Transitions;
  readonly network: NetworkServices;
  readonly clusters: ClusterServices;
  readonly kms: {
    stores(): Promise<readonly StoreSummary[]>;
    connect(idOrName: string): Promise<void>;
    disconnect(idOrName: string): Promise<void>;
  };
  readonly metrics: Registry;
  /** Set on a non-loopback bind: every call but health and ready must carry it as a bearer token. */
  readonly managementToken?: string;
  readonly log: Logger;
}
