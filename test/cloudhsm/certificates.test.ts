/** The first HSM's certificates, and what InitializeCluster accepts; openssl is the outside oracle where it is installed. */
import { X509Certificate, type webcrypto } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { beforeAll, describe, expect, test } from "vitest";
import { CKR, Pkcs11Error } from "../../src/hsm/errors.ts";
import { checkCertificates } from "../../src/cloudhsm/certificate-checks.ts";
import { resumeClusters } from "../../src/cloudhsm/drivers.ts";
import { initializeWithThrowAwayCa } from "../../src/cloudhsm/quick-cluster.ts";
import { ADMIN_PASSWORD, bench, type Bench } from "./harness.ts";

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const ED = { name: "Ed25519" } as const;
const RSA = (modulusLength: number) => ({
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength,
});
type Algorithm = typeof P256 | typeof ED | ReturnType<typeof RSA>;
interface Authority {
  name: string;
  keys: webcrypto.CryptoKeyPair;
  algorithm: Algorithm;
  pem: string;
}

async function pair(algorithm: Algorithm): Promise<webcrypto.CryptoKeyPair> {
  return (await crypto.subtle.generateKey(algorithm, false, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
}

/** A CA, self-signed or signed by another; extensions as asked. */
async function authority(
  name: string,
  options: { algorithm?: Algorithm; by?: Authority; extensions?: x509.Extension[] } = {},
): Promise<Authority> {
  const algorithm = options.algorithm ?? P256;
  const keys = await pair(algorithm);
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: "0a",
    subject: `CN=${name}`,
    issuer: `CN=${options.by?.name ?? name}`,
    publicKey: keys.publicKey,
    signingKey: options.by?.keys.privateKey ?? keys.privateKey,
    signingAlgorithm: options.by?.algorithm ?? algorithm,
    extensions: options.extensions ?? [new x509.BasicConstraintsExtension(true)],
  });
  return { name, keys, algorithm, pem: cert.toString("pem") };
}

async function sign(by: Authority, publicKey: x509.PublicKeyType): Promise<string> {
  const cert = await x509.X509CertificateGenerator.create({
    serialNumber: "0b",
    subject: "CN=cluster",
    issuer: `CN=${by.name}`,
    publicKey,
    signingKey: by.keys.privateKey,
    signingAlgorithm: by.algorithm,
  });
  return cert.toString("pem");
}

async function uninitialized(b: Bench): Promise<{ id: string; certificates: Record<string, string> }> {
  const SubnetIds = (await b.cloudhsm.network.subnets()).map((subnet) => subnet.SubnetId);
  const { Cluster } = await b.call("CreateCluster", { HsmType: "hsm2m.medium", SubnetIds });
  await b.idle(Cluster.ClusterId);
  const { Hsm } = await b.call("CreateHsm", {
    ClusterId: Cluster.ClusterId,
    AvailabilityZone: "us-east-1a",
  });
  await b.idle(Hsm.HsmId);
  const shown = await b.show(Cluster.ClusterId);
  expect(shown.State).toBe("UNINITIALIZED");
  return { id: Cluster.ClusterId, certificates: shown.Certificates };
}

