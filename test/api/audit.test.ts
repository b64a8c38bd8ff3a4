/**
 * The audit: what somebody finds who goes to the token without keystead. opensc's
 * pkcs11-tool is the independent process, and its pkcs11-spy the witness of every C_* call.
 */
import { DecryptCommand, EncryptCommand } from "@aws-sdk/client-kms";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { openStore } from "../../src/store/database.ts";
import { openVault } from "../../src/store/vault.ts";
import { connectedStore, disconnectStore, hasProgram, startKeystead, temporaryDirectory } from "./harness.ts";
import {
  adminSetsPassword,
  disconnectedStory,
  expectFailedConnect,
  disconnectFailed,
  expectOldCiphertext,
  expectRepaired,
  givePassword,
  pkcs11Tool,
  runPkcs11Tool,
} from "./connection-story.ts";

const SOFTHSM = loadConfig({ dataDir: "unused" }, {}).module;

/** The password that only the server knows: from its database and key file, while no server owns them. */
async function rotatedPassword(directory: string, storeId: string): Promise<string> {
  const store = await openStore(directory);
  try {
    const row = await store.db
      .selectFrom("key_stores")
      .selectAll()
      .where("CustomKeyStoreId", "=", storeId)
      .executeTakeFirstOrThrow();
    return openVault(directory).open(row.PasswordSealed, storeId, String(row.PasswordGeneration));
  } finally {
    await store.close();
  }
}

test.skipIf(!hasProgram("pkcs11-tool"))(
  "disconnected, kmsuser sees the key on the token, and gives it back to KMS (needs pkcs11-tool)",
  async () => {
    const keystead = await startKeystead();
    const story = await disconnectedStory(keystead);
    const { clusterId } = story.cluster;
    await adminSetsPassword(keystead, clusterId, "auditor77");
    const listing = await pkcs11Tool(keystead, clusterId, "--login", "--pin", "auditor77", "-O");
    expect(listing.match(/Secret Key Object/g)).toHaveLength(1);
    expect(listing).toMatch(/AES length 32/);
    expect(listing).toContain(story.keyArn);
    expect(listing).toMatch(/Usage:\s+encrypt, decrypt\n/);
    expect(listing).toMatch(/Access:\s+sensitive, always sensitive, never extractable, local/);
    // pkcs11-tool has logged out with its end. KMS does not know the auditor's password yet.
    await expectFailedConnect(keystead, story, "INVALID_CREDENTIALS");
    await disconnectFailed(keystead, story.storeId);
    await givePassword(keystead, story.storeId, "auditor77");
    await expectRepaired(keystead, story);
  },
);

test.skipIf(!hasProgram("pkcs11-tool"))(
  "after a connect the password that was given fails, and the one that only the server knows works (needs pkcs11-tool)",
  async () => {
    const directory = temporaryDirectory();
    const keystead = await startKeystead({ dataDir: directory });
    const story = await disconnectedStory(keystead);
    const { clusterId } = story.cluster;
    await adminSetsPassword(keystead, clusterId, "given1234");
    await givePassword(keystead, story.storeId, "given1234");
    expect(await pkcs11Tool(keystead, clusterId, "--login", "--pin", "given1234", "-O")).toContain(
      story.keyArn,
    );
    await expectRepaired(keystead, story);
    await keystead.server.close();
    const conf = join(directory, "clusters", clusterId, "softhsm2.conf");
    const token = { module: SOFTHSM, conf, label: clusterId };
    expect(() => runPkcs11Tool(token, "--login", "--pin", "given1234", "-O")).toThrow("CKR_PIN_INCORRECT");
    const password = await rotatedPassword(directory, story.storeId);
    expect(password).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(runPkcs11Tool(token, "--login", "--pin", password, "-O")).toContain(story.keyArn);
    // Nobody has changed anything: the server takes up where it stopped.
    const restarted = await startKeystead({ dataDir: directory });
    await vi.waitFor(async () => expect((await restarted.manage("GET", "ready")).status).toBe(200), {
      timeout: 20_000,
    });
    await expectOldCiphertext(restarted, story);
    await disconnectStore(restarted, story.storeId);
    await expectRepaired(restarted, story);
    await restarted.server.close();
    expect(await rotatedPassword(directory, story.storeId)).not.toBe(password);
  },
);

/** Debian has it in a directory of the machine's architecture, others in /usr/lib64. */
function findSpy(): string | undefined {
  const roots = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].filter((root) => existsSync(root));
  return roots
    .flatMap((root) => [root, ...readdirSync(root).map((name) => join(root, name))])
    .flatMap((directory) => [join(directory, "pkcs11", "pkcs11-spy.so"), join(directory, "pkcs11-spy.so")])
    .find((path) => existsSync(path));
}

const spy = findSpy();

test.skipIf(spy === undefined)(
  "a PKCS#11 spy between keystead and the token sees the calls that matter (needs opensc's pkcs11-spy.so)",
  async () => {
    const log = join(temporaryDirectory(), "spy.log");
    vi.stubEnv("PKCS11SPY", SOFTHSM);
    vi.stubEnv("PKCS11SPY_OUTPUT", log);
    onTestFinished(() => {
      vi.unstubAllEnvs();
    });
    const keystead = await startKeystead({ module: spy });
    const { storeId, keyArn } = await connectedStore(keystead);
    const { CiphertextBlob } = await keystead.kms.send(
      new EncryptCommand({ KeyId: keyArn, Plaintext: Buffer.from("witnessed") }),
    );
    const { Plaintext } = await keystead.kms.send(new DecryptCommand({ CiphertextBlob }));
    expect(Buffer.from(Plaintext ?? []).toString()).toBe("witnessed");
    await disconnectStore(keystead, storeId);
    const seen = new Set(
      readFileSync(log, "latin1")
        .match(/^\d+: C_\w+$/gm)
        ?.map((line) => line.replace(/^\d+: /, "")),
    );
    for (const call of [
      "C_InitToken",
      "C_InitPIN",
      "C_Login",
      "C_SetPIN",
      "C_GenerateKey",
      "C_EncryptInit",
      "C_Encrypt",
      "C_DecryptInit",
      "C_Decrypt",
      "C_Logout",
    ])
      expect.soft(seen, `${call} in ${[...seen].join(" ")}`).toContain(call);
  },
);
