/**
 * What InitializeCluster demands of the signed cluster certificate and its trust anchor
 * (reference: cloudhsm-v2 §5). The sentences are keystead's own: AWS's are not documented.
 */
import { X509Certificate, createPublicKey } from "node:crypto";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { AwsError } from "../core/errors.ts";
import { invalidRequest } from "./context.ts";

const MOST_CERTIFICATES = 4;
const MOST_BYTES = 16 * 1024;
const RSA_BITS: readonly number[] = [2048, 3072, 4096];
const CURVES: readonly string[] = ["prime256v1", "secp384r1", "secp521r1"];
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----/g;

/**
 * @param csr PEM of the cluster's certificate signing request
 * @throws AwsError CloudHsmInvalidRequestException with a sentence naming what is wrong
 */
export function checkCertificates(csr: string, signedCert: string, trustAnchor: string): void {
  const signed = parse("SignedCert", signedCert);
  const [certificate] = signed;
  if (certificate === undefined || signed.length > 1)
    throw invalidRequest("The SignedCert must be exactly one certificate.");
  const chain = parse("TrustAnchor", trustAnchor);
  if (chain.length > MOST_CERTIFICATES)
    throw invalidRequest(`The TrustAnchor must not have more than ${MOST_CERTIFICATES} certificates.`);
  if (Buffer.byteLength(trustAnchor) > MOST_BYTES)
    throw invalidRequest("The TrustAnchor must not be larger than 16 KB.");
  for (const one of [certificate, ...chain]) checkKeyType(one);
  if (!sameKey(certificate, csr))
    throw invalidRequest(
      "The SignedCert does not have the public key of the cluster's certificate signing request.",
    );
  // Before the chain: OpenSSL would only say that such a certificate has issued nothing.
  for (const one of chain) checkAuthority(one);
  checkChain(certificate, chain);
}

/** The certificates in a PEM text, in order. */
function parse(member: string, pem: string): X509Certificate[] {
  const blocks = pem.match(PEM_CERTIFICATE) ?? [];
  if (blocks.length === 0) throw invalidRequest(`The ${member} is not a PEM certificate.`);
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (error) {
    throw new AwsError("CloudHsmInvalidRequestException", `The ${member} is not a valid X.509 certificate.`, {
      cause: error,
    });
  }
}

function checkKeyType(certificate: X509Certificate): void {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = certificate.publicKey;
  const rsa = (type === "rsa" || type === "rsa-pss") && RSA_BITS.includes(details?.modulusLength ?? 0);
  const ec = type === "ec" && CURVES.includes(details?.namedCurve ?? "");
  if (!rsa && !ec)
    throw invalidRequest(
      "Certificates must have RSA keys of 2048, 3072 or 4096 bits, or ECDSA keys on P-256, P-384 or P-521.",
    );
}

function sameKey(certificate: X509Certificate, csr: string): boolean {
  const requested = createPublicKey({
    key: Buffer.from(new x509.Pkcs10CertificateRequest(csr).publicKey.rawData),
    format: "der",
    type: "spki",
  });
  return certificate.publicKey.equals(requested);
}

/** Order intermediate → root: each certificate is signed by the next, the last by itself. */
function checkChain(certificate: X509Certificate, chain: readonly X509Certificate[]): void {
  const path = [certificate, ...chain];
  for (const [index, issued] of path.entries()) {
    const issuer = path[index + 1] ?? issued;
    if (issued.checkIssued(issuer) && issued.verify(issuer.publicKey)) continue;
    if (index === 0) throw invalidRequest("The SignedCert was not signed by the TrustAnchor.");
    if (issuer === issued)
      throw invalidRequest("The TrustAnchor does not end in a self-signed root certificate.");
    throw invalidRequest(
      "The TrustAnchor's certificates do not sign each other in the order intermediate to root.",
    );
  }
}

/** RFC 5280: with extensions there must be Basic Constraints, and nothing may contradict being an authority. */
function checkAuthority(certificate: X509Certificate): void {
  const parsed = new x509.X509Certificate(certificate.raw);
  if (parsed.extensions.length === 0) return;
  const constraints = parsed.getExtension(x509.BasicConstraintsExtension);
  if (constraints === null)
    throw invalidRequest("The TrustAnchor has X.509 v3 extensions but no Basic Constraints.");
  if (!constraints.ca)
    throw invalidRequest("The TrustAnchor's Basic Constraints say that it is not a certificate authority.");
  const usage = parsed.getExtension(x509.KeyUsagesExtension);
  if (usage !== null && (usage.usages & x509.KeyUsageFlags.keyCertSign) === 0)
    throw invalidRequest("The TrustAnchor's Key Usage does not allow signing certificates.");
}
