/**
 * Key policies as documents: JSON, the elements of the policy language and the principals
 * (reference: kms-keys §1.2 row 11). What a policy allows is not decided here, except for
 * the one question of the lock-out safety check.
 */
import { AwsError } from "../core/errors.ts";

const LARGEST_BYTES = 32_768;
const VERSIONS: readonly unknown[] = ["2012-10-17", "2008-10-17"];

/** `*`, an account, an IAM principal, or one of its sessions. A group is no principal. */
const AWS_PRINCIPAL =
  /^(?:\*|\d{12}|arn:aws[\w-]*:iam::\d{12}:(?:root|(?:user|role)\/[\w+=,.@/-]+)|arn:aws[\w-]*:sts::\d{12}:(?:assumed-role\/[\w+=,.@-]+\/[\w+=,.@-]+|federated-user\/[\w+=,.@-]+))$/;
const SERVICE_PRINCIPAL = /^[a-z0-9-]+(?:\.[a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?$/;
const ACTION = /^(?:\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+)$/;
const CONDITION =
  /^(?:(?:ForAllValues|ForAnyValue):)?(?:String(?:Not)?(?:Equals(?:IgnoreCase)?|Like)|Numeric(?:(?:Not)?Equals|(?:Less|Greater)Than(?:Equals)?)|Date(?:(?:Not)?Equals|(?:Less|Greater)Than(?:Equals)?)|Bool|BinaryEquals|(?:Not)?IpAddress|Arn(?:Not)?(?:Equals|Like))(?:IfExists)?$|^Null$/;

export interface Statement {
  readonly allows: boolean;
  /** AWS principals; undefined for a NotPrincipal or for services only. */
  readonly principals: readonly string[] | undefined;
  readonly actions: readonly string[];
  /** The statement is about every action but these. */
  readonly exceptActions: boolean;
  readonly conditional: boolean;
}

type Json = Readonly<Record<string, unknown>>;

const malformed = (message: string): AwsError => new AwsError("MalformedPolicyDocumentException", message);
const INVALID_PRINCIPAL = "Policy contains a statement with one or more invalid principals.";

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The elements of `value`. @throws AwsError for others than the known ones */
function elements(value: unknown, what: string, known: readonly string[]): Json {
  if (!isObject(value)) throw malformed(`${what} must be a JSON object.`);
  const unknown = Object.keys(value).find((name) => !known.includes(name));
  if (unknown !== undefined) throw malformed(`${what} has the unknown element ${unknown}.`);
  return value;
}

/** A text or a list of texts, as most elements may be. @throws AwsError for anything else or nothing */
function texts(value: unknown, element: string): string[] {
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  const given = all.filter((one) => typeof one === "string");
  if (given.length < all.length || given.length === 0)
    throw malformed(`A statement's ${element} must be a string or a list of strings.`);
  return given;
}

/** Exactly one of an element and its opposite. @returns its name */
function oneOfTwo(statement: Json, element: string): string {
  const names = [element, `Not${element}`].filter((name) => Object.hasOwn(statement, name));
  const [name] = names;
  if (name === undefined || names.length > 1)
    throw malformed(`Policy contains a statement without exactly one of ${element} and Not${element}.`);
  return name;
}

/** @returns the AWS principals among them */
function principalsOf(value: unknown): string[] {
  if (value === "*") return ["*"];
  if (!isObject(value) || Object.keys(value).length === 0) throw malformed(INVALID_PRINCIPAL);
  return Object.entries(value).flatMap(([kind, listed]) => {
    const pattern = { AWS: AWS_PRINCIPAL, Service: SERVICE_PRINCIPAL }[kind];
    const named: readonly unknown[] = Array.isArray(listed) ? listed : [listed];
    const legal = named.filter((one) => typeof one === "string" && pattern?.test(one) === true) as string[];
    if (legal.length < named.length || legal.length === 0) throw malformed(INVALID_PRINCIPAL);
    return kind === "AWS" ? legal : [];
  });
}

function requireConditions(value: unknown): void {
  if (!isObject(value)) throw malformed("A statement's Condition must be a JSON object.");
  for (const [operator, keys] of Object.entries(value)) {
    if (!CONDITION.test(operator) || !isObject(keys))
      throw malformed(`Policy contains a statement with an invalid condition: ${operator}.`);
    for (const [key, wanted] of Object.entries(keys)) {
      const values: readonly unknown[] = Array.isArray(wanted) ? wanted : [wanted];
      if (values.some((one) => !["string", "number", "boolean"].includes(typeof one)))
        throw malformed(`The values of the condition key ${key} must be strings, numbers or booleans.`);
    }
  }
}

const STATEMENT = [
  "Sid",
  "Effect",
  "Principal",
  "NotPrincipal",
  "Action",
  "NotAction",
  "Resource",
  "NotResource",
  "Condition",
] as const;

function statementOf(value: unknown): Statement {
  const given = elements(value, "A statement", STATEMENT);
  if (given["Sid"] !== undefined && typeof given["Sid"] !== "string")
    throw malformed("A statement's Sid must be a string.");
  if (given["Effect"] !== "Allow" && given["Effect"] !== "Deny")
    throw malformed("A statement's Effect must be Allow or Deny.");
  const who = oneOfTwo(given, "Principal");
  const what = oneOfTwo(given, "Action");
  const where = oneOfTwo(given, "Resource");
  const principals = principalsOf(given[who]);
  const actions = texts(given[what], what);
  const wrong = actions.find((action) => !ACTION.test(action));
  if (wrong !== undefined) throw malformed(`Policy contains a statement with the invalid action ${wrong}.`);
  texts(given[where], where);
  if (given["Condition"] !== undefined) requireConditions(given["Condition"]);
  return {
    allows: given["Effect"] === "Allow",
    principals: who === "Principal" ? principals : undefined,
    actions,
    exceptActions: what === "NotAction",
    conditional: given["Condition"] !== undefined,
  };
}

/**
 * Read a key policy.
 * @throws AwsError MalformedPolicyDocumentException; LimitExceededException above 32 KiB
 */
export function readPolicy(text: string): readonly Statement[] {
  if (Buffer.byteLength(text) > LARGEST_BYTES)
    throw new AwsError("LimitExceededException", `A key policy can have at most ${LARGEST_BYTES} bytes.`);
  const policy = elements(parse(text), "A key policy", ["Version", "Id", "Statement"]);
  if (policy["Version"] !== undefined && !VERSIONS.includes(policy["Version"]))
    throw malformed("The Version of a key policy must be 2012-10-17 or 2008-10-17.");
  if (policy["Id"] !== undefined && typeof policy["Id"] !== "string")
    throw malformed("The Id of a key policy must be a string.");
  const { Statement: given } = policy;
  const statements: readonly unknown[] = Array.isArray(given) ? given : [given];
  if (given === undefined || statements.length === 0)
    throw malformed("A key policy must have at least one statement.");
  return statements.map(statementOf);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed("The key policy is not valid JSON.");
  }
}
