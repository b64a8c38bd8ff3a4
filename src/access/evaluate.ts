/**
 * The decision, as AWS KMS makes it: an explicit deny anywhere wins. The key policy must
 * allow the caller itself, or its account, whose identity policies then decide, or a grant
 * allows. Without a key, identity policies alone decide, and nothing limits an account's root.
 * https://docs.aws.amazon.com/kms/latest/developerguide/policy-evaluation.html
 */
import type { Ask } from "../core/access.ts";
import { isGranted } from "./grants.ts";
import type { Policy, Question } from "./policy.ts";
import { isRoot, type Meant } from "./principals.ts";

/** A question with everything that can decide it. */
export interface Case extends Ask {
  /** The caller's identity policies. */
  readonly identity: readonly Policy[];
  /** The key policy, read; an unreadable one allows nobody. */
  readonly resourcePolicy?: Policy;
}

const KEY_ACCOUNT = /^arn:[^:]*:kms:[^:]*:(\d{12}):/;

/** The end of AWS's sentence "User … is not authorized to perform …"; undefined when the caller may. */
export function refusalOf(asked: Case): string | undefined {
  const { caller, action, identity, resourcePolicy } = asked;
  const statements = identity.flat();
  if (resourcePolicy !== undefined && isDenied(resourcePolicy, asked))
    return "with an explicit deny in a resource-based policy";
  if (isDenied(statements, asked)) return "with an explicit deny in an identity-based policy";
  const byIdentity = isRoot(caller) || allowance(statements, asked) === "caller";
  const unlessIdentity = byIdentity
    ? undefined
    : `because no identity-based policy allows the ${action} action`;
  if (resourcePolicy === undefined) return unlessIdentity;
  const byKey = isGranted(asked) ? "caller" : allowance(resourcePolicy, asked);
  if (byKey === "nobody") return `because no resource-based policy allows the ${action} action`;
  // Another account's key needs both sides; of its own account the key policy may name the caller alone.
  const own = KEY_ACCOUNT.exec(asked.resource)?.[1] === caller.account;
  return own && byKey === "caller" ? undefined : unlessIdentity;
}

/** A deny for an account is one for everybody in it. */
function isDenied(policy: Policy, question: Question): boolean {
  return policy.some(
    ({ effect, meant, applies }) =>
      effect === "Deny" && meant(question.caller) !== "nobody" && applies(question),
  );
}

/** Whom the Allow statements that apply mean, the closest of them. */
function allowance(policy: Policy, question: Question): Meant {
  let found: Meant = "nobody";
  for (const { effect, meant, applies } of policy) {
    if (effect === "Deny") continue;
    const whom = meant(question.caller);
    if (whom === "nobody" || !applies(question)) continue;
    if (whom === "caller") return whom;
    found = whom;
  }
  return found;
}
