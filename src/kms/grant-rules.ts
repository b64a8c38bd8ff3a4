/** What a grant may be: principals, operations that the key can do, constraints within their limits. */
import { AwsError } from "../core/errors.ts";
import { list, oneOf, optional, string, structure, type Input } from "../core/shape.ts";
import type { GrantWish } from "./grant-book.ts";
import type { Key } from "./key.ts";
import { encryptionContext } from "./shapes.ts";

const CONSTRAINT_PAIRS = 8;
const CONSTRAINT_CHARACTERS = 384;

const id = string({ min: 1, max: 128 });
const name = string({ min: 1, max: 256, pattern: "^[a-zA-Z0-9:/_-]+$" });
const principal = string({ min: 1, max: 256, pattern: "^[\\w+=,.@:/-]+$" });
const operations = list(
  oneOf(
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "GetPublicKey",
    "CreateGrant",
    "RetireGrant",
    "DescribeKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "DeriveSharedSecret",
  ),
);
const constraints = structure({
  EncryptionContextSubset: optional(encryptionContext),
  EncryptionContextEquals: optional(encryptionContext),
});

export const grantShapes = { id, name, principal, operations, constraints } as const;

/** Operations that no symmetric encryption key has; data key pairs belong to the key type, if not to key stores. */
const IMPOSSIBLE: ReadonlySet<string> = new Set([
  "Sign",
  "Verify",
  "GetPublicKey",
  "GenerateMac",
  "VerifyMac",
  "DeriveSharedSecret",
]);

/** An account, an IAM principal, a session, or an AWS service. */
const PRINCIPAL =
  /^(?:\d{12}|arn:aws[\w-]*:iam::\d{12}:(?:root|(?:user|role)\/.+)|arn:aws[\w-]*:sts::\d{12}:(?:assumed-role|federated-user)\/.+|[a-z0-9.-]+\.amazonaws\.com(?:\.cn)?)$/;

const invalid = (message: string): AwsError => new AwsError("ValidationException", message);

/** @throws AwsError InvalidArnException */
export function requirePrincipal(text: string): void {
  if (!PRINCIPAL.test(text))
    throw new AwsError("InvalidArnException", `ARN does not refer to a valid principal: ${text}`);
}

/** @throws AwsError InvalidGrantIdException for a text that is no grant id */
export function requireGrantId(text: string): void {
  if (!/^[0-9a-f]{64}$/.test(text))
    throw new AwsError("InvalidGrantIdException", `The grant ID ${text} is not valid.`);
}

function requireConstraint(member: string, context: ReadonlyMap<string, string> | undefined): void {
  if (context === undefined) return;
  if (context.size > CONSTRAINT_PAIRS)
    throw invalid(`${member} can have at most ${CONSTRAINT_PAIRS} encryption context pairs.`);
  for (const [key, value] of context)
    if (key.length > CONSTRAINT_CHARACTERS || value.length > CONSTRAINT_CHARACTERS)
      throw invalid(
        `The keys and values of ${member} can have at most ${CONSTRAINT_CHARACTERS} characters each.`,
      );
}

interface Asked {
  readonly GranteePrincipal: string;
  readonly RetiringPrincipal?: string;
  readonly Operations: readonly string[];
  readonly Constraints?: Input<{ readonly constraints: typeof constraints }>["constraints"];
  readonly Name?: string;
}

/** What CreateGrant asks for. @throws AwsError ValidationException, InvalidArnException */
export function wishOf(key: Key, asked: Asked): GrantWish {
  const { GranteePrincipal, RetiringPrincipal, Operations, Constraints = {}, Name } = asked;
  requirePrincipal(GranteePrincipal);
  if (RetiringPrincipal !== undefined) requirePrincipal(RetiringPrincipal);
  if (Operations.length === 0) throw invalid("A grant must allow at least one operation.");
  const impossible = Operations.find((operation) => IMPOSSIBLE.has(operation));
  if (impossible !== undefined)
    throw invalid(
      `The operation ${impossible} cannot be granted: ${key.Arn} is a symmetric encryption key and does not support it.`,
    );
  requireConstraint("EncryptionContextSubset", Constraints.EncryptionContextSubset);
  requireConstraint("EncryptionContextEquals", Constraints.EncryptionContextEquals);
  return { Name, GranteePrincipal, RetiringPrincipal, Operations: [...new Set(Operations)], Constraints };
}
