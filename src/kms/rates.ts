/**
 * Request rates as AWS has them, only with `--quotas aws`: 1,800 cryptographic requests per
 * second for each AWS CloudHSM key store, all operations together, and 5 per second for each
 * custom key store operation (reference: custom-key-stores §1, §9). Wall time, like clients.
 */
import { AwsError } from "../core/errors.ts";

const CRYPTOGRAPHIC_PER_SECOND = 1_800;
const KEY_STORE_OPERATION_PER_SECOND = 5;

interface Bucket {
  left: number;
  at: number;
}

export class Rates {
  readonly #enabled: boolean;
  readonly #now: () => number;
  readonly #buckets = new Map<string, Bucket>();

  /** @param now milliseconds */
  constructor(enabled: boolean, now: () => number = () => performance.now()) {
    this.#enabled = enabled;
    this.#now = now;
  }

  /** @throws AwsError ThrottlingException */
  cryptographic(customKeyStoreId: string): void {
    if (this.#enabled) this.#take(customKeyStoreId, CRYPTOGRAPHIC_PER_SECOND);
  }

  /** @throws AwsError ThrottlingException */
  keyStoreOperation(operation: string): void {
    if (this.#enabled) this.#take(operation, KEY_STORE_OPERATION_PER_SECOND);
  }

  /** A token bucket that holds one second's worth. */
  #take(name: string, perSecond: number): void {
    const now = this.#now();
    const bucket = this.#buckets.get(name) ?? { left: perSecond, at: now };
    bucket.left = Math.min(perSecond, bucket.left + ((now - bucket.at) / 1000) * perSecond);
    bucket.at = now;
    this.#buckets.set(name, bucket);
    if (bucket.left < 1)
      throw new AwsError(
        "ThrottlingException",
        "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
      );
    bucket.left -= 1;
  }
}
