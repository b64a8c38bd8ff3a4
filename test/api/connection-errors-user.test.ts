/** The ConnectionErrorCodes of kmsuser: wrong password, locked out, logged in, not there (reference: custom-key-stores §7). */
import { CreateHsmCommand } from "@aws-sdk/client-cloudhsm-v2";
import { expect, test, vi } from "vitest";
import {
  ADMIN_PASSWORD,
  connectStore,
  createStore,
  disconnectStore,
  hasProgram,
  KMSUSER_PASSWORD,
  readyCluster,
  startKeystead,
  type Keystead,
  type ReadyCluster,
} from "./harness.ts";
import {
  adminSetsPassword,
  disconnectedStory,
  disconnectFailed,
  expectFailedConnect,
  expectRepaired,
  givePassword,
  pkcs11Tool,
} from "./connection-story.ts";

const KMSUSER = { username: "kmsuser", role: "crypto-user" };

/** As the user list of the operator's tool says. */
async function isLocked(keystead: Keystead, clusterId: string): Promise<boolean> {
  const { data } = await keystead.operator(clusterId, "user list");
  const { users } = data as { users: { username: string; locked: string }[] };
  return users.find((user) => user.username === "kmsuser")?.locked === "true";
}

test("INVALID_CREDENTIALS: a wrong KeyStorePassword at creation, and later in an update", async () => {
  const keystead = await startKeystead();
  const cluster = await readyCluster(keystead);
  const storeId = await createStore(keystead, cluster, "WrongPassword", "notIt1234");
  await expectFailedConnect(keystead, { storeId, cluster }, "INVALID_CREDENTIALS");
  await disconnectFailed(keystead, storeId);
  await givePassword(keystead, storeId, KMSUSER_PASSWORD);
  await expectRepaired(keystead, { storeId, cluster });
  // The connect has changed it: what the user gave is the password no more.
  await disconnectStore(keystead, storeId);
  await givePassword(keystead, storeId, KMSUSER_PASSWORD);
  await expectFailedConnect(keystead, { storeId, cluster }, "INVALID_CREDENTIALS");
  await disconnectFailed(keystead, storeId);
  await adminSetsPassword(keystead, cluster.clusterId, "backAgain1");
  await givePassword(keystead, storeId, "backAgain1");
  await expectRepaired(keystead, { storeId, cluster });
});

test("INVALID_CREDENTIALS: an admin changed the password of kmsuser while the store was disconnected", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  await adminSetsPassword(keystead, story.cluster.clusterId, "changed7");
  await expectFailedConnect(keystead, story, "INVALID_CREDENTIALS");
  await disconnectFailed(keystead, story.storeId);
  await givePassword(keystead, story.storeId, "changed7");
  await expectRepaired(keystead, story);
});

test.skipIf(!hasProgram("pkcs11-tool"))(
  "INVALID_CREDENTIALS: pkcs11-tool changed the PIN from outside while the store was disconnected (needs pkcs11-tool)",
  async () => {
    const keystead = await startKeystead();
    const story = await disconnectedStory(keystead);
    const { clusterId } = story.cluster;
    await adminSetsPassword(keystead, clusterId, "known777");
    await givePassword(keystead, story.storeId, "known777");
    await expectRepaired(keystead, story);
    await disconnectStore(keystead, story.storeId);
    await adminSetsPassword(keystead, clusterId, "known888");
    await givePassword(keystead, story.storeId, "known888");
    await pkcs11Tool(
      keystead,
      clusterId,
      "--login",
      "--pin",
      "known888",
      "--change-pin",
      "--new-pin",
      "outside99",
    );
    await expectFailedConnect(keystead, story, "INVALID_CREDENTIALS");
    await disconnectFailed(keystead, story.storeId);
    await givePassword(keystead, story.storeId, "outside99");
    await expectRepaired(keystead, story);
  },
);

test("USER_LOCKED_OUT: after five wrong passwords the right one is refused too, until an admin changes it", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const { clusterId } = story.cluster;
  await adminSetsPassword(keystead, clusterId, "theRight1");
  for (let failures = 1; failures <= 5; failures += 1) {
    await givePassword(keystead, story.storeId, `wrong${failures}23`);
    expect(await isLocked(keystead, clusterId)).toBe(false);
    await expectFailedConnect(keystead, story, "INVALID_CREDENTIALS");
    await disconnectFailed(keystead, story.storeId);
  }
  expect(await isLocked(keystead, clusterId)).toBe(true);
  await givePassword(keystead, story.storeId, "theRight1");
  await expectFailedConnect(keystead, story, "USER_LOCKED_OUT");
  await disconnectFailed(keystead, story.storeId);
  await adminSetsPassword(keystead, clusterId, "theNext1");
  expect(await isLocked(keystead, clusterId)).toBe(false);
  await givePassword(keystead, story.storeId, "theNext1");
  await expectRepaired(keystead, story);
});

