/** The six custom key store operations (reference: custom-key-stores §2). */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { findCluster, type ClusterRow } from "../cloudhsm/clusters.ts";
import { AwsError } from "../core/errors.ts";
import { newKeyStoreId } from "../core/ids.ts";
import type { Service } from "../core/operation.ts";
import { oneOf, optional, string, type Input } from "../core/shape.ts";
import {
  clusterCertificate,
  requireActive,
  requireActiveCluster,
  requireNetwork,
  requireTrustAnchor,
  requireTwoHsms,
} from "./key-store-rules.ts";
import { pageOf } from "./paging.ts";
import {
  authorize,
  findKeyStore,
  onAccount,
  onKeyStore,
  requireArrow,
  type Kms,
  type KmsContext,
} from "./service.ts";
import {
  cloudHsmClusterId,
  customKeyStoreId,
  customKeyStoreName,
  externalKeyStoreMembers,
  keyStorePassword,
  limit,
  marker,
} from "./shapes.ts";
import type { KeyStore } from "./store-book.ts";

/** Custom key stores per account and Region (reference: custom-key-stores §1). */
const KEY_STORE_QUOTA = 10;

const createMembers = {
  CustomKeyStoreName: customKeyStoreName,
  CloudHsmClusterId: optional(cloudHsmClusterId),
  TrustAnchorCertificate: optional(string({ min: 1, max: 5000 })),
  KeyStorePassword: optional(keyStorePassword),
  CustomKeyStoreType: optional(oneOf("AWS_CLOUDHSM", "EXTERNAL_KEY_STORE")),
  ...externalKeyStoreMembers,
} as const;

const updateMembers = {
  CustomKeyStoreId: customKeyStoreId,
  NewCustomKeyStoreName: optional(customKeyStoreName),
  KeyStorePassword: optional(keyStorePassword),
  CloudHsmClusterId: optional(cloudHsmClusterId),
  ...externalKeyStoreMembers,
} as const;

interface Wanted {
  readonly name: string;
  readonly clusterId: string;
  readonly trustAnchor: string;
  readonly password: string;
}

function refuseExternalMembers(input: object): void {
  const given = Object.keys(input).filter((name) => name.startsWith("XksProxy"));
  if (given.length > 0)
    throw new AwsError(
      "ValidationException",
      `${given.join(", ")} cannot be used with an AWS CloudHSM key store.`,
    );
}

/** Members that the model does not require but an AWS CloudHSM key store does. */
function wantedStore(input: Input<typeof createMembers>): Wanted {
  const { CustomKeyStoreName: name, CloudHsmClusterId: clusterId } = input;
  const { TrustAnchorCertificate: trustAnchor, KeyStorePassword: password } = input;
  if (clusterId === undefined || trustAnchor === undefined || password === undefined)
    throw new AwsError(
      "ValidationException",
      "CloudHsmClusterId, KeyStorePassword and TrustAnchorCertificate are required for an AWS CloudHSM key store.",
    );
  return { name, clusterId, trustAnchor, password };
}

