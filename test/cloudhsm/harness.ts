/** A CloudHSM side on a temporary data directory: tokens in memory or real, timing as asked. */
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { Clock } from "../../src/core/clock.ts";
import { AwsError } from "../../src/core/errors.ts";
import { silent } from "../../src/core/logger.ts";
import { Mutexes } from "../../src/core/mutex.ts";
import { validate } from "../../src/core/shape.ts";
import { Transitions, type Timing } from "../../src/core/transitions.ts";
import type { CloudHsm, RegisteredKey } from "../../src/cloudhsm/context.ts";
import { registerClusterDrivers } from "../../src/cloudhsm/drivers.ts";
import { runOperatorCommand } from "../../src/cloudhsm/operator.ts";
import { createReadyCluster } from "../../src/cloudhsm/quick-cluster.ts";
import { baldrApiService } from "../../src/cloudhsm/service.ts";
import { KmsLogins } from "../../src/cloudhsm/users.ts";
import { Network } from "../../src/network/network.ts";
import { Reconciler } from "../../src/reconciler.ts";
import { openStore } from "../../src/store/database.ts";
import { openVault } from "../../src/store/vault.ts";
import { FakeTokens } from "./fake-tokens.ts";

export const ADMIN_PASSWORD = "Adm1nDemo";
export const KMSUSER_PASSWORD = "kmsPswd7";
export const ADMIN = { role: "admin", username: "admin", password: ADMIN_PASSWORD };
export const KMSUSER = { role: "crypto-user", username: "kmsuser", password: KMSUSER_PASSWORD };

/** What the tests read of the API's answers. */
export interface HsmView {
  readonly HsmId: string;
  readonly AvailabilityZone: string;
  readonly EniId: string;
  readonly EniIp: string;
  readonly State: string;
}
export interface ClusterView {
  readonly ClusterId: string;
  readonly State: string;
  readonly VpcId: string;
  readonly SecurityGroup: string;
  readonly SubnetMapping: Readonly<Record<string, string>>;
  readonly Hsms: readonly HsmView[];
  readonly Certificates: Readonly<Record<string, string>>;
  readonly BackupRetentionPolicy: { readonly Value: string };
  readonly TagList: readonly object[];
}
export interface BackupView {
  readonly BackupId: string;
  readonly BackupArn: string;
  readonly BackupState: string;
  readonly ClusterId: string;
  readonly CreateTimestamp: number;
  readonly NeverExpires: boolean;
  readonly TagList: readonly object[];
}
export interface ApiAnswer {
  readonly Cluster: ClusterView;
  readonly Clusters: readonly ClusterView[];
  readonly Hsm: HsmView;
  readonly Backup: BackupView;
  readonly Backups: readonly BackupView[];
  readonly TagList: readonly object[];
  readonly NextToken: string;
}
/** What the tests read of the verbs' `data`. */
export interface VerbData {
  readonly users: readonly { readonly username: string; readonly locked: string }[];
  readonly sessions: readonly { readonly "session-id": string }[];
  readonly matched_keys: readonly {
    readonly "key-reference": string;
    readonly "key-info": Readonly<Record<string, unknown>>;
    readonly attributes: Readonly<Record<string, unknown>>;
  }[];
  readonly total_key_count: number;
}

export interface Bench {
  readonly cloudhsm: CloudHsm;
  readonly clock: Clock;
  readonly tokens: FakeTokens;
  readonly kmsLogins: KmsLogins;
  /** What KMS has on the clusters. */
  readonly register: RegisteredKey[];
  readonly directory: string;
  call(operation: string, input: object): Promise<ApiAnswer>;
  /** The cluster as DescribeClusters shows it; undefined when it is gone. */
  show(clusterId: string): Promise<ClusterView>;
  /** A call that must fail; the exception's code and message. */
  refused(operation: string, input: object): Promise<{ code: string; message: string }>;
  idle(id: string): Promise<void>;
  hsm(
    clusterId: string,
    command: string,
    args?: Record<string, string>,
    identity?: { credentials?: typeof ADMIN; session?: string },
  ): Promise<{ error_code: number; data: VerbData; session?: string }>;
  /** An ACTIVE cluster with one HSM and a kmsuser. */
  ready(): Promise<string>;
}

export async function bench(
  options: {
    timing?: Timing;
    directory?: string;
    tokens?: (directory: string) => CloudHsm["tokens"];
    fake?: FakeTokens;
    keepAfterTest?: boolean;
    region?: string;
    inRegion?: CloudHsm["inRegion"];
  } = {},
): Promise<Bench> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), "keystead-cloudhsm-"));
  const store = await openStore(directory);
  const clock = new Clock();
  const reconciler = new Reconciler(silent);
  const network = new Network({ store, region: "us-east-1" });
  await network.seedDefaultVpc();
  const fake = options.fake ?? new FakeTokens();
  const kmsLogins = new KmsLogins();
  const register: RegisteredKey[] = [];
  const cloudhsm: CloudHsm = {
    store,
    vault: openVault(directory),
    clock,
    transitions: new Transitions(clock, options.timing ?? "instant"),
    network,
    tokens: options.tokens?.(directory) ?? fake,
    reconciler,
    backupDirectory: join(directory, "backups"),
    inRegion: options.inRegion ?? (() => Promise.resolve(undefined)),
    region: options.region ?? "us-east-1",
    account: "000000000000",
    log: silent,
    mutexes: new Mutexes(),
    kmsLogins,
    keyRegister: () => Promise.resolve(register),
  };
  registerClusterDrivers(cloudhsm);
  onTestFinished(async () => {
    await reconciler.close();
    clock.close();
    await store.close();
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  });
  const call = async (name: string, input: object): Promise<ApiAnswer> => {
    const operation = baldrApiService[name];
    if (operation === undefined) throw new Error(`no operation ${name}`);
    const caller = {
      account: "000000000000",
      arn: "arn:aws:iam::000000000000:root",
      accessKeyId: "test",
      region: "us-east-1",
    };
    const context = { cloudhsm, caller, requestId: randomUUID(), operation: name };
    return (await operation.run(validate(operation.input, input), context)) as ApiAnswer;
  };
  return {
    cloudhsm,
    clock,
    tokens: fake,
    kmsLogins,
    register,
    directory,
    call,
    show: async (clusterId) =>
      // A missing cluster is what the tests then expect.
      (await call("DescribeClusters", { Filters: { clusterIds: [clusterId] } })).Clusters[0] as ClusterView,
    refused: (name, input) =>
      call(name, input).then(
        (answer) => Promise.reject(new Error(`${name} answered ${JSON.stringify(answer)}`)),
        (error: unknown) => {
          if (!(error instanceof AwsError)) throw error;
          return { code: error.code, message: error.message };
        },
      ),
    idle: (id) => reconciler.idle(id),
    hsm: async (clusterId, command, args = {}, identity = {}) => {
      const reply = await runOperatorCommand(cloudhsm, { clusterId, command, args, ...identity });
      return { ...reply, data: reply.data as VerbData };
    },
    ready: async () =>
      (
        await createReadyCluster(cloudhsm, {
          hsms: 1,
          adminPassword: ADMIN_PASSWORD,
          kmsuserPassword: KMSUSER_PASSWORD,
        })
      ).clusterId,
  };
}
