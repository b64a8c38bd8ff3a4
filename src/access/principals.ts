/** Who a policy's Principal element means. */
import type { ConditionKeys, Principal } from "../core/access.ts";
import { Refusal } from "../core/errors.ts";
import { isMapping, texts } from "./conditions.ts";

/** `account`: not the caller itself but its whole account is meant, so its identity policies decide. */
export type Meant = "caller" | "account" | "nobody";
export type Principals = (caller: Principal) => Meant;

const SESSION = /^arn:([^:]*):sts::(\d{12}):assumed-role\/([^/]+)\/([^/]+)$/;
const ROLE = /^arn:[^:]*:iam::(\d{12}):role\/(?:.*\/)?([^/]+)$/;
const USER = /^arn:[^:]*:iam::\d{12}:user\/(?:.*\/)?([^/]+)$/;
const ACCOUNT = /^(?:arn:[^:]*:iam::)?(\d{12})(?::root)?$/;

/** Any ARN a caller can have. */
export const CALLER_ARN =
  /^arn:aws[\w-]*:(?:iam::\d{12}:(?:root|user\/.+|role\/.+)|sts::\d{12}:(?:assumed-role\/[^/]+\/[^/]+|federated-user\/.+))$/;

export function isRoot({ arn, account }: Principal): boolean {
  return ACCOUNT.exec(arn)?.[1] === account;
}

/** True when `named` is the caller, or the role whose session the caller is; role names are unique whatever their path. */
export function isCaller(named: string, caller: Principal): boolean {
  if (named === caller.arn) return true;
  const [, , sessionAccount, sessionRole] = SESSION.exec(caller.arn) ?? [];
  const [, account, role] = ROLE.exec(named) ?? [];
  return role !== undefined && role === sessionRole && account === sessionAccount;
}

function meant(named: string, caller: Principal): Meant {
  if (named === "*" || isCaller(named, caller)) return "caller";
  if (ACCOUNT.exec(named)?.[1] !== caller.account) return "nobody";
  return isRoot(caller) ? "caller" : "account";
}

function strongest(names: readonly string[], caller: Principal): Meant {
  const found = new Set(names.map((name) => meant(name, caller)));
  if (found.has("caller")) return "caller";
  return found.has("account") ? "account" : "nobody";
}

/** The AWS principals of an element; services and federated users never call keystead. */
function namesIn(element: unknown, where: string): readonly string[] {
  if (element === "*") return ["*"];
  if (!isMapping(element)) throw new Refusal(`${where} must be "*" or a mapping with AWS.`, 2);
  return element["AWS"] === undefined ? [] : texts(element["AWS"], `${where}.AWS`);
}

/** Principal of a statement. */
export function principals(element: unknown, where: string): Principals {
  const names = namesIn(element, where);
  return (caller) => strongest(names, caller);
}

/** NotPrincipal: a caller is left out only when both it and its account are named. */
export function notPrincipals(element: unknown, where: string): Principals {
  const names = namesIn(element, where);
  return (caller) => {
    const itself = names.some((name) => name === "*" || isCaller(name, caller));
    const account = names.some((name) => name === "*" || ACCOUNT.exec(name)?.[1] === caller.account);
    return account && (itself || isRoot(caller)) ? "nobody" : "caller";
  };
}

/** The condition keys that say who calls. */
export function principalKeys(caller: Principal): ConditionKeys {
  const [, partition, account, role] = SESSION.exec(caller.arn) ?? [];
  const user = USER.exec(caller.arn)?.[1];
  const arn = role === undefined ? caller.arn : `arn:${partition}:iam::${account}:role/${role}`;
  return new Map([
    ["aws:principalarn", [arn]],
    ["aws:principalaccount", [caller.account]],
    ["aws:principaltype", [typeOf(caller, user)]],
    ["aws:principalisawsservice", ["false"]],
    ...(user === undefined ? [] : ([["aws:username", [user]]] as const)),
  ]);
}

function typeOf(caller: Principal, user: string | undefined): string {
  if (isRoot(caller)) return "Account";
  return user === undefined ? "AssumedRole" : "User";
}
