/** What the stories of a connect that fails have in common: the network it leaves, old ciphertexts, the token's files, and another process on the token. */
import { DescribeClustersCommand } from "@aws-sdk/client-cloudhsm-v2";
import { DecryptCommand, EncryptCommand, UpdateCustomKeyStoreCommand } from "@aws-sdk/client-kms";
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import {
  connectedStore,
  connectStore,
  describeStore,
  disconnectStore,
  refusal,
  type Keystead,
  type ReadyCluster,
} from "./harness.ts";

const SECRET = "a secret from before";

export interface Story {
  readonly cluster: ReadyCluster;
  readonly storeId: string;
  readonly keyArn: string;
  /** Made while the store was connected for the first time. */
  readonly ciphertext: Uint8Array;
}

/** A store that was connected, has a key and a ciphertext, and is disconnected. */
export async function disconnectedStory(keystead: Keystead): Promise<Story> {
  const story = await connectedStore(keystead);
  await expectStoreNetwork(keystead, story.storeId, story.cluster.clusterId);
  const { CiphertextBlob } = await keystead.kms.send(
    new EncryptCommand({ KeyId: story.keyArn, Plaintext: Buffer.from(SECRET) }),
  );
  if (CiphertextBlob === undefined) throw new Error("no ciphertext");
  await disconnectStore(keystead, story.storeId);
  await expectNoStoreNetwork(keystead, story.storeId, story.cluster.clusterId);
  return { ...story, ciphertext: CiphertextBlob };
}

export async function expectOldCiphertext(keystead: Keystead, { ciphertext }: Story): Promise<void> {
  const { Plaintext } = await keystead.kms.send(new DecryptCommand({ CiphertextBlob: ciphertext }));
  expect(Buffer.from(Plaintext ?? []).toString()).toBe(SECRET);
}

/** A connect that fails says its code, and leaves neither network interface nor security group nor a usable key. */
export async function expectFailedConnect(
  keystead: Keystead,
  { storeId, cluster, ciphertext }: Pick<Story, "storeId" | "cluster"> & Partial<Story>,
  code: string,
): Promise<void> {
  expect(await connectStore(keystead, storeId)).toBe(code);
  expect(await describeStore(keystead, storeId)).toMatchObject({
    ConnectionState: "FAILED",
    ConnectionErrorCode: code,
  });
  await expectNoStoreNetwork(keystead, storeId, cluster.clusterId);
  if (ciphertext !== undefined)
    expect(await refusal(keystead.kms.send(new DecryptCommand({ CiphertextBlob: ciphertext })))).toBe(
      "KMSInvalidStateException",
    );
}

/** Every repair starts with Disconnect, which clears the code. */
export async function disconnectFailed(keystead: Keystead, storeId: string): Promise<void> {
  await disconnectStore(keystead, storeId);
  expect((await describeStore(keystead, storeId)).ConnectionErrorCode).toBeUndefined();
}

/** The end of every repair: connected, on the network, and the old ciphertext decrypts where there is one. */
export async function expectRepaired(
  keystead: Keystead,
  story: Pick<Story, "storeId" | "cluster"> & Partial<Story>,
): Promise<void> {
  expect(await connectStore(keystead, story.storeId)).toBe("CONNECTED");
  await expectStoreNetwork(keystead, story.storeId, story.cluster.clusterId);
  const { ciphertext, keyArn } = story;
  if (ciphertext !== undefined && keyArn !== undefined)
    await expectOldCiphertext(keystead, { ...story, ciphertext, keyArn });
}

export async function givePassword(
  keystead: Keystead,
  storeId: string,
  KeyStorePassword: string,
): Promise<void> {
  await keystead.kms.send(new UpdateCustomKeyStoreCommand({ CustomKeyStoreId: storeId, KeyStorePassword }));
}

/** An admin sets kmsuser's password, without knowing the old one. */
export async function adminSetsPassword(
  keystead: Keystead,
  clusterId: string,
  password: string,
): Promise<void> {
  const args = { username: "kmsuser", role: "crypto-user", password };
  expect(await keystead.operator(clusterId, "user change-password", args)).toMatchObject({ error_code: 0 });
}

interface NetworkInterface {
  readonly SubnetId: string;
  readonly Description: string;
  readonly Groups: readonly string[];
}
interface SecurityGroup {
  readonly GroupId: string;
  readonly GroupName: string;
  readonly Rules: readonly object[];
}

