/**
 * What the management API says on the wire. Types only: the server's routers produce them
 * and keystead's own clients (command line, later the console) read them, without either
 * importing the other's code.
 */

export interface ServerInfo {
  readonly endpoint: string;
  readonly region: string;
  readonly account: string;
  readonly auth: "sigv4" | "iam" | "any";
  readonly dev: boolean;
  readonly modulePath: string;
  readonly dataDirectory: string;
  /** Only the well-known test pair of dev mode is ever told. */
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
}

export interface Health {
  /** AWS service name → state, as LocalStack's health answer has it. */
  readonly services: Readonly<Record<string, "running" | "error">>;
  /** KMS keys whose key material on the token is missing, ambiguous or damaged. */
  readonly unusableKeys: readonly { readonly keyId: string; readonly verdict: string }[];
  /** Key material that outlived its KMS key; delete it as kmsuser. */
  readonly orphanedKeyMaterial: readonly {
    readonly backingKeyId: string;
    readonly keyArn: string;
    readonly clusterId: string;
    readonly reason: string;
  }[];
}

export interface Readiness {
  readonly ready: boolean;
  /** One sentence per thing that is not ready. */
  readonly reasons: readonly string[];
}

export interface StoreSummary {
  readonly CustomKeyStoreId: string;
  readonly CustomKeyStoreName: string;
  readonly ConnectionState: string;
  readonly ConnectionErrorCode?: string;
  readonly CloudHsmClusterId: string;
  /** ACTIVE HSMs of the cluster. */
  readonly hsms: number;
  readonly keys: number;
  /** The steps of the last connect or disconnect, in order, with wall time. */
  readonly steps: readonly {
    readonly step: string;
    readonly outcome: "running" | "done" | "failed";
    readonly seconds: number;
  }[];
}

export interface HsmView {
  readonly HsmId: string;
  readonly AvailabilityZone?: string;
  readonly State?: string;
  readonly EniIp?: string;
}

/** A cluster as DescribeClusters answers it; the members that keystead's clients read. */
export interface ClusterView {
  readonly ClusterId: string;
  readonly State: string;
  readonly StateMessage?: string;
  readonly HsmType?: string;
  readonly SecurityGroup?: string;
  readonly VpcId?: string;
  readonly SubnetMapping?: Readonly<Record<string, string>>;
  readonly Hsms?: readonly HsmView[];
}

/** A backup as DescribeBackups answers it; the members that keystead's clients read. */
export interface BackupView {
  readonly BackupId: string;
  readonly BackupState: string;
  readonly ClusterId: string;
  /** Seconds of virtual time since the epoch. */
  readonly CreateTimestamp: number;
}

export interface SubnetView {
  readonly SubnetId: string;
  readonly VpcId: string;
  readonly AvailabilityZone: string;
  readonly CidrBlock: string;
  readonly AvailableIpAddressCount: number;
}

export interface ClockView {
  /** Virtual time, ISO 8601. */
  readonly now: string;
  readonly frozen: boolean;
  /** Virtual minus wall time. */
  readonly offsetMs: number;
}

export interface Pkcs11View {
  readonly module: string;
  readonly clusters: readonly {
    readonly clusterId: string;
    readonly conf: string;
    readonly tokenLabel: string;
  }[];
}

/** Answer of `POST clusters`, `POST clusters/:id/init` and `POST backups/:id/restore`. Passwords appear only when the server chose them. */
export interface CreatedCluster {
  readonly clusterId: string;
  readonly customerCaPem?: string;
  readonly adminPassword?: string;
  readonly kmsuserPassword?: string;
}

export interface OperatorRequest {
  readonly command: string;
  readonly args: Readonly<Record<string, string>>;
  readonly credentials?: { readonly role: string; readonly username: string; readonly password: string };
  readonly session?: string;
}

/** cloudhsm-cli's envelope, and the token of the session that a login opened. */
export interface OperatorReply {
  readonly error_code: number;
  readonly data: unknown;
  readonly session?: string;
}

/** Every error of the management API. */
export interface ManagementError {
  readonly error: string;
  readonly code?: string;
}
