/**
 * What grants allow: their operations, to their grantee, under their constraints.
 * https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
 */
import type { Ask, GrantFacts } from "../core/access.ts";
import { isCaller } from "./principals.ts";

type Pairs = ReadonlyMap<string, string>;

/** Operations without an encryption context; constraints do not concern them. */
const WITHOUT_CONTEXT = new Set(["DescribeKey", "RetireGrant"]);

export function isGranted(ask: Ask): boolean {
  const operation = ask.action.slice(ask.action.indexOf(":") + 1);
  return (ask.grants ?? []).some((grant) => allows(grant, operation, ask));
}

function allows(grant: GrantFacts, operation: string, ask: Ask): boolean {
  const { RetiringPrincipal } = grant;
  if (
    operation === "RetireGrant" &&
    RetiringPrincipal !== undefined &&
    isCaller(RetiringPrincipal, ask.caller)
  )
    return true;
  if (!grant.Operations.includes(operation) || !isCaller(grant.GranteePrincipal, ask.caller)) return false;
  if (operation === "CreateGrant") return isNoWider(grant, ask);
  return WITHOUT_CONTEXT.has(operation) || isMet(grant, ask.encryptionContext ?? new Map());
}

function includes(all: Pairs, some: Pairs): boolean {
  return [...some].every(([key, value]) => all.get(key) === value);
}

function isMet(
  { Constraints: { EncryptionContextSubset, EncryptionContextEquals } = {} }: GrantFacts,
  context: Pairs,
): boolean {
  if (EncryptionContextSubset !== undefined && !includes(context, EncryptionContextSubset)) return false;
  return (
    EncryptionContextEquals === undefined ||
    (context.size === EncryptionContextEquals.size && includes(context, EncryptionContextEquals))
  );
}

/** A grant made by a grantee must not allow more than the grant that lets it be made. */
function isNoWider(grant: GrantFacts, { context, encryptionContext = new Map() }: Ask): boolean {
  const wanted = context.get("kms:grantoperations") ?? [];
  if (!wanted.every((operation) => grant.Operations.includes(operation))) return false;
  const exact = context.get("kms:grantconstrainttype")?.includes("EncryptionContextEquals") === true;
  if (grant.Constraints?.EncryptionContextEquals !== undefined && !exact) return false;
  return isMet(grant, encryptionContext);
}