async function networkOf(
  keystead: Keystead,
  storeId: string,
  clusterId: string,
): Promise<{ interfaces: NetworkInterface[]; groups: SecurityGroup[] }> {
  const { body: enis } = await keystead.manage("GET", "network-interfaces");
  const { body: groups } = await keystead.manage("GET", "security-groups");
  const { networkInterfaces } = enis as { networkInterfaces: NetworkInterface[] };
  const { securityGroups } = groups as { securityGroups: SecurityGroup[] };
  return {
    interfaces: networkInterfaces.filter((eni) => eni.Description.endsWith(`cluster ${clusterId}`)),
    groups: securityGroups.filter((group) => group.GroupName === `kms-${storeId}`),
  };
}

export async function expectNoStoreNetwork(
  keystead: Keystead,
  storeId: string,
  clusterId: string,
): Promise<void> {
  expect(await networkOf(keystead, storeId, clusterId)).toEqual({ interfaces: [], groups: [] });
}

/** Exactly one interface per subnet of the cluster, and the group with its single inbound rule. */
export async function expectStoreNetwork(
  keystead: Keystead,
  storeId: string,
  clusterId: string,
): Promise<void> {
  const { Clusters } = await keystead.cloudhsm.send(
    new DescribeClustersCommand({ Filters: { clusterIds: [clusterId] } }),
  );
  const { SecurityGroup: clusterGroup, SubnetMapping = {} } = Clusters?.[0] ?? {};
  const { interfaces, groups } = await networkOf(keystead, storeId, clusterId);
  expect(groups).toHaveLength(1);
  const [group] = groups;
  const inbound = { Direction: "inbound", Protocol: "tcp", FromPort: 2223, ToPort: 2225, Peer: clusterGroup };
  expect(group?.Rules).toEqual([inbound]);
  expect(interfaces.map((eni) => eni.SubnetId).toSorted()).toEqual(Object.values(SubnetMapping).toSorted());
  const both = [String(group?.GroupId), String(clusterGroup)].toSorted();
  for (const { Description, Groups } of interfaces)
    expect({ Description, Groups: Groups.toSorted() }).toEqual({
      Description: `KMS managed ENI for cluster ${clusterId}`,
      Groups: both,
    });
}

/** Where a cluster's token is, on disk. */
export interface TokenFiles {
  /** The token's own directory, which SoftHSM names. */
  readonly home: string;
  readonly header: string;
  readonly sideCopy: string;
  /** The object files of its keys. */
  readonly keys: readonly string[];
}

export function tokenFiles(keystead: Keystead, clusterId: string): TokenFiles {
  const directory = join(keystead.directory, "clusters", clusterId);
  const homes = readdirSync(join(directory, "tokens"));
  const [name] = homes;
  if (name === undefined || homes.length > 1) throw new Error(`${homes.length} token directories`);
  const home = join(directory, "tokens", name);
  const objects = readdirSync(home).filter((file) => file.endsWith(".object") && file !== "token.object");
  return {
    home,
    header: join(home, "token.object"),
    sideCopy: join(directory, "token.object.copy"),
    keys: objects.map((file) => join(home, file)),
  };
}

/** Run opensc's pkcs11-tool on a cluster's token: an independent process, as an auditor's is. */
export async function pkcs11Tool(
  keystead: Keystead,
  clusterId: string,
  ...args: readonly string[]
): Promise<string> {
  const { body } = await keystead.manage("GET", "pkcs11");
  const { module, clusters } = body as {
    module: string;
    clusters: { clusterId: string; conf: string; tokenLabel: string }[];
  };
  const token = clusters.find((one) => one.clusterId === clusterId);
  if (token === undefined) throw new Error(`${clusterId} has no token`);
  return runPkcs11Tool({ module, conf: token.conf, label: token.tokenLabel }, ...args);
}

/** @throws Error with the tool's own words when it fails */
export function runPkcs11Tool(
  token: { readonly module: string; readonly conf: string; readonly label: string },
  ...args: readonly string[]
): string {
  return execFileSync("pkcs11-tool", ["--module", token.module, "--token-label", token.label, ...args], {
    env: { ...process.env, SOFTHSM2_CONF: token.conf },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}
