/**
 * What keys of custom key stores can never do, in AWS's words (reference: kms-keys §3, §5). The request is validated and the key looked up
 * first, as at AWS; its state is not looked at, because these refusals hold in every state.
 */
import { AwsError } from "../core/errors.ts";
import type { Key } from "./key.ts";

interface WithKey {
  readonly key: Key;
}

/** Refuse an operation for the key's Origin, for example GetKeyRotationStatus. */
export function wrongOrigin(_input: unknown, { key }: WithKey): Promise<never> {
  return Promise.reject(
    new AwsError(
      "UnsupportedOperationException",
      `${key.Arn} origin is AWS_CLOUDHSM which is not valid for this operation.`,
    ),
  );
}

/** Refuse an operation for the key's KeyUsage, for example Sign. */
export function wrongUsage(operation: string): (input: unknown, context: WithKey) => Promise<never> {
  return (_input, { key }) =>
    Promise.reject(
      new AwsError(
        "InvalidKeyUsageException",
        `${key.Arn} key usage is ENCRYPT_DECRYPT which is not valid for ${operation}.`,
      ),
    );
}

/** Facts of an operation that custom key stores never support, by key id or key ARN. */
export const neverByArn = {
  key: "KeyId",
  forms: "key-id-or-arn",
  use: "unsupported",
  coverage: { kind: "refused", note: "AWS CloudHSM key stores do not support it" },
} as const;

/** The same for operations that take any identifier of a key. */
export const never = { ...neverByArn, forms: "any" } as const;