test("the first HSM brings a CSR and certificates that verify under both chains", async () => {
  const b = await bench();
  const { certificates } = await uninitialized(b);
  expect(Object.keys(certificates).toSorted()).toEqual([
    "AwsHardwareCertificate",
    "ClusterCsr",
    "HsmCertificate",
    "ManufacturerHardwareCertificate",
  ]);
  const csr = new x509.Pkcs10CertificateRequest(certificates["ClusterCsr"]!);
  expect(await csr.verify()).toBe(true);
  expect(csr.subject).toMatch(
    /^C=US, ST=CA, O=Cavium, OU=N3FIPS, L=SanJose, CN=HSM:hsm-[2-7a-z]{11}:PARTN:1\\, for FIPS mode$/,
  );
  const hsm = new X509Certificate(certificates["HsmCertificate"]!);
  expect(hsm.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
  expect(hsm.publicKey.export({ type: "spki", format: "der" })).toEqual(Buffer.from(csr.publicKey.rawData));
  const roots = await b.cloudhsm.store.db
    .selectFrom("meta")
    .selectAll()
    .where("Name", "like", "cloudhsm.%")
    .execute();
  expect(roots).toHaveLength(2);
  for (const [member, meta] of [
    ["AwsHardwareCertificate", "cloudhsm.aws-root"],
    ["ManufacturerHardwareCertificate", "cloudhsm.manufacturer-root"],
  ] as const) {
    const hardware = new X509Certificate(certificates[member]!);
    expect(hsm.checkIssued(hardware) && hsm.verify(hardware.publicKey)).toBe(true);
    const root = new X509Certificate(
      (JSON.parse(roots.find((row) => row.Name === meta)!.Value) as { certificate: string }).certificate,
    );
    expect(hardware.checkIssued(root) && hardware.verify(root.publicKey)).toBe(true);
    expect(root.checkIssued(root) && root.verify(root.publicKey)).toBe(true);
  }
  expect(JSON.stringify(roots)).not.toContain("PRIVATE");
});

test("the roots are the data directory's, the keys each cluster's own", async () => {
  const b = await bench();
  const [one, two] = [await uninitialized(b), await uninitialized(b)];
  expect(one.certificates["ClusterCsr"]).not.toBe(two.certificates["ClusterCsr"]);
  const issuer = (pem: string) => new X509Certificate(pem).issuer;
  expect(issuer(one.certificates["AwsHardwareCertificate"]!)).toBe(
    issuer(two.certificates["AwsHardwareCertificate"]!),
  );
  expect(
    await b.cloudhsm.store.db.selectFrom("meta").selectAll().where("Name", "like", "cloudhsm.%").execute(),
  ).toHaveLength(2);
});

describe("the checks of InitializeCluster", () => {
  let csrPem: string;
  let csr: x509.Pkcs10CertificateRequest;
  let ca: Authority;
  beforeAll(async () => {
    csr = await x509.Pkcs10CertificateRequestGenerator.create({
      name: "CN=HSM",
      keys: await pair(RSA(2048)),
      signingAlgorithm: RSA(2048),
    });
    csrPem = csr.toString("pem");
    ca = await authority("root");
  });
  const check = async (by: Authority, anchor: string, key: x509.PublicKeyType = csr.publicKey) =>
    checkCertificates(csrPem, await sign(by, key), anchor);

  test.each([
    ["P-256", P256],
    ["P-384", { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" } as unknown as typeof P256],
    ["RSA 2048", RSA(2048)],
    ["RSA 3072", RSA(3072)],
  ])("a root with %s", async (_name, algorithm) => {
    const root = await authority("root", { algorithm });
    await expect(check(root, root.pem)).resolves.toBeUndefined();
  });

  test("a root without any extension, as version 1 has none", async () => {
    const root = await authority("root", { extensions: [] });
    await expect(check(root, root.pem)).resolves.toBeUndefined();
  });

  test("a chain of four, intermediate to root; five are too many; another order is refused", async () => {
    const chain = [ca];
    for (const name of ["one", "two", "three", "four"])
      chain.unshift(await authority(name, { by: chain[0]! }));
    const pem = (of: Authority[]) => of.map((one) => one.pem).join("\n");
    await check(chain[1]!, pem(chain.slice(1)));
    await expect(check(chain[0]!, pem(chain))).rejects.toThrow(/more than 4/);
    await expect(check(chain[1]!, pem([chain[1]!, chain[3]!, chain[2]!, chain[4]!]))).rejects.toThrow(
      /intermediate to root/,
    );
    await expect(check(chain[1]!, pem(chain.slice(1, 4)))).rejects.toThrow(/self-signed root/);
  });

  test.each<[string, () => Promise<unknown>, RegExp]>([
    [
      "another CA's signature",
      async () => check(await authority("root"), ca.pem),
      /not signed by the TrustAnchor/,
    ],
    [
      "another key",
      async () => check(ca, ca.pem, (await pair(P256)).publicKey),
      /does not have the public key/,
    ],
    ["no PEM", async () => check(ca, "hello"), /TrustAnchor is not a PEM/],
    [
      "a broken certificate",
      async () => check(ca, ca.pem.replace(/[A-Za-z0-9]{40}/, "A".repeat(40))),
      /TrustAnchor|signed/,
    ],
    [
      "a CSR as certificate",
      async () => checkCertificates(csrPem, csrPem, ca.pem),
      /SignedCert is not a PEM/,
    ],
    [
      "two certificates",
      async () => checkCertificates(csrPem, ca.pem + "\n" + ca.pem, ca.pem),
      /exactly one/,
    ],
    ["17 KB", async () => check(ca, ca.pem + "\n".repeat(16_384)), /16 KB/],
    [
      "Ed25519",
      async () => {
        const root = await authority("root", { algorithm: ED });
        await check(root, root.pem);
      },
      /RSA keys of 2048/,
    ],
    [
      "RSA 1024",
      async () => {
        const root = await authority("root", { algorithm: RSA(1024) });
        await check(root, root.pem);
      },
      /RSA keys of 2048/,
    ],
    [
      "extensions without Basic Constraints",
      async () => {
        const root = await authority("root", {
          extensions: [new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign)],
        });
        await check(root, root.pem);
      },
      /no Basic Constraints/,
    ],
    [
      "an anchor that is no CA",
      async () => {
        const root = await authority("root", { extensions: [new x509.BasicConstraintsExtension(false)] });
        await check(root, root.pem);
      },
      /not a certificate authority/,
    ],
    [
      "a Key Usage without signing",
      async () => {
        const extensions = [
          new x509.BasicConstraintsExtension(true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.cRLSign),
        ];
        const root = await authority("root", { extensions });
        await check(root, root.pem);
      },
      /Key Usage/,
    ],
  ])("refuses %s", async (_name, act, sentence) => {
    await expect(act()).rejects.toMatchObject({
      code: "CloudHsmInvalidRequestException",
      message: expect.stringMatching(sentence),
    });
  });
});

describe("InitializeCluster", () => {
  test("without an HSM, and twice", async () => {
    const b = await bench();
    const SubnetIds = (await b.cloudhsm.network.subnets()).map((subnet) => subnet.SubnetId);
    const { Cluster } = await b.call("CreateCluster", { HsmType: "hsm2m.medium", SubnetIds });
    await b.idle(Cluster.ClusterId);
    const input = { ClusterId: Cluster.ClusterId, SignedCert: "x", TrustAnchor: "x" };
    expect((await b.refused("InitializeCluster", input)).message).toMatch(/no active HSM/);
    const { id } = await uninitialized(b);
    await initializeWithThrowAwayCa(b.cloudhsm, id, { adminPassword: ADMIN_PASSWORD });
    expect((await b.refused("InitializeCluster", { ...input, ClusterId: id })).message).toMatch(
      /state ACTIVE/,
    );
  });

  test("C_InitToken with a random password; the CSR goes, the certificate comes when it is done", async () => {
    const b = await bench({ timing: "aws" });
    b.cloudhsm.transitions.set("cloudhsmv2::hsm", { progression: "immediate" });
    b.cloudhsm.transitions.set("cloudhsmv2::cluster", { progression: "immediate" });
    const { id, certificates } = await uninitialized(b);
    b.cloudhsm.transitions.set("cloudhsmv2::cluster", undefined);
    const ca = await authority("root");
    const csr = new x509.Pkcs10CertificateRequest(certificates["ClusterCsr"]!);
    const SignedCert = await sign(ca, csr.publicKey);
    expect(await b.call("InitializeCluster", { ClusterId: id, SignedCert, TrustAnchor: ca.pem })).toEqual({
      State: "INITIALIZE_IN_PROGRESS",
      StateMessage: "Cluster is initializing. State will change to INITIALIZED upon completion.",
    });
    const shown = () => b.show(id);
    expect(Object.keys((await shown()).Certificates)).not.toContain("ClusterCertificate");
    expect(Object.keys((await shown()).Certificates)).not.toContain("ClusterCsr");
    await new Promise((resolve) => setTimeout(resolve, 20));
    b.clock.advance(91_000);
    await b.idle(id);
    expect(await shown()).toMatchObject({
      State: "INITIALIZED",
      Certificates: { ClusterCertificate: SignedCert },
    });
    expect(JSON.stringify(await shown())).not.toContain("TrustAnchor");
    expect(b.tokens.of(id).calls).toEqual(["initialize"]);
    expect(b.tokens.of(id).pins.get("so")).toMatch(/^[A-Za-z0-9]{32}$/);
  });

  test.each(["before", "after"] as const)(
    "a failure %s C_InitToken acted loses nothing and is picked up",
    async (when) => {
      const b = await bench();
      const { id, certificates } = await uninitialized(b);
      const token = b.tokens.of(id);
      token.fault = {
        verb: "initialize",
        when,
        error: new Pkcs11Error("token", CKR.DEVICE_ERROR, "C_InitToken"),
      };
      const ca = await authority("root");
      const SignedCert = await sign(
        ca,
        new x509.Pkcs10CertificateRequest(certificates["ClusterCsr"]!).publicKey,
      );
      await b.call("InitializeCluster", { ClusterId: id, SignedCert, TrustAnchor: ca.pem });
      await b.idle(id);
      const shown = () => b.show(id);
      expect(await shown()).toMatchObject({
        State: "INITIALIZE_IN_PROGRESS",
        StateMessage: expect.stringMatching(/C_InitToken: CKR_DEVICE_ERROR/),
      });
      const pin = token.pins.get("so");
      await resumeClusters(b.cloudhsm);
      await b.idle(id);
      expect(await shown()).toMatchObject({ State: "INITIALIZED" });
      expect(await shown()).not.toHaveProperty("StateMessage");
      if (when === "after") expect(token.pins.get("so")).toBe(pin);
      expect(token.calls).toEqual(["initialize", when === "after" ? "verify" : "initialize"]);
      expect(await b.hsm(id, "cluster activate", { password: ADMIN_PASSWORD })).toEqual({
        error_code: 0,
        data: "Cluster activation successful",
      });
    },
  );
});
