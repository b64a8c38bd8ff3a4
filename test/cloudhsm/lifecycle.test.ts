/**
 * A cluster's whole life on a real SoftHSM token: create, CSR, openssl as the customer's
 * certificate authority, initialise, activate, users, lock-out over a restart, delete.
 * Skipped where there is no SoftHSM.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, expect, test } from "vitest";
import { findCluster } from "../../src/cloudhsm/clusters.ts";
import { createReadyCluster } from "../../src/cloudhsm/quick-cluster.ts";
import { kmsuserStanding } from "../../src/cloudhsm/users.ts";
import { Tokens } from "../../src/hsm/tokens.ts";
import { ADMIN, ADMIN_PASSWORD, bench, KMSUSER, KMSUSER_PASSWORD, type Bench } from "./harness.ts";

const MODULE = [
  process.env["KEYSTEAD_MODULE"] ?? "",
  "/usr/lib/softhsm/libsofthsm2.so",
  "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
  "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
].find((path) => existsSync(path));
/** False, with the reason in the test's name, on a machine without the library or without the openssl program. */
const usable = MODULE !== undefined && existsSync("/usr/bin/openssl");

const done = (data: unknown) => ({ error_code: 0, data });
const refusal = (sentence: RegExp) => ({ error_code: 1, data: expect.stringMatching(sentence) });
const asAdmin = { credentials: ADMIN };
const kmsuser = { username: "kmsuser", role: "crypto-user" };

async function onRealTokens(): Promise<Bench & { real: Tokens }> {
  const directory = mkdtempSync(join(tmpdir(), "keystead-lifecycle-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const real = new Tokens({
    directory: join(directory, "clusters"),
    modulePath: MODULE ?? "",
    backend: "native",
  });
  onTestFinished(() => real.close());
  return { ...(await bench({ directory, tokens: () => real })), real };
}

/** The openssl commands of the AWS guide. */
function signWithOpenssl(csr: string): { signed: string; anchor: string } {
  const directory = mkdtempSync(join(tmpdir(), "keystead-openssl-"));
  const openssl = (...args: string[]) => execFileSync("openssl", args, { cwd: directory, stdio: "pipe" });
  try {
    writeFileSync(join(directory, "cluster.csr"), csr);
    openssl("genrsa", "-out", "customerCA.key", "2048");
    openssl(
      "req",
      "-new",
      "-x509",
      "-days",
      "3652",
      "-key",
      "customerCA.key",
      "-out",
      "customerCA.crt",
      "-subj",
      "/CN=customer",
    );
    openssl(
      "x509",
      "-req",
      "-days",
      "3652",
      "-in",
      "cluster.csr",
      "-CA",
      "customerCA.crt",
      "-CAkey",
      "customerCA.key",
      "-CAcreateserial",
      "-out",
      "cluster.crt",
    );
    const verified = openssl("req", "-in", "cluster.csr", "-noout", "-verify", "-subject").toString();
    expect(verified).toMatch(/O ?= ?Cavium/);
    const read = (name: string) => readFileSync(join(directory, name), "utf8");
    return { signed: read("cluster.crt"), anchor: read("customerCA.crt") };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test.skipIf(!usable)(
  "create, initialise, activate, users, lock-out, delete (needs SoftHSM and openssl)",
  async () => {
    const b = await onRealTokens();
    const SubnetIds = (await b.cloudhsm.network.subnets()).map((subnet) => subnet.SubnetId);
    const { Cluster } = await b.call("CreateCluster", { HsmType: "hsm2m.medium", SubnetIds });
    const id: string = Cluster.ClusterId;
    await b.idle(id);
    const { Hsm } = await b.call("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1a" });
    await b.idle(Hsm.HsmId);
    const shown = () => b.show(id);

    const { signed, anchor } = signWithOpenssl((await shown()).Certificates["ClusterCsr"]!);
    await b.call("InitializeCluster", { ClusterId: id, SignedCert: signed, TrustAnchor: anchor });
    await b.idle(id);
    expect(await shown()).toMatchObject({
      State: "INITIALIZED",
      Certificates: { ClusterCertificate: signed },
    });
    const row = await findCluster(b.cloudhsm.store.db, id);
    expect(row).toMatchObject({ TrustAnchor: anchor, TokenSerial: expect.stringMatching(/^[0-9a-f]{16}$/) });
    const token = b.real.of(id);
    expect(token.present()).toBe(true);
    await expect(token.verify("so", ADMIN_PASSWORD)).rejects.toThrow(/C_Login: CKR_PIN_INCORRECT/);

    expect(await b.hsm(id, "cluster activate", { password: ADMIN_PASSWORD })).toEqual(
      done("Cluster activation successful"),
    );
    await token.verify("so", ADMIN_PASSWORD);
    expect((await shown()).State).toBe("ACTIVE");
    const second = await b.call("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1b" });
    await b.idle(second.Hsm.HsmId);

    await expect(token.verify("user", KMSUSER_PASSWORD)).rejects.toThrow(/CKR_USER_PIN_NOT_INITIALIZED/);
    expect(await b.hsm(id, "user create", { ...kmsuser, password: KMSUSER_PASSWORD }, asAdmin)).toEqual(
      done(kmsuser),
    );
    await token.verify("user", KMSUSER_PASSWORD);
    expect(await b.hsm(id, "key list", {}, { credentials: KMSUSER })).toEqual(
      done({ matched_keys: [], total_key_count: 0, returned_key_count: 0 }),
    );

    for (let attempt = 0; attempt < 5; attempt += 1)
      expect((await b.hsm(id, "login", { ...KMSUSER, password: "wrong123" })).error_code).toBe(1);
    expect(await b.hsm(id, "login", KMSUSER)).toEqual(refusal(/locked out/));
    await token.verify("user", KMSUSER_PASSWORD);
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "N3wkmsPw" }, asAdmin)).toEqual(
      done(kmsuser),
    );
    await token.verify("user", "N3wkmsPw");
    const { session } = await b.hsm(id, "login", { ...KMSUSER, password: "N3wkmsPw" });
    expect(
      await b.hsm(id, "user change-password", { ...kmsuser, password: "0wnkmsPw" }, { session: session! }),
    ).toEqual(done(kmsuser));
    await b.hsm(id, "logout", {}, { session: session! });

    expect(await b.hsm(id, "cluster reset-admin-password", { password: "L0stFound" })).toMatchObject({
      error_code: 0,
    });
    await token.verify("so", "L0stFound");
    const anew = { credentials: { ...ADMIN, password: "L0stFound" } };
    expect(await b.hsm(id, "user delete", kmsuser, anew)).toEqual(done(kmsuser));
    await expect(token.verify("user", "0wnkmsPw")).rejects.toThrow(/CKR_PIN_INCORRECT/);
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ record: "deleted" });

    for (const hsm of (await shown()).Hsms) {
      await b.call("DeleteHsm", { ClusterId: id, HsmId: hsm.HsmId });
      await b.idle(hsm.HsmId);
    }
    await b.call("DeleteCluster", { ClusterId: id });
    await b.idle(id);
    expect(await shown()).toBeUndefined();
    expect(existsSync(token.directory)).toBe(false);
  },
);

