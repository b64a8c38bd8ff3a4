/** DryRun: a request that would have succeeded ends before it does anything. */
import { AwsError } from "../core/errors.ts";

/** @throws AwsError DryRunOperationException when the request says DryRun */
export function endDryRun({ DryRun }: { readonly DryRun?: boolean }): void {
  if (DryRun === true)
    throw new AwsError(
      "DryRunOperationException",
      "The request would have succeeded, but the DryRun option is set.",
    );
}
