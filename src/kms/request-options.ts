/** Members common to the cryptographic operations that ask for more than keystead or a key store's key can do. */
import { AwsError } from "../core/errors.ts";
import { refuseRecipient } from "./attestation.ts";

/** The one algorithm of symmetric encryption keys. */
export const ALGORITHM = "SYMMETRIC_DEFAULT";

export interface RequestOptions {
  readonly Recipient?: { readonly AttestationDocument?: Buffer };
  readonly DryRun?: boolean;
  readonly algorithms?: readonly (string | undefined)[];
}

/** @throws AwsError InvalidKeyUsageException, and what a Recipient is refused with */
export function requireSupported({ Recipient, algorithms = [] }: RequestOptions): void {
  for (const algorithm of algorithms)
    if (algorithm !== undefined && algorithm !== ALGORITHM)
      throw new AwsError(
        "InvalidKeyUsageException",
        `Algorithm ${algorithm} is incompatible with key spec SYMMETRIC_DEFAULT.`,
      );
  refuseRecipient(Recipient);
}
