/**
 * The connection states of a custom key store, cell by cell: what each operation answers in
 * each state and which state it leaves behind (reference: custom-key-stores §4). Transitional
 * states are held by a frozen virtual clock, so nothing here depends on timing.
 */
import {
  ConnectCustomKeyStoreCommand,
  CreateKeyCommand,
  DeleteCustomKeyStoreCommand,
  DescribeCustomKeyStoresCommand,
  DisconnectCustomKeyStoreCommand,
  GenerateRandomCommand,
  UpdateCustomKeyStoreCommand,
  type ConnectionStateType,
} from "@aws-sdk/client-kms";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  connectedStore,
  createStore,
  describeStore,
  readyCluster,
  refusal,
  startKeystead,
  waitForStore,
  type Keystead,
} from "./harness.ts";
import { adminSetsPassword, givePassword, tokenFiles } from "./connection-story.ts";

const HELD_SECONDS = 60;
const PASSWORD = "tablePswd1";
const MODEL = "transitions/kms::custom-key-store";

const IS = "CustomKeyStoreInvalidStateException";
const HAS_KEYS = "CustomKeyStoreHasCMKsException";
const OK = "none";

/** Without keys, and with one; both in the state under test. */
interface Stores {
  readonly empty: string;
  readonly used: string;
}

const OPERATIONS = {
  Connect: (keystead: Keystead, { empty }: Stores) =>
    keystead.kms.send(new ConnectCustomKeyStoreCommand({ CustomKeyStoreId: empty })),
  Disconnect: (keystead: Keystead, { empty }: Stores) =>
    keystead.kms.send(new DisconnectCustomKeyStoreCommand({ CustomKeyStoreId: empty })),
  Rename: (keystead: Keystead, { empty }: Stores) =>
    keystead.kms.send(
      new UpdateCustomKeyStoreCommand({ CustomKeyStoreId: empty, NewCustomKeyStoreName: "Renamed" }),
    ),
  "Update password": (keystead: Keystead, { empty }: Stores) =>
    keystead.kms.send(
      new UpdateCustomKeyStoreCommand({ CustomKeyStoreId: empty, KeyStorePassword: PASSWORD }),
    ),
  "Rename and update password": (keystead: Keystead, { empty }: Stores) =>
    keystead.kms.send(
      new UpdateCustomKeyStoreCommand({
        CustomKeyStoreId: empty,
        NewCustomKeyStoreName: "Renamed",
        KeyStorePassword: PASSWORD,
      }),
    ),
  "Delete with keys": (keystead: Keystead, { used }: Stores) =>
    keystead.kms.send(new DeleteCustomKeyStoreCommand({ CustomKeyStoreId: used })),
  CreateKey: (keystead: Keystead, { used }: Stores) =>
    keystead.kms.send(new CreateKeyCommand({ CustomKeyStoreId: used, Origin: "AWS_CLOUDHSM" })),
  GenerateRandom: (keystead: Keystead, { used }: Stores) =>
    keystead.kms.send(new GenerateRandomCommand({ CustomKeyStoreId: used, NumberOfBytes: 8 })),
  Describe: (keystead: Keystead, { empty }: Stores) =>
    keystead.kms.send(new DescribeCustomKeyStoresCommand({ CustomKeyStoreId: empty })),
  Delete: (keystead: Keystead, { empty }: Stores) =>
    keystead.kms.send(new DeleteCustomKeyStoreCommand({ CustomKeyStoreId: empty })),
} as const;
type Operation = keyof typeof OPERATIONS;

interface Cell {
  readonly answer: string;
  /** The state afterwards, where the call changes it; "gone" when the store is. */
  readonly next?: ConnectionStateType | "gone";
}

