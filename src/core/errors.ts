/**
 * The two error classes of keystead, one per boundary (architecture, practice 7).
 *
 * `AwsError` is what a client sees on the wire; `Refusal` is what our own surfaces
 * (command line, management API) say in one sentence. PKCS#11 errors live in `src/hsm`.
 * No message here ever carries a PIN, a plaintext or key bytes.
 */

/** HTTP status of an AWS JSON 1.1 error; everything a client did wrong is 400 (reference: wire-protocol §4.2). */
const FAULT_STATUS: ReadonlyMap<string, number> = new Map([
  ["KMSInternalException", 500],
  ["DependencyTimeoutException", 500],
  ["KeyUnavailableException", 500],
  ["CloudHsmInternalFailureException", 500],
  ["InternalFailure", 500],
  ["ServiceUnavailable", 503],
]);

/** An exception of the AWS KMS or AWS CloudHSM V2 API model, or of the AWS JSON 1.1 framework. */
export class AwsError extends Error {
  /** The `__type` of the answer, for example `NotFoundException`. */
  readonly code: string;
  /** HTTP status of the answer. */
  readonly status: number;

  /** @param message leave out for the exceptions AWS sends without a text, such as InvalidCiphertextException */
  constructor(code: string, message?: string, options?: ErrorOptions) {
    super(message ?? "", options);
    this.name = code;
    this.code = code;
    this.status = FAULT_STATUS.get(code) ?? 400;
  }
}

/** An error of keystead's own surfaces: one clear sentence with the fix, and the process exit code it stands for. */
export class Refusal extends Error {
  /** 1 refused, 2 usage, 3 environment, 4 timed out, 5 store FAILED, 75 data directory in use, 78 data refused. */
  readonly exitCode: number;

  constructor(message: string, exitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.name = "Refusal";
    this.exitCode = exitCode;
  }
}

/** The sentence of any thrown value, for logs and health reports. */
export function reason(error: unknown): string {
  if (error instanceof Error) return error.message === "" ? error.name : error.message;
  return String(error);
}
