/**
 * Which exceptions an operation may answer with: those the API model lists for it, those
 * of the framework in front of every service, and the few that keystead answers beyond
 * the model, each with its reason.
 */
import { readFileSync } from "node:fs";

interface ModelOperation {
  readonly errors: readonly string[];
}

function operationsOf(file: string): Readonly<Record<string, ModelOperation>> {
  const model = JSON.parse(readFileSync(new URL(`model/${file}`, import.meta.url), "utf8")) as {
    operations: Record<string, ModelOperation>;
  };
  return model.operations;
}

const OPERATIONS = { ...operationsOf("cloudhsmv2.json"), ...operationsOf("kms.json") };
// Both services have these three; the union is what the name alone can tell.
for (const name of ["TagResource", "UntagResource"])
  OPERATIONS[name] = {
    errors: ["kms.json", "cloudhsmv2.json"].flatMap((file) => operationsOf(file)[name]?.errors ?? []),
  };

/** Errors that AWS documents as common to all operations (reference: wire-protocol §4). */
const COMMON: ReadonlySet<string> = new Set([
  "AccessDeniedException",
  "IncompleteSignatureException",
  "InternalFailure",
  "InvalidSignatureException",
  "MissingAuthenticationTokenException",
  "SerializationException",
  "ThrottlingException",
  "UnknownOperationException",
  "UnrecognizedClientException",
  "ValidationException",
]);

/** Beyond the model, on purpose. */
const BEYOND: ReadonlyMap<string, readonly [codes: readonly string[], why: string]> = new Map([
  ["CreateCustomKeyStore", [["UnsupportedOperationException"], "external key stores are refused honestly"]],
  ["Decrypt", [["UnsupportedOperationException"], "Recipient: attestation cannot be verified"]],
  [
    "GenerateDataKey",
    [
      ["UnsupportedOperationException", "LimitExceededException"],
      "Recipient: attestation cannot be verified; 2^32 encryptions",
    ],
  ],
  ["GenerateDataKeyWithoutPlaintext", [["LimitExceededException"], "2^32 encryptions with random IVs"]],
  ["Encrypt", [["LimitExceededException"], "2^32 encryptions with random IVs"]],
  ["ReEncrypt", [["LimitExceededException"], "2^32 encryptions with random IVs"]],
  ["DescribeKey", [["InvalidGrantTokenException"], "an unknown token is refused wherever one may stand"]],
  ["CreateAlias", [["NotAuthorizedException"], "alias/aws/ is reserved (reference: kms-keys §6)"]],
  ["UpdateAlias", [["NotAuthorizedException"], "alias/aws/ is reserved"]],
  ["DeleteAlias", [["NotAuthorizedException"], "alias/aws/ is reserved"]],
  ["CreateKey", [["AlreadyExistsException"], "a _custom_id_ that is taken (LocalStack's convention)"]],
]);

/** True when the model, the framework or a stated deviation allows `code` from `operation`. */
export function mayAnswer(operation: string, code: string): boolean {
  const listed = OPERATIONS[operation]?.errors ?? [];
  return listed.includes(code) || COMMON.has(code) || (BEYOND.get(operation)?.[0].includes(code) ?? false);
}

/** Every exception either model knows, and the framework's. */
export const KNOWN_ERRORS: ReadonlySet<string> = new Set([
  ...COMMON,
  ...Object.values(OPERATIONS).flatMap((operation) => operation.errors),
  ...[...BEYOND.values()].flatMap(([codes]) => codes),
]);
