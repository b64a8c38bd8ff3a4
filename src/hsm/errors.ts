/**
 * The error of the token boundary and the CKR numbers keystead knows by name
 * (PKCS#11 v2.40, section 11.1). Numbers are compared, never messages: pkcs11js names
 * codes it does not know CKR_VENDOR_DEFINED (design/softhsm.md §6).
 */

/** Return values by name; 0x0 CKR_OK is never an error. */
export const CKR = {
  HOST_MEMORY: 0x2,
  SLOT_ID_INVALID: 0x3,
  GENERAL_ERROR: 0x5,
  FUNCTION_FAILED: 0x6,
  ARGUMENTS_BAD: 0x7,
  DEVICE_ERROR: 0x30,
  DEVICE_MEMORY: 0x31,
  DEVICE_REMOVED: 0x32,
  ENCRYPTED_DATA_INVALID: 0x40,
  ENCRYPTED_DATA_LEN_RANGE: 0x41,
  KEY_HANDLE_INVALID: 0x60,
  OBJECT_HANDLE_INVALID: 0x82,
  OPERATION_ACTIVE: 0x90,
  PIN_INCORRECT: 0xa0,
  PIN_INVALID: 0xa1,
  PIN_LEN_RANGE: 0xa2,
  PIN_EXPIRED: 0xa3,
  PIN_LOCKED: 0xa4,
  SESSION_CLOSED: 0xb0,
  SESSION_COUNT: 0xb1,
  SESSION_HANDLE_INVALID: 0xb3,
  TOKEN_NOT_PRESENT: 0xe0,
  TOKEN_NOT_RECOGNIZED: 0xe1,
  USER_ALREADY_LOGGED_IN: 0x100,
  USER_NOT_LOGGED_IN: 0x101,
  USER_PIN_NOT_INITIALIZED: 0x102,
  USER_TYPE_INVALID: 0x103,
  USER_ANOTHER_ALREADY_LOGGED_IN: 0x104,
  USER_TOO_MANY_TYPES: 0x105,
  CRYPTOKI_NOT_INITIALIZED: 0x190,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(CKR).map(([name, rv]) => [rv, `CKR_${name}`]),
);

/**
 * What went wrong at the token.
 * - `token`: a PKCS#11 function returned `rv`;
 * - `tag`: a ciphertext did not authenticate (wrong context, damaged blob, or a damaged key: ask the canary);
 * - `missing`, `ambiguous`: no key object, or more than one, for the CKA_ID and label asked for;
 * - `argument`: the caller's arguments were out of range;
 * - `start`: no HSM worker could be started at all;
 * - `worker`: the HSM worker died, which a damaged token file can do to it;
 * - `deadline`: the worker did not answer in time, whether it acted is unknown.
 */
export type Pkcs11ErrorKind =
  "token" | "tag" | "missing" | "ambiguous" | "argument" | "start" | "worker" | "deadline";

/** An error of the token boundary; carries no PIN, plaintext or key bytes. */
export class Pkcs11Error extends Error {
  readonly kind: Pkcs11ErrorKind;
  /** PKCS#11 return value; 0 where no function was called. */
  readonly rv: number;
  /** The PKCS#11 function, for example C_Login; or what the worker was doing. */
  readonly function: string;

  constructor(kind: Pkcs11ErrorKind, rv: number, fn: string) {
    super(rv === 0 ? `${fn}: ${kind}` : `${fn}: ${ckrName(rv)}`);
    this.name = "Pkcs11Error";
    this.kind = kind;
    this.rv = rv;
    this.function = fn;
  }
}

/** `CKR_PIN_INCORRECT`, or the number in hexadecimal for a value without a name here. */
function ckrName(rv: number): string {
  return NAMES.get(rv) ?? `CKR 0x${rv.toString(16).padStart(8, "0")}`;
}

/** True when a PKCS#11 function returned exactly `rv`. */
export function isCkr(error: unknown, ...rvs: readonly number[]): boolean {
  return error instanceof Pkcs11Error && error.kind === "token" && rvs.includes(error.rv);
}
