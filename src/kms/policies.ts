/** GetKeyPolicy, PutKeyPolicy, ListKeyPolicies, and the checks that CreateKey shares (reference: kms-keys §1.2, §6). */
import { AwsError } from "../core/errors.ts";
import type { Caller, Request, Service } from "../core/operation.ts";
import { boolean, optional, string } from "../core/shape.ts";
import { pageOf } from "./paging.ts";
import { readPolicy, type Statement } from "./policy-document.ts";
import { accountQuestion } from "./questions.ts";
import { onKey, type Kms, type KmsContext } from "./service.ts";
import { keyId, limit, marker, policyDocument } from "./shapes.ts";

const policyName = string({ min: 1, max: 128, pattern: "[\\w]+" });

/** The only name a key policy can have. */
const DEFAULT = "default";
const POLICIES_PER_PAGE = 100;
const PUT_KEY_POLICY = "kms:PutKeyPolicy";

/** The policy AWS gives a key that is created without one through the API. */
export function defaultPolicy(kms: Kms): string {
  return JSON.stringify({
    Version: "2012-10-17",
    Id: "key-default-1",
    Statement: [
      {
        Sid: "Enable IAM User Permissions",
        Effect: "Allow",
        Principal: { AWS: `arn:aws:iam::${kms.account}:root` },
        Action: "kms:*",
        Resource: "*",
      },
    ],
  });
}

/**
 * The policy of the key `keyArn` must be well formed and, unless the caller says otherwise,
 * let the caller change it again.
 * @throws AwsError MalformedPolicyDocumentException, LimitExceededException
 */
export function requireLegalPolicy(
  { kms, ...request }: KmsContext & Request,
  keyArn: string,
  policy: string,
  bypassLockoutCheck = false,
): void {
  const statements = readPolicy(policy);
  if (bypassLockoutCheck) return;
  if (!keepsControl(statements, request.caller)) throw lockedOut();
  try {
    const question = accountQuestion(kms, request, PUT_KEY_POLICY, keyArn, {});
    request.authorizer?.check({ ...question, keyPolicy: policy });
  } catch (error) {
    throw error instanceof AwsError ? lockedOut() : error;
  }
}

function lockedOut(): AwsError {
  return new AwsError(
    "MalformedPolicyDocumentException",
    "The new key policy will not allow you to update the key policy in the future.",
  );
}

/**
 * Whether the caller may still call PutKeyPolicy, as far as the key policy alone tells; with
 * `--auth iam` the authorizer is asked too. Conditions are taken in the caller's favour: they may hold at the next call.
 */
function keepsControl(statements: readonly Statement[], caller: Caller): boolean {
  const concerning = statements.filter(
    (statement) => coversAction(statement) && coversCaller(statement, caller),
  );
  return (
    concerning.some((statement) => statement.allows) &&
    !concerning.some((statement) => !statement.allows && !statement.conditional)
  );
}

function coversAction({ actions, exceptActions }: Statement): boolean {
  const named = actions.some((pattern) => isLike(pattern.toLowerCase(), PUT_KEY_POLICY.toLowerCase()));
  return named !== exceptActions;
}

/** `*` and `?` by returning to the last star only: a regular expression could be made to take years. */
function isLike(pattern: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  for (let read = 0; read < text.length;) {
    if (pattern[at] === "*") {
      star = at++;
      resume = read;
    } else if (pattern[at] === "?" || pattern[at] === text[read]) {
      at += 1;
      read += 1;
    } else if (star >= 0) {
      at = star + 1;
      read = ++resume;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(at));
}

/** A NotPrincipal is taken as AWS recommends using it: to deny all but a few, and never to allow. */
function coversCaller({ principals, allows }: Statement, caller: Caller): boolean {
  if (principals === undefined) return false;
  const { account } = caller;
  const names = new Set(["*", caller.arn, ...roleOf(caller.arn)]);
  // Allowing the account lets its identity policies decide; denying it denies everybody in it.
  return principals.some(
    (one) => names.has(one) || one === account || one === rootOf(caller) || (allows && one === "*"),
  );
}

function rootOf({ arn, account }: Caller): string {
  return `arn:${arn.split(":")[1] ?? "aws"}:iam::${account}:root`;
}

/** The role of an assumed-role session: allowing a role allows its sessions. */
function roleOf(arn: string): string[] {
  const session = /^arn:([\w-]+):sts::(\d{12}):assumed-role\/([^/]+)\/.+$/.exec(arn);
  return session === null ? [] : [`arn:${session[1]}:iam::${session[2]}:role/${session[3]}`];
}

function requireDefault(name = DEFAULT): void {
  if (name !== DEFAULT) throw new AwsError("NotFoundException", `No such policy exists: ${name}`);
}

const described = { key: "KeyId", forms: "key-id-or-arn", use: "describe" } as const;

export const policies: Service<KmsContext> = {
  GetKeyPolicy: onKey(
    described,
    { KeyId: keyId, PolicyName: optional(policyName) },
    async ({ PolicyName }, { key }) => {
      requireDefault(PolicyName);
      return { Policy: key.Policy, PolicyName: DEFAULT };
    },
  ),

  PutKeyPolicy: onKey(
    { ...described, output: "none" },
    {
      KeyId: keyId,
      PolicyName: optional(policyName),
      Policy: policyDocument,
      BypassPolicyLockoutSafetyCheck: optional(boolean()),
    },
    async ({ Policy, PolicyName, BypassPolicyLockoutSafetyCheck: bypass }, { kms, key, ...request }) => {
      requireDefault(PolicyName);
      requireLegalPolicy({ kms, ...request }, key.Arn, Policy, bypass);
      await kms.keys.change(key, { Policy });
      return undefined;
    },
  ),

  ListKeyPolicies: onKey(
    described,
    { KeyId: keyId, Limit: optional(limit), Marker: optional(marker) },
    async (input, { key }) => {
      const { entries, paging } = pageOf(
        { list: "ListKeyPolicies", of: key.KeyId, usual: POLICIES_PER_PAGE },
        [DEFAULT],
        (name) => name,
        input,
      );
      return { PolicyNames: entries, ...paging };
    },
  ),
};