const refused: Cell = { answer: IS };
const allowed: Cell = { answer: OK };
const refusedAll: Record<Operation, Cell> = {
  Connect: refused,
  Disconnect: refused,
  Rename: refused,
  "Update password": refused,
  "Rename and update password": refused,
  // With keys AWS answers this or HasCMKs; which one is unconfirmed.
  "Delete with keys": refused,
  CreateKey: refused,
  GenerateRandom: refused,
  Describe: allowed,
  Delete: refused,
};

const TABLE: Readonly<Record<ConnectionStateType, Readonly<Record<Operation, Cell>>>> = {
  DISCONNECTED: {
    ...refusedAll,
    Connect: { answer: OK, next: "CONNECTING" },
    Rename: allowed,
    "Update password": allowed,
    "Rename and update password": allowed,
    "Delete with keys": { answer: HAS_KEYS },
    Delete: { answer: OK, next: "gone" },
  },
  CONNECTING: { ...refusedAll, Connect: allowed, Disconnect: { answer: OK, next: "DISCONNECTING" } },
  CONNECTED: {
    ...refusedAll,
    Connect: allowed,
    Disconnect: { answer: OK, next: "DISCONNECTING" },
    Rename: allowed,
    CreateKey: allowed,
    GenerateRandom: allowed,
  },
  DISCONNECTING: refusedAll,
  FAILED: { ...refusedAll, Disconnect: { answer: OK, next: "DISCONNECTING" } },
};

async function hold(keystead: Keystead): Promise<void> {
  await keystead.manage("PUT", MODEL, { progression: "time", seconds: HELD_SECONDS });
}

/** Let what is held go on, and lifecycles after it take no time. */
async function release(keystead: Keystead): Promise<void> {
  await keystead.manage("DELETE", MODEL);
  await keystead.manage("POST", "clock/advance", { by: HELD_SECONDS });
}

async function start(keystead: Keystead, id: string, what: "Connect" | "Disconnect"): Promise<void> {
  await OPERATIONS[what](keystead, { empty: id, used: id });
}

/** From DISCONNECTED to where the state is one call away, or reached; transitions take no time. */
const APPROACH: Readonly<
  Partial<Record<ConnectionStateType, (keystead: Keystead, id: string) => Promise<void>>>
> = {
  CONNECTED: connectedFirst,
  DISCONNECTING: connectedFirst,
  FAILED: async (keystead, id) => {
    await givePassword(keystead, id, "notIt1234");
    await start(keystead, id, "Connect");
    await waitForStore(keystead, id, "FAILED");
  },
};

async function connectedFirst(keystead: Keystead, id: string): Promise<void> {
  await start(keystead, id, "Connect");
  await waitForStore(keystead, id, "CONNECTED");
}

/** Take stores that are DISCONNECTED into a state, and leave transitions held. */
async function enter(keystead: Keystead, state: ConnectionStateType, ids: readonly string[]): Promise<void> {
  await keystead.manage("DELETE", MODEL);
  for (const id of ids) await APPROACH[state]?.(keystead, id);
  await hold(keystead);
  const last = { CONNECTING: "Connect", DISCONNECTING: "Disconnect" } as const;
  for (const id of ids) {
    if (state in last) await start(keystead, id, last[state as keyof typeof last]);
    expect(await stateOf(keystead, id)).toBe(state);
  }
}

async function toDisconnected(keystead: Keystead, id: string, clusterId: string): Promise<void> {
  await release(keystead);
  const entry = await waitForStore(keystead, id, "CONNECTED", "FAILED", "DISCONNECTED");
  if (entry.ConnectionState !== "DISCONNECTED") await start(keystead, id, "Disconnect");
  await waitForStore(keystead, id, "DISCONNECTED");
  // Whatever passwords the cells have left.
  await adminSetsPassword(keystead, clusterId, PASSWORD);
  await givePassword(keystead, id, PASSWORD);
}