test("a successful connect starts the count of failed logins again", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  for (const round of ["first", "second"]) {
    await adminSetsPassword(keystead, story.cluster.clusterId, `${round}Right`);
    for (let failures = 1; failures <= 3; failures += 1) {
      await givePassword(keystead, story.storeId, `wrong${failures}23`);
      await expectFailedConnect(keystead, story, "INVALID_CREDENTIALS");
      await disconnectFailed(keystead, story.storeId);
    }
    await givePassword(keystead, story.storeId, `${round}Right`);
    await expectRepaired(keystead, story);
    await disconnectStore(keystead, story.storeId);
  }
});

test("USER_LOGGED_IN: an operator is logged in as kmsuser; log it out and give its password", async () => {
  const keystead = await startKeystead();
  const story = await disconnectedStory(keystead);
  const { clusterId } = story.cluster;
  await adminSetsPassword(keystead, clusterId, "operator1");
  await givePassword(keystead, story.storeId, "operator1");
  const login = { ...KMSUSER, password: "operator1" };
  const { error_code, session } = await keystead.operator(clusterId, "login", login, null);
  expect(error_code).toBe(0);
  await expectFailedConnect(keystead, story, "USER_LOGGED_IN");
  await disconnectFailed(keystead, story.storeId);
  await keystead.operator(clusterId, "logout", {}, null, session);
  await expectRepaired(keystead, story);
  // The other way round: while KMS is kmsuser, nobody else is.
  expect(await keystead.operator(clusterId, "login", login, null)).toMatchObject({ error_code: 1 });
});

/** Through the public operations and an operator's activation, which is all that a cluster needs but kmsuser. */
async function clusterWithoutKmsuser(keystead: Keystead): Promise<ReadyCluster> {
  const { body } = await keystead.manage("POST", "clusters", {});
  const { clusterId } = body as { clusterId: string };
  const addHsm = (AvailabilityZone: string): Promise<void> =>
    vi.waitFor(
      async () => {
        await keystead.cloudhsm.send(new CreateHsmCommand({ ClusterId: clusterId, AvailabilityZone }));
      },
      { timeout: 20_000 },
    );
  await addHsm("us-east-1a");
  const initialized = await vi.waitFor(
    async () => {
      const answer = await keystead.manage("POST", `clusters/${clusterId}/init`, {
        adminPassword: ADMIN_PASSWORD,
      });
      expect(answer.status).toBe(200);
      return answer;
    },
    { timeout: 20_000 },
  );
  await addHsm("us-east-1b");
  return initialized.body as ReadyCluster;
}

test("USER_NOT_FOUND: kmsuser was never created, and the token says so", async () => {
  const keystead = await startKeystead();
  const cluster = await clusterWithoutKmsuser(keystead);
  // The second HSM may still be on its way.
  const storeId = await vi.waitFor(() => createStore(keystead, cluster, "NoKmsuser", "notYet123"), {
    timeout: 20_000,
  });
  await expectFailedConnect(keystead, { storeId, cluster }, "USER_NOT_FOUND");
  await disconnectFailed(keystead, storeId);
  const created = { ...KMSUSER, password: "created77" };
  expect(await keystead.operator(cluster.clusterId, "user create", created)).toMatchObject({ error_code: 0 });
  await givePassword(keystead, storeId, "created77");
  await expectRepaired(keystead, { storeId, cluster });
});

test("USER_NOT_FOUND: kmsuser, which owned no keys, was deleted", async () => {
  const keystead = await startKeystead();
  const cluster = await readyCluster(keystead);
  const storeId = await createStore(keystead, cluster);
  expect(await connectStore(keystead, storeId)).toBe("CONNECTED");
  await disconnectStore(keystead, storeId);
  expect(await keystead.operator(cluster.clusterId, "user delete", KMSUSER)).toMatchObject({ error_code: 0 });
  await expectFailedConnect(keystead, { storeId, cluster }, "USER_NOT_FOUND");
  await disconnectFailed(keystead, storeId);
  const created = { ...KMSUSER, password: "again1234" };
  expect(await keystead.operator(cluster.clusterId, "user create", created)).toMatchObject({ error_code: 0 });
  await givePassword(keystead, storeId, "again1234");
  await expectRepaired(keystead, { storeId, cluster });
});
