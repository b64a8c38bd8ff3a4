/** PKCS#11 return values as ConnectionErrorCodes and as exceptions of cryptographic requests (reference: custom-key-stores §8). */
import { expect, test } from "vitest";
import type { AwsError } from "../../src/core/errors.ts";
import { CKR, Pkcs11Error, type Pkcs11ErrorKind } from "../../src/hsm/errors.ts";
import type { Key } from "../../src/kms/key.ts";
import { connectionErrorCode, cryptographicError, isRefusedPin } from "../../src/kms/token-errors.ts";
import { covers } from "./harness.ts";

type Ckr = keyof typeof CKR;

const token = (name: Ckr): Pkcs11Error => new Pkcs11Error("token", CKR[name], "C_Login");
const otherwise = (kind: Pkcs11ErrorKind): Pkcs11Error => new Pkcs11Error(kind, 0, "worker");

const BAD_PIN: readonly Ckr[] = ["PIN_INCORRECT", "PIN_INVALID", "PIN_LEN_RANGE", "PIN_EXPIRED"];
const GONE: readonly Ckr[] = [
  "TOKEN_NOT_PRESENT",
  "DEVICE_REMOVED",
  "SLOT_ID_INVALID",
  "TOKEN_NOT_RECOGNIZED",
];
const DEVICE: readonly Ckr[] = [
  "DEVICE_ERROR",
  "DEVICE_MEMORY",
  "GENERAL_ERROR",
  "FUNCTION_FAILED",
  "HOST_MEMORY",
  "CRYPTOKI_NOT_INITIALIZED",
];

const CONNECT: readonly [ids: string, values: readonly Ckr[], code: string][] = [
  ["cks-8-PIN_LOCKED-connect", ["PIN_LOCKED"], "USER_LOCKED_OUT"],
  ["cks-8-bad-pin-connect", BAD_PIN, "INVALID_CREDENTIALS"],
  ["cks-8-no-user-connect", ["USER_PIN_NOT_INITIALIZED", "USER_TYPE_INVALID"], "USER_NOT_FOUND"],
  ["cks-8-already-logged-in-connect", ["USER_ALREADY_LOGGED_IN"], "USER_LOGGED_IN"],
  ["cks-8-token-gone-connect", GONE, "NETWORK_ERRORS"],
  ["cks-8-device-error-connect", DEVICE, "INTERNAL_ERROR"],
  ["cks-8-session-count-connect", ["SESSION_COUNT"], "INTERNAL_ERROR"],
];

for (const [ids, values, code] of CONNECT)
  test(covers(ids, `during a connect: ${code}`), () => {
    for (const name of values) {
      expect(connectionErrorCode(token(name)), name).toBe(code);
      expect(isRefusedPin(token(name)), name).toBe(code === "INVALID_CREDENTIALS");
    }
  });

test(covers("cks-8-out-of-reach", "during a connect: NETWORK_ERRORS"), () => {
  for (const kind of ["start", "deadline"] as const)
    expect(connectionErrorCode(otherwise(kind)), kind).toBe("NETWORK_ERRORS");
});

/** The exception's `Type: message` and status. */
function crypto(error: Pkcs11Error): [status: number, text: string] {
  const { status, code, message } = cryptographicError(error) as AwsError;
  return [status, `${code}: ${message}`];
}

const UNREACHABLE = /^KMSInvalidStateException: KMS cannot communicate with your CloudHSM cluster\. /;
const LOCKED =
  /^KMSInvalidStateException: KMS cannot communicate with your AWS CloudHSM cluster because the kmsuser is locked out\. If you see this error repeatedly, disconnect the AWS CloudHSM key store and reset the kmsuser account password\. Update the kmsuser password for the custom key store and try the request again\.$/;
const SESSIONS = /^KMSInternalException: .*PKCS #11 session/;

const CRYPTO: readonly [ids: string, values: readonly Ckr[], status: number, text: RegExp][] = [
  ["cks-8-PIN_LOCKED-crypto cks-9-locked-out", ["PIN_LOCKED"], 400, LOCKED],
  ["cks-8-bad-pin-crypto", ["PIN_INCORRECT"], 400, UNREACHABLE],
  ["cks-8-no-user-crypto", ["USER_PIN_NOT_INITIALIZED"], 400, UNREACHABLE],
  ["cks-8-token-gone-crypto", GONE, 400, UNREACHABLE],
  ["cks-8-device-error-crypto", DEVICE, 500, /^KMSInternalException: /],
  ["cks-8-session-count-crypto cks-9-sessions", ["SESSION_COUNT"], 500, SESSIONS],
];

for (const [ids, values, status, text] of CRYPTO)
  test(covers(ids, `during cryptography: ${status}`), () => {
    for (const name of values)
      expect(crypto(token(name)), name).toEqual([status, expect.stringMatching(text)]);
  });

test(
  covers("cks-8-key-missing-crypto", "a key object that is gone, or there twice: KMSInvalidStateException"),
  () => {
    // The worker has looked for it once more by then (test/hsm/backends.test.ts).
    const key = { Arn: "arn:aws:kms:us-east-1:000000000000:key/k" } as Key;
    for (const kind of ["missing", "ambiguous"] as const)
      expect(cryptographicError(otherwise(kind), key)).toMatchObject({
        code: "KMSInvalidStateException",
        status: 400,
        message: expect.stringContaining(key.Arn) as string,
      });
  },
);

const BOTH: readonly [ids: string, name: Ckr][] = [
  ["cks-8-another-logged-in", "USER_ANOTHER_ALREADY_LOGGED_IN"],
  ["cks-8-too-many-types", "USER_TOO_MANY_TYPES"],
];

for (const [ids, name] of BOTH)
  test(covers(ids, "an artefact of the simulator is an internal error"), () => {
    expect(connectionErrorCode(token(name))).toBe("INTERNAL_ERROR");
    expect(crypto(token(name))).toEqual([500, expect.stringMatching(/^KMSInternalException: /)]);
  });