/** One server with the two stores, DISCONNECTED, on a frozen clock. */
async function prepare(): Promise<{ keystead: Keystead; stores: Stores; clusters: Stores }> {
  const keystead = await startKeystead();
  await keystead.manage("POST", "clock/freeze");
  const { storeId: used, cluster: usedCluster } = await connectedStore(keystead);
  const emptyCluster = await readyCluster(keystead);
  const empty = await createStore(keystead, emptyCluster, "Empty");
  const clusters = { empty: emptyCluster.clusterId, used: usedCluster.clusterId };
  await toDisconnected(keystead, used, clusters.used);
  await toDisconnected(keystead, empty, clusters.empty);
  return { keystead, stores: { empty, used }, clusters };
}

async function stateOf(keystead: Keystead, id: string): Promise<string> {
  const found = describeStore(keystead, id);
  const gone = (await refusal(found)) === "CustomKeyStoreNotFoundException";
  return gone ? "gone" : String((await found).ConnectionState);
}

async function expectCell(
  keystead: Keystead,
  stores: Stores,
  state: ConnectionStateType,
  operation: Operation,
): Promise<void> {
  const cell = TABLE[state][operation];
  const what = `${operation} while ${state}`;
  const answer = await refusal(OPERATIONS[operation](keystead, stores));
  expect.soft(answer, what).toBe(cell.answer);
  expect.soft(await stateOf(keystead, stores.empty), `${what}: then`).toBe(cell.next ?? state);
  if (operation !== "Describe") return;
  const { ConnectionErrorCode } = await describeStore(keystead, stores.empty);
  expect.soft(ConnectionErrorCode, what).toBe(state === "FAILED" ? "INVALID_CREDENTIALS" : undefined);
}

test.each(Object.keys(TABLE) as ConnectionStateType[])("every operation while %s", async (state) => {
  const { keystead, stores, clusters } = await prepare();
  await enter(keystead, state, [stores.used, stores.empty]);
  for (const operation of Object.keys(OPERATIONS) as Operation[]) {
    await expectCell(keystead, stores, state, operation);
    if (TABLE[state][operation].next === undefined || operation === "Delete") continue;
    await toDisconnected(keystead, stores.empty, clusters.empty);
    await toDisconnected(keystead, stores.used, clusters.used);
    await enter(keystead, state, [stores.used, stores.empty]);
  }
});

async function oneStore(): Promise<{ keystead: Keystead; storeId: string; clusterId: string }> {
  const keystead = await startKeystead();
  const cluster = await readyCluster(keystead);
  return { keystead, storeId: await createStore(keystead, cluster), clusterId: cluster.clusterId };
}

test("held transitions go on: CONNECTING to CONNECTED, DISCONNECTING to DISCONNECTED", async () => {
  const { keystead, storeId } = await oneStore();
  await keystead.manage("POST", "clock/freeze");
  await enter(keystead, "CONNECTING", [storeId]);
  await release(keystead);
  await waitForStore(keystead, storeId, "CONNECTED");
  await hold(keystead);
  await start(keystead, storeId, "Disconnect");
  expect(await stateOf(keystead, storeId)).toBe("DISCONNECTING");
  await release(keystead);
  await waitForStore(keystead, storeId, "DISCONNECTED");
});

test("a manual progression goes on when the store has been described so many times", async () => {
  const { keystead, storeId } = await oneStore();
  await keystead.manage("PUT", MODEL, { progression: "manual", times: 3 });
  await start(keystead, storeId, "Connect");
  expect(await stateOf(keystead, storeId)).toBe("CONNECTING");
  await waitForStore(keystead, storeId, "CONNECTED");
});

test("Connect on a CONNECTED store changes no password", async () => {
  const { keystead, storeId, clusterId } = await oneStore();
  await connectedFirst(keystead, storeId);
  const { header } = tokenFiles(keystead, clusterId);
  const before = readFileSync(header);
  await start(keystead, storeId, "Connect");
  expect(await stateOf(keystead, storeId)).toBe("CONNECTED");
  expect(readFileSync(header)).toEqual(before);
});
