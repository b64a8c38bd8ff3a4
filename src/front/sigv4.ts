/**
 * Verification of AWS Signature Version 4 in the Authorization header, as strict as KMS:
 * five minutes on the wall clock, region, service, scope date and terminator checked,
 * `host` and every `x-amz-*` header signed, payload hash recomputed (reliability T1).
 * Replay within the window is possible, as at AWS. Presigned URLs are refused.
 */
import { createHmac, hash, timingSafeEqual } from "node:crypto";
import { AwsError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { Caller } from "../core/operation.ts";
import { canonicalRequest, type SignedRequest } from "./canonical.ts";
import type { Credential } from "./options.ts";

/** KMS's window; most other services allow 15 minutes. */
const WINDOW_MS = 5 * 60_000;
const TERMINATOR = "aws4_request";
const PARAMETERS = ["Credential", "Signature", "SignedHeaders"];
const CACHED_KEYS = 256;
const REMEMBERED_STRANGERS = 100;

const MISMATCH =
  "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

interface Authorization {
  readonly accessKeyId: string;
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly terminator: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

function invalid(text: string): AwsError {
  return new AwsError("InvalidSignatureException", text);
}

function incomplete(text: string): AwsError {
  return new AwsError("IncompleteSignatureException", text);
}

function parameters(header: string): Map<string, string> {
  if (!header.startsWith("AWS4-HMAC-SHA256 "))
    throw incomplete("Authorization header requires the algorithm 'AWS4-HMAC-SHA256'.");
  const found = new Map<string, string>();
  for (const part of header.slice("AWS4-HMAC-SHA256 ".length).split(",")) {
    const at = part.indexOf("=");
    const name = part.slice(0, Math.max(at, 0)).trim();
    if (!PARAMETERS.includes(name) || found.has(name))
      throw incomplete(
        "Authorization header must have exactly one each of 'Credential', 'SignedHeaders' and 'Signature'.",
      );
    found.set(name, part.slice(at + 1).trim());
  }
  return found;
}

function parseAuthorization(header: string): Authorization {
  const found = parameters(header);
  const missing = PARAMETERS.filter((name) => !found.has(name));
  if (missing.length > 0)
    throw incomplete(missing.map((name) => `Authorization header requires '${name}' parameter.`).join(" "));
  const scope = (found.get("Credential") ?? "").split("/");
  const [accessKeyId = "", date = "", region = "", service = "", terminator = ""] = scope;
  if (scope.length !== 5)
    throw incomplete(
      "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
    );
  return {
    accessKeyId,
    date,
    region,
    service,
    terminator,
    signedHeaders: (found.get("SignedHeaders") ?? "").split(";"),
    signature: found.get("Signature") ?? "",
  };
}

/** The access key id a request names, without looking at its signature; "" when it names none. */
export function namedAccessKey(headers: ReadonlyMap<string, string>): string {
  return /Credential=([\w-]{1,128})\//.exec(headers.get("authorization") ?? "")?.[1] ?? "";
}

function basicFormat(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, "")}Z`;
}

function parseBasic(text: string): number {
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? [];
  return year === undefined ? NaN : Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** When the request says it was signed, in ISO 8601 basic format: X-Amz-Date, or else Date in either format. */
function signingTime(headers: ReadonlyMap<string, string>): { text: string; ms: number } {
  const stated = headers.get("x-amz-date") ?? headers.get("date");
  if (stated === undefined)
    throw incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.");
  const basic = parseBasic(stated);
  const ms = Number.isNaN(basic) && !headers.has("x-amz-date") ? Date.parse(stated) : basic;
  if (Number.isNaN(ms)) throw incomplete("Date must be in ISO-8601 'basic format', YYYYMMDDTHHMMSSZ.");
  return { text: basicFormat(ms), ms };
}

function checkWindow(time: { text: string; ms: number }, now: number): void {
  if (time.ms < now - WINDOW_MS)
    throw invalid(
      `Signature expired: ${time.text} is now earlier than ${basicFormat(now - WINDOW_MS)} (${basicFormat(now)} - 5 min.)`,
    );
  if (time.ms > now + WINDOW_MS)
    throw invalid(
      `Signature not yet current: ${time.text} is still later than ${basicFormat(now + WINDOW_MS)} (${basicFormat(now)} + 5 min.)`,
    );
}

/** Host, the date and every x-amz-* header present must be under the signature. */
function checkSignedHeaders(headers: ReadonlyMap<string, string>, signed: readonly string[]): void {
  const covered = new Set(signed);
  if (!covered.has("host")) throw invalid("'Host' must be a 'SignedHeader' in the AWS Authorization.");
  for (const name of headers.keys())
    if (name.startsWith("x-amz-") && !covered.has(name))
      throw invalid(`'${name}' must be a 'SignedHeader' in the AWS Authorization.`);
  if (!headers.has("x-amz-date") && !covered.has("date"))
    throw invalid("'Date' must be a 'SignedHeader' in the AWS Authorization.");
  for (const name of covered) if (!headers.has(name)) throw invalid(MISMATCH);
}

/** Hashing makes the lengths equal, as timingSafeEqual wants them. */
function isSameToken(expected: string | undefined, given: string | undefined): boolean {
  if (expected === undefined || given === undefined) return expected === given;
  return timingSafeEqual(hash("sha256", expected, "buffer"), hash("sha256", given, "buffer"));
}

export interface VerifierOptions {
  readonly regions: ReadonlySet<string>;
  readonly credentials: ReadonlyMap<string, Credential>;
  readonly log: Logger;
  /** Wall clock in milliseconds; the virtual clock never reaches here. */
  readonly now?: () => number;
}

/** Verifies requests against the configured access keys. */
export class SignatureVerifier {
  readonly #options: VerifierOptions;
  readonly #now: () => number;
  readonly #signingKeys = new Map<string, Buffer>();
  readonly #strangers = new Set<string>();

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /**
   * The caller that signed `request` for `service`.
   * @param globalRegion a second region that is accepted: us-east-1 for the global STS endpoint
   * @throws AwsError the authentication errors of wire-protocol §4.5, all 400
   */
  verify(request: SignedRequest, service: string, globalRegion?: string): Caller {
    const header = request.headers.get("authorization");
    if (header === undefined) throw this.#unsigned(request.target);
    const claim = parseAuthorization(header);
    const credential = this.#credentialOf(claim.accessKeyId, request.headers.get("x-amz-security-token"));
    const time = signingTime(request.headers);
    this.#checkScope(claim, time.text, service, globalRegion);
    checkWindow(time, this.#now());
    checkSignedHeaders(request.headers, claim.signedHeaders);
    const expected = this.#sign(request, claim, time.text, credential);
    const given = /^[0-9a-f]{64}$/.test(claim.signature)
      ? Buffer.from(claim.signature, "hex")
      : Buffer.alloc(32);
    if (!timingSafeEqual(expected, given)) throw invalid(MISMATCH);
    return {
      account: credential.account,
      arn: credential.arn,
      accessKeyId: claim.accessKeyId,
      region: claim.region,
    };
  }

  #unsigned(target: string): AwsError {
    return /[?&]X-Amz-(?:Signature|Algorithm|Credential)=/i.test(target)
      ? incomplete("keystead verifies the Authorization header only; presigned requests are not supported.")
      : new AwsError("MissingAuthenticationTokenException", "Missing Authentication Token");
  }

  #credentialOf(accessKeyId: string, token: string | undefined): Credential {
    const credential = this.#options.credentials.get(accessKeyId);
    if (credential === undefined) this.#warn(accessKeyId);
    if (credential === undefined || !isSameToken(credential.sessionToken, token))
      throw new AwsError(
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
      );
    return credential;
  }

  #warn(accessKeyId: string): void {
    if (this.#strangers.has(accessKeyId) || this.#strangers.size >= REMEMBERED_STRANGERS) return;
    this.#strangers.add(accessKeyId);
    this.#options.log.warn(
      { id: accessKeyId.slice(0, 128) },
      "refused an access key that keystead does not know; sign with the configured one, or start keystead with --auth any",
    );
  }

  #checkScope(claim: Authorization, time: string, service: string, globalRegion: string | undefined): void {
    if (!this.#options.regions.has(claim.region) && claim.region !== globalRegion)
      throw invalid(`Credential should be scoped to a valid region, not '${claim.region}'.`);
    if (claim.service !== service)
      throw invalid(`Credential should be scoped to correct service: '${service}'.`);
    if (claim.terminator !== TERMINATOR)
      throw invalid(
        `Credential should be scoped with a valid terminator: '${TERMINATOR}', not '${claim.terminator}'.`,
      );
    if (claim.date !== time.slice(0, 8))
      throw invalid(
        `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${claim.date}' != '${time.slice(0, 8)}', from '${time}'.`,
      );
  }

  #sign(request: SignedRequest, claim: Authorization, time: string, credential: Credential): Buffer {
    let canonical: string;
    try {
      const sorted = claim.signedHeaders.toSorted();
      canonical = canonicalRequest(request, sorted, hash("sha256", request.body, "hex"));
    } catch {
      throw invalid(MISMATCH);
    }
    // Node hands header bytes over as latin1 text, so latin1 gives back the bytes that were signed.
    const digest = hash("sha256", Buffer.from(canonical, "latin1"), "hex");
    const scope = `${claim.date}/${claim.region}/${claim.service}/${TERMINATOR}`;
    const key = this.#signingKey(claim, scope, credential.secretAccessKey);
    return createHmac("sha256", key).update(`AWS4-HMAC-SHA256\n${time}\n${scope}\n${digest}`).digest();
  }

  /** Derived once a day per access key, region and service. */
  #signingKey(claim: Authorization, scope: string, secret: string): Buffer {
    const name = `${claim.accessKeyId}/${scope}`;
    const cached = this.#signingKeys.get(name);
    if (cached !== undefined) return cached;
    const step = (key: string | Buffer, text: string): Buffer =>
      createHmac("sha256", key).update(text).digest();
    const key = [claim.region, claim.service, TERMINATOR].reduce(step, step(`AWS4${secret}`, claim.date));
    if (this.#signingKeys.size >= CACHED_KEYS) this.#signingKeys.clear();
    this.#signingKeys.set(name, key);
    return key;
  }
}