test.skipIf(!usable)(
  "a SO PIN changed with another tool is adopted when the admin proves it (needs SoftHSM)",
  async () => {
    const b = await onRealTokens();
    const id = await b.ready();
    await b.real.of(id).changePin("so", ADMIN_PASSWORD, "outside1");
    expect(await b.hsm(id, "login", ADMIN)).toEqual(refusal(/not correct/));
    const outside = { credentials: { ...ADMIN, password: "outside1" } };
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, outside)).toEqual(
      done(kmsuser),
    );
    await b.real.of(id).verify("user", "newpass1");
  },
);

test.each(["manual", "time"] as const)(
  "createReadyCluster waits through %s progressions",
  async (progression) => {
    const b = await bench();
    for (const model of ["cloudhsmv2::cluster", "cloudhsmv2::hsm"] as const)
      b.cloudhsm.transitions.set(
        model,
        progression === "manual" ? { progression, times: 3 } : { progression, seconds: 0.05 },
      );
    const wish = { hsms: 3, adminPassword: ADMIN_PASSWORD, kmsuserPassword: KMSUSER_PASSWORD };
    const { clusterId, customerCaPem } = await createReadyCluster(b.cloudhsm, wish);
    const shown = await b.show(clusterId);
    expect(shown.State).toBe("ACTIVE");
    expect(shown.Hsms.map((hsm) => [hsm.AvailabilityZone, hsm.State])).toEqual([
      ["us-east-1a", "ACTIVE"],
      ["us-east-1b", "ACTIVE"],
      ["us-east-1c", "ACTIVE"],
    ]);
    expect((await findCluster(b.cloudhsm.store.db, clusterId))?.TrustAnchor).toBe(customerCaPem);
  },
);

test("records survive a restart: the lock-out counter, users, sessions", async () => {
  const directory = mkdtempSync(join(tmpdir(), "keystead-restart-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const before = await bench({ directory });
  const id = await before.ready();
  for (let attempt = 0; attempt < 5; attempt += 1)
    await before.hsm(id, "login", { ...KMSUSER, password: "wrong123" });
  const { session } = await before.hsm(id, "login", ADMIN);
  await before.cloudhsm.reconciler.close();
  await before.cloudhsm.store.close();
  const after = await bench({ directory, fake: before.tokens });
  expect(await after.hsm(id, "login", KMSUSER)).toEqual(refusal(/locked out/));
  expect((await after.hsm(id, "key list", {}, { session: session! })).error_code).toBe(0);
});