/** Compared as keyed digests, so that the time taken tells nothing of the password (reliability T10). */
function samePassword(a: string, b: string): boolean {
  const key = randomBytes(32);
  const digest = (text: string): Buffer => createHmac("sha256", key).update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Creating what exists with the very same properties, while DISCONNECTED, returns it. */
function identicalStore(kms: Kms, wanted: Wanted): KeyStore | undefined {
  const existing = kms.keyStores.byName(wanted.name);
  if (existing?.ConnectionState !== "DISCONNECTED") return undefined;
  const same = samePassword(kms.passwords.current(existing), wanted.password);
  const alike =
    existing.CloudHsmClusterId === wanted.clusterId && existing.TrustAnchorCertificate === wanted.trustAnchor;
  return same && alike ? existing : undefined;
}

function requireFreeName(kms: Kms, name: string): void {
  if (kms.keyStores.byName(name) !== undefined)
    throw new AwsError(
      "CustomKeyStoreNameInUseException",
      `The custom key store name ${name} is already in use in this account and Region.`,
    );
}

/** A cluster, or one with the same backup history, serves one store only. */
function requireFreeCluster(kms: Kms, cluster: ClusterRow): void {
  const certificate = clusterCertificate(cluster);
  const taken = kms.keyStores
    .all()
    .some(
      (other) => other.CloudHsmClusterId === cluster.ClusterId || other.ClusterCertificate === certificate,
    );
  if (taken)
    throw new AwsError(
      "CloudHsmClusterInUseException",
      `The CloudHSM cluster ${cluster.ClusterId} is already associated with a custom key store, or shares a backup history with one that is.`,
    );
}

async function create(kms: Kms, wanted: Wanted): Promise<{ CustomKeyStoreId: string }> {
  const identical = identicalStore(kms, wanted);
  if (identical !== undefined) return { CustomKeyStoreId: identical.CustomKeyStoreId };
  if (kms.keyStores.all().length >= KEY_STORE_QUOTA)
    throw new AwsError(
      "LimitExceededException",
      `You can have at most ${KEY_STORE_QUOTA} custom key stores.`,
    );
  requireFreeName(kms, wanted.name);
  const cluster = await requireActiveCluster(kms, wanted.clusterId);
  requireFreeCluster(kms, cluster);
  await requireNetwork(kms, cluster);
  await requireTwoHsms(kms, wanted.clusterId);
  requireTrustAnchor(cluster, wanted.trustAnchor);
  const id = newKeyStoreId();
  await kms.keyStores.add({
    CustomKeyStoreId: id,
    CustomKeyStoreName: wanted.name,
    CloudHsmClusterId: wanted.clusterId,
    TrustAnchorCertificate: wanted.trustAnchor,
    ClusterCertificate: clusterCertificate(cluster),
    ConnectionState: "DISCONNECTED",
    ConnectionErrorCode: null,
    CreationDate: kms.clock.now(),
    PasswordSealed: kms.passwords.seal(id, 1, wanted.password),
    PendingSealed: null,
    PasswordGeneration: 1,
  });
  return { CustomKeyStoreId: id };
}

function structureOf(keyStore: KeyStore): object {
  return {
    CustomKeyStoreId: keyStore.CustomKeyStoreId,
    CustomKeyStoreName: keyStore.CustomKeyStoreName,
    CloudHsmClusterId: keyStore.CloudHsmClusterId,
    TrustAnchorCertificate: keyStore.TrustAnchorCertificate,
    ConnectionState: keyStore.ConnectionState,
    ConnectionErrorCode: keyStore.ConnectionErrorCode ?? undefined,
    CreationDate: keyStore.CreationDate / 1000,
    CustomKeyStoreType: "AWS_CLOUDHSM",
  };
}

function selectStores(kms: Kms, id: string | undefined, name: string | undefined): KeyStore[] {
  if (id !== undefined && name !== undefined)
    throw new AwsError(
      "ValidationException",
      "You can specify CustomKeyStoreId or CustomKeyStoreName, not both.",
    );
  if (id !== undefined) return [findKeyStore(kms, id)];
  if (name === undefined) return kms.keyStores.all();
  const named = kms.keyStores.byName(name);
  if (named === undefined)
    throw new AwsError("CustomKeyStoreNotFoundException", `No custom key store is named ${name}.`);
  return [named];
}

/** The checks of a new cluster id: it must share the backup history of the original cluster. */
async function requireRelatedCluster(kms: Kms, keyStore: KeyStore, clusterId: string): Promise<void> {
  const cluster = await findCluster(kms.store.db, clusterId);
  if (cluster === undefined)
    throw new AwsError(
      "CloudHsmClusterNotFoundException",
      `The CloudHSM cluster ${clusterId} does not exist.`,
    );
  if (clusterCertificate(cluster) !== keyStore.ClusterCertificate)
    throw new AwsError(
      "CloudHsmClusterNotRelatedException",
      `The CloudHSM cluster ${clusterId} does not share a backup history with the cluster of the custom key store.`,
    );
  requireActive(cluster);
  await requireNetwork(kms, cluster);
  await requireTwoHsms(kms, clusterId);
}

async function update(kms: Kms, keyStore: KeyStore, input: Input<typeof updateMembers>): Promise<void> {
  const { NewCustomKeyStoreName: name, CloudHsmClusterId: clusterId, KeyStorePassword: password } = input;
  if (name !== undefined && name !== keyStore.CustomKeyStoreName) requireFreeName(kms, name);
  if (clusterId !== undefined) await requireRelatedCluster(kms, keyStore, clusterId);
  const values = {
    ...(name === undefined ? {} : { CustomKeyStoreName: name }),
    ...(clusterId === undefined ? {} : { CloudHsmClusterId: clusterId }),
  };
  if (password !== undefined) await kms.passwords.replace(keyStore, password, values);
  else if (Object.keys(values).length > 0) await kms.keyStores.set(keyStore.CustomKeyStoreId, values);
}

function onlyRenames(input: Input<typeof updateMembers>): boolean {
  return input.KeyStorePassword === undefined && input.CloudHsmClusterId === undefined;
}

/** The fast failures of ConnectCustomKeyStore; a cluster that does not exist is the workflow's to find. */
async function requireConnectable(kms: Kms, keyStore: KeyStore): Promise<void> {
  const cluster = await findCluster(kms.store.db, keyStore.CloudHsmClusterId);
  if (cluster === undefined) return;
  requireActive(cluster);
  await requireNetwork(kms, cluster);
}

/** A connect may end at this very moment, outside the store's turn: then its new state is moved on. */
async function moveToDisconnecting(kms: Kms, id: string): Promise<void> {
  let moved = false;
  while (!moved) {
    const from = findKeyStore(kms, id);
    moved = await kms.keyStores.move(id, from.ConnectionState, requireArrow(from, "disconnect"));
  }
}

/** DescribeCustomKeyStores has no documented page size; the most that Limit allows. */
const LIST = { list: "DescribeCustomKeyStores", of: "", usual: 1000 } as const;

/** Milliseconds of 15 digits sort as text until the year 33658. */
function oldestFirst({ CreationDate, CustomKeyStoreId }: KeyStore): string {
  return `${Math.trunc(CreationDate).toString().padStart(15, "0")} ${CustomKeyStoreId}`;
}

/** One name, one cluster, one quota: creations take turns. */
const CREATION = "create a custom key store";

export const keyStores: Service<KmsContext> = {
  CreateCustomKeyStore: onAccount(
    { coverage: { kind: "partial", note: "EXTERNAL_KEY_STORE is refused" } },
    createMembers,
    (input, context) => {
      const { kms, operation } = context;
      kms.rates.keyStoreOperation(operation);
      // KMS looks the cluster up in the caller's name.
      authorize(context, "cloudhsm:DescribeClusters", "*", {});
      if (input.CustomKeyStoreType === "EXTERNAL_KEY_STORE")
        throw new AwsError("UnsupportedOperationException", "keystead does not support external key stores.");
      refuseExternalMembers(input);
      const wanted = wantedStore(input);
      return kms.turns.run(CREATION, () => create(kms, wanted));
    },
  ),

  DescribeCustomKeyStores: onAccount(
    {},
    {
      CustomKeyStoreId: optional(customKeyStoreId),
      CustomKeyStoreName: optional(customKeyStoreName),
      Limit: optional(limit),
      Marker: optional(marker),
    },
    (input, { kms, operation }) => {
      kms.rates.keyStoreOperation(operation);
      const selected = selectStores(kms, input.CustomKeyStoreId, input.CustomKeyStoreName);
      const { entries, paging } = pageOf(LIST, selected, oldestFirst, input);
      for (const keyStore of entries) kms.transitions.observe(keyStore.CustomKeyStoreId);
      return Promise.resolve({ CustomKeyStores: entries.map(structureOf), ...paging });
    },
  ),

  UpdateCustomKeyStore: onKeyStore(
    { event: (input) => (onlyRenames(input) ? "rename" : "reconfigure") },
    updateMembers,
    (input, { kms, keyStore }) => {
      refuseExternalMembers(input);
      return kms.turns.run(CREATION, async () => {
        await update(kms, keyStore, input);
        return undefined;
      });
    },
  ),

  ConnectCustomKeyStore: onKeyStore(
    { event: "connect" },
    { CustomKeyStoreId: customKeyStoreId },
    async (_input, { kms, keyStore }) => {
      // Connecting what is CONNECTED or CONNECTING changes nothing: no second rotation.
      if (keyStore.ConnectionState !== "DISCONNECTED") return undefined;
      await requireConnectable(kms, keyStore);
      await kms.keyStores.move(keyStore.CustomKeyStoreId, "DISCONNECTED", "CONNECTING");
      kms.reconciler.wake(keyStore.CustomKeyStoreId);
      return undefined;
    },
  ),

  DisconnectCustomKeyStore: onKeyStore(
    { event: "disconnect" },
    { CustomKeyStoreId: customKeyStoreId },
    async (_input, { kms, keyStore }) => {
      await moveToDisconnecting(kms, keyStore.CustomKeyStoreId);
      kms.reconciler.wake(keyStore.CustomKeyStoreId);
      return undefined;
    },
  ),

  DeleteCustomKeyStore: onKeyStore(
    { event: "delete" },
    { CustomKeyStoreId: customKeyStoreId },
    async (_input, { kms, keyStore }) => {
      if (kms.keys.ofStore(keyStore.CustomKeyStoreId).length > 0)
        throw new AwsError(
          "CustomKeyStoreHasCMKsException",
          `The custom key store ${keyStore.CustomKeyStoreId} contains KMS keys. Schedule their deletion and wait until they are deleted.`,
        );
      await kms.keyStores.remove(keyStore.CustomKeyStoreId);
      kms.progress.forget(keyStore.CustomKeyStoreId);
      return undefined;
    },
  ),
};
