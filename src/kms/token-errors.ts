/**
 * PKCS#11 return values in AWS's terms, one table per kind of operation
 * (reference: custom-key-stores §8). A value without a row is an internal error.
 */
import { AwsError } from "../core/errors.ts";
import { CKR, Pkcs11Error, isCkr } from "../hsm/errors.ts";
import { NetworkError } from "../network/errors.ts";
import type { ConnectionErrorCode } from "./connection-states.ts";
import type { Key } from "./key.ts";

/** A connect step that found its cause without the token. */
export class ConnectFailure extends Error {
  readonly code: ConnectionErrorCode;

  constructor(code: ConnectionErrorCode) {
    super(code);
    this.name = "ConnectFailure";
    this.code = code;
  }
}

/** Refused passwords: they count as one failed login of kmsuser. */
export function isRefusedPin(error: unknown): boolean {
  return isCkr(error, CKR.PIN_INCORRECT, CKR.PIN_INVALID, CKR.PIN_LEN_RANGE, CKR.PIN_EXPIRED);
}

const CONNECT: ReadonlyMap<number, ConnectionErrorCode> = new Map([
  [CKR.PIN_INCORRECT, "INVALID_CREDENTIALS"],
  [CKR.PIN_INVALID, "INVALID_CREDENTIALS"],
  [CKR.PIN_LEN_RANGE, "INVALID_CREDENTIALS"],
  [CKR.PIN_EXPIRED, "INVALID_CREDENTIALS"],
  [CKR.PIN_LOCKED, "USER_LOCKED_OUT"],
  [CKR.USER_PIN_NOT_INITIALIZED, "USER_NOT_FOUND"],
  [CKR.USER_TYPE_INVALID, "USER_NOT_FOUND"],
  [CKR.USER_ALREADY_LOGGED_IN, "USER_LOGGED_IN"],
  [CKR.TOKEN_NOT_PRESENT, "NETWORK_ERRORS"],
  [CKR.DEVICE_REMOVED, "NETWORK_ERRORS"],
  [CKR.SLOT_ID_INVALID, "NETWORK_ERRORS"],
  [CKR.TOKEN_NOT_RECOGNIZED, "NETWORK_ERRORS"],
]);

/** The ConnectionErrorCode of whatever ended a connect. */
export function connectionErrorCode(error: unknown): ConnectionErrorCode {
  if (error instanceof ConnectFailure) return error.code;
  if (error instanceof NetworkError && error.code === "SUBNET_NOT_FOUND") return "SUBNET_NOT_FOUND";
  if (error instanceof NetworkError && error.code === "NO_FREE_ADDRESS")
    return "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET";
  if (!(error instanceof Pkcs11Error)) return "INTERNAL_ERROR";
  // No worker at all, or one that does not answer, is a cluster nobody can reach.
  if (error.kind === "start" || error.kind === "deadline") return "NETWORK_ERRORS";
  return (error.kind === "token" && CONNECT.get(error.rv)) || "INTERNAL_ERROR";
}

const UNREACHABLE =
  "KMS cannot communicate with your CloudHSM cluster. This might be a transient network issue. If you see this error repeatedly, verify that the Network ACLs and the security group rules for the VPC of your AWS CloudHSM cluster are correct.";
const LOCKED_OUT =
  "KMS cannot communicate with your AWS CloudHSM cluster because the kmsuser is locked out. If you see this error repeatedly, disconnect the AWS CloudHSM key store and reset the kmsuser account password. Update the kmsuser password for the custom key store and try the request again.";

export function clusterUnreachable(cause?: unknown): AwsError {
  return new AwsError("KMSInvalidStateException", UNREACHABLE, { cause });
}

/** Values after which the cluster counts as out of reach for a cryptographic request. */
const OUT_OF_REACH: readonly number[] = [
  CKR.TOKEN_NOT_PRESENT,
  CKR.DEVICE_REMOVED,
  CKR.SLOT_ID_INVALID,
  CKR.TOKEN_NOT_RECOGNIZED,
  CKR.PIN_INCORRECT,
  CKR.USER_NOT_LOGGED_IN,
  CKR.USER_PIN_NOT_INITIALIZED,
];

/** The exception of a cryptographic request, or of CreateKey, that failed at the token. */
export function cryptographicError(error: unknown, key?: Key): unknown {
  if (!(error instanceof Pkcs11Error)) return error;
  const cause = { cause: error };
  if (error.kind === "deadline")
    return new AwsError("DependencyTimeoutException", "The CloudHSM cluster did not answer in time.", cause);
  // The session has tried a second worker already, so this is no passing fault.
  if (error.kind === "start" || error.kind === "worker") return clusterUnreachable(error);
  if ((error.kind === "missing" || error.kind === "ambiguous") && key !== undefined)
    return unusableKey(key, error.kind, error);
  if (isCkr(error, CKR.PIN_LOCKED)) return new AwsError("KMSInvalidStateException", LOCKED_OUT, cause);
  if (isCkr(error, ...OUT_OF_REACH)) return clusterUnreachable(error);
  if (isCkr(error, CKR.SESSION_COUNT))
    return new AwsError(
      "KMSInternalException",
      "No PKCS #11 session of the CloudHSM cluster is free.",
      cause,
    );
  return new AwsError(
    "KMSInternalException",
    "The request was rejected because an internal exception occurred.",
    cause,
  );
}

const UNUSABLE: Readonly<Record<"missing" | "ambiguous" | "damaged", string>> = {
  missing: "its key material is not in the CloudHSM cluster",
  ambiguous: "the CloudHSM cluster has more than one key with its id and label",
  damaged: "its key material in the CloudHSM cluster is damaged",
};

/** AWS's text for a key object that is gone is unconfirmed; clients branch on the exception. */
export function unusableKey(key: Key, verdict: keyof typeof UNUSABLE, cause?: unknown): AwsError {
  return new AwsError("KMSInvalidStateException", `${key.Arn} cannot be used: ${UNUSABLE[verdict]}.`, {
    cause,
  });
}
