/**
 * What a cluster's first HSM brings: a key pair with its certificate signing request, and
 * the three hardware certificates that let a customer check the HSM's identity
 * (reference: cloudhsm-v2 §5). Two roots are made once per data directory, standing for the
 * AWS CloudHSM root and the manufacturer's; their certificates are in the table `meta`.
 *
 * The CSR's private key is thrown away: nothing in keystead ever authenticates with it.
 * Validity is wall time, because clients check it with openssl, which knows no virtual clock.
 */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { randomBytes } from "node:crypto";
import type { CloudHsm } from "./context.ts";
import type { Certificates } from "./clusters.ts";

const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  publicExponent: new Uint8Array([1, 0, 1]),
  modulusLength: 2048,
} as const;
const YEAR_MS = 365 * 86_400_000;
const VALID_YEARS = 20;
/** Clients' clocks may be behind by a little. */
const BACKDATED_MS = 3_600_000;
/** The partition number in the CSR's subject; hardware numbers the partitions of one appliance. */
const PARTITION = 1;

type KeyPair = Awaited<ReturnType<typeof newKeyPair>>;
interface Root {
  readonly certificate: x509.X509Certificate;
  readonly keys: KeyPair;
}

const ROOTS = {
  aws: {
    meta: "cloudhsm.aws-root",
    subject: nameOf("Amazon CloudHSM", "keystead simulated AWS CloudHSM root"),
  },
  manufacturer: {
    meta: "cloudhsm.manufacturer-root",
    subject: nameOf("Manufacturer", "keystead simulated HSM manufacturer root"),
  },
} as const;

function nameOf(unit: string, commonName: string): x509.JsonName {
  return [{ C: ["US"] }, { O: ["keystead (simulated)"] }, { OU: [unit] }, { CN: [commonName] }];
}

function newKeyPair() {
  return crypto.subtle.generateKey(RSA, true, ["sign", "verify"]);
}

/** The CSR and hardware certificates of a cluster's first HSM. Takes some 200 ms of RSA key generation off the event loop. */
export async function firstHsmCertificates(cloudhsm: CloudHsm, hsmId: string): Promise<Certificates> {
  const [aws, manufacturer, hardware, hsm] = await Promise.all([
    root(cloudhsm, "aws"),
    root(cloudhsm, "manufacturer"),
    newKeyPair(),
    newKeyPair(),
  ]);
  const hardwareName = nameOf("HSM hardware", `HSM hardware of ${hsmId}`);
  const csrName = hsmName(hsmId);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({
    name: csrName,
    keys: hsm,
    signingAlgorithm: RSA,
  });
  // One hardware key, certified by both roots: so the HSM certificate verifies under either chain.
  const byHardware = {
    subject: csrName,
    issuer: hardwareName,
    publicKey: hsm.publicKey,
    signingKey: hardware.privateKey,
  };
  const byRoot = (authority: Root): Issue => ({
    subject: hardwareName,
    issuer: authority.certificate.subjectName.toJSON(),
    publicKey: hardware.publicKey,
    signingKey: authority.keys.privateKey,
    authority: true,
  });
  return {
    ClusterCsr: csr.toString("pem"),
    HsmCertificate: (await issue(byHardware)).toString("pem"),
    AwsHardwareCertificate: (await issue(byRoot(aws))).toString("pem"),
    ManufacturerHardwareCertificate: (await issue(byRoot(manufacturer))).toString("pem"),
  };
}

/** `/C=US/ST=CA/O=Cavium/OU=N3FIPS/L=SanJose/CN=HSM:<HSM id>:PARTN:<partition>, for FIPS mode` */
function hsmName(hsmId: string): x509.JsonName {
  return [
    { C: ["US"] },
    { ST: ["CA"] },
    { O: ["Cavium"] },
    { OU: ["N3FIPS"] },
    { L: ["SanJose"] },
    { CN: [`HSM:${hsmId}:PARTN:${PARTITION}, for FIPS mode`] },
  ];
}

interface Issue {
  readonly subject: x509.JsonName;
  readonly issuer: x509.JsonName;
  readonly publicKey: KeyPair["publicKey"];
  readonly signingKey: KeyPair["privateKey"];
  readonly authority?: boolean;
}

function issue(request: Issue): Promise<x509.X509Certificate> {
  const now = Date.now();
  const { subject, issuer, publicKey, signingKey, authority = false } = request;
  const usage = authority ? x509.KeyUsageFlags.keyCertSign : x509.KeyUsageFlags.digitalSignature;
  return x509.X509CertificateGenerator.create({
    serialNumber: `01${randomBytes(15).toString("hex")}`,
    subject,
    issuer,
    publicKey,
    signingKey,
    signingAlgorithm: RSA,
    notBefore: new Date(now - BACKDATED_MS),
    notAfter: new Date(now + VALID_YEARS * YEAR_MS),
    extensions: [
      new x509.BasicConstraintsExtension(authority, undefined, true),
      new x509.KeyUsagesExtension(usage, true),
    ],
  });
}

/** A root of this data directory, made on first use; its private key is sealed. */
async function root(cloudhsm: CloudHsm, which: keyof typeof ROOTS): Promise<Root> {
  const { meta } = ROOTS[which];
  return cloudhsm.mutexes.run(meta, async () => {
    const { db } = cloudhsm.store;
    const row = await db.selectFrom("meta").select("Value").where("Name", "=", meta).executeTakeFirst();
    if (row !== undefined) return openRoot(cloudhsm, meta, row.Value);
    const made = await newRoot(ROOTS[which].subject);
    await db
      .insertInto("meta")
      .values({ Name: meta, Value: await sealRoot(cloudhsm, meta, made) })
      .execute();
    return made;
  });
}

async function newRoot(subject: x509.JsonName): Promise<Root> {
  const keys = await newKeyPair();
  const { publicKey, privateKey: signingKey } = keys;
  return {
    keys,
    certificate: await issue({ subject, issuer: subject, publicKey, signingKey, authority: true }),
  };
}

interface StoredRoot {
  readonly certificate: string;
  /** PKCS #8, sealed. */
  readonly key: string;
}

async function sealRoot(cloudhsm: CloudHsm, meta: string, { keys, certificate }: Root): Promise<string> {
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey)).toString("base64");
  const stored: StoredRoot = {
    certificate: certificate.toString("pem"),
    key: cloudhsm.vault.seal(pkcs8, meta).toString("base64"),
  };
  return JSON.stringify(stored);
}

async function openRoot(cloudhsm: CloudHsm, meta: string, text: string): Promise<Root> {
  const stored = JSON.parse(text) as StoredRoot;
  const certificate = new x509.X509Certificate(stored.certificate);
  const pkcs8 = Buffer.from(cloudhsm.vault.open(Buffer.from(stored.key, "base64"), meta), "base64");
  const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, RSA, true, ["sign"]);
  const publicKey = await crypto.subtle.importKey("spki", certificate.publicKey.rawData, RSA, true, [
    "verify",
  ]);
  return { certificate, keys: { publicKey, privateKey } };
}
