/** Which usages the keys of each KeySpec can have (reference: kms-keys §1.2 row 4). */
import { AwsError } from "../core/errors.ts";

const USAGES: readonly [specs: RegExp, usages: readonly string[]][] = [
  [/^SYMMETRIC_DEFAULT$/, ["ENCRYPT_DECRYPT"]],
  [/^RSA_/, ["ENCRYPT_DECRYPT", "SIGN_VERIFY"]],
  [/^ECC_NIST_P/, ["SIGN_VERIFY", "KEY_AGREEMENT"]],
  [/^ECC_/, ["SIGN_VERIFY"]],
  [/^HMAC_/, ["GENERATE_VERIFY_MAC"]],
  [/^SM2$/, ["ENCRYPT_DECRYPT", "SIGN_VERIFY", "KEY_AGREEMENT"]],
  [/^ML_DSA_/, ["SIGN_VERIFY"]],
];

/** @throws AwsError ValidationException for a usage that keys of `spec` cannot have */
export function requireFittingUsage(spec: string, usage: string): void {
  const usages = USAGES.find(([specs]) => specs.test(spec))?.[1] ?? [];
  if (!usages.includes(usage))
    throw new AwsError("ValidationException", `KeyUsage ${usage} is not compatible with KeySpec ${spec}`);
}
