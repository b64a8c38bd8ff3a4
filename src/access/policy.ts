/**
 * Policy documents, read once into statements that can be asked. What AWS would not take is
 * refused in one sentence, so that a misspelt element never silently allows or denies.
 */
import type { ConditionKeys, Principal } from "../core/access.ts";
import { Refusal } from "../core/errors.ts";
import { conditions, isMapping, texts } from "./conditions.ts";
import { notPrincipals, principals, type Meant, type Principals } from "./principals.ts";
import { fill, isLike, template } from "./template.ts";

export interface Question {
  readonly caller: Principal;
  readonly action: string;
  readonly resource: string;
  readonly context: ConditionKeys;
}

export interface Statement {
  readonly effect: "Allow" | "Deny";
  /** Whom the statement is about; always the caller in an identity policy. */
  readonly meant: Principals;
  /** Action, resource and conditions. */
  readonly applies: (question: Question) => boolean;
}

/** The statements of a document. */
export type Policy = readonly Statement[];

const VERSIONS: readonly unknown[] = ["2012-10-17", "2008-10-17", undefined];
const WITH_VARIABLES = "2012-10-17";
const ELEMENTS = new Set(
  "Sid Effect Principal NotPrincipal Action NotAction Resource NotResource Condition".split(" "),
);

type Source = Readonly<Record<string, unknown>>;
type Kind = "identity" | "key";

/**
 * An identity policy, as a mapping or as JSON text.
 * @throws Refusal one sentence
 */
export function identityPolicy(document: unknown): Policy {
  return read(document, "identity");
}

/** A key policy. @throws Refusal one sentence */
export function keyPolicy(document: string): Policy {
  return read(document, "key");
}

function read(document: unknown, kind: Kind): Policy {
  const source = typeof document === "string" ? parseJson(document) : document;
  if (!isMapping(source)) throw new Refusal("A policy must be a mapping, or JSON text of one.", 2);
  const stray = Object.keys(source).find((name) => !["Version", "Id", "Statement"].includes(name));
  if (stray !== undefined) throw new Refusal(`A policy has no element ${stray}.`, 2);
  if (!VERSIONS.includes(source["Version"]))
    throw new Refusal("Version must be 2012-10-17 or 2008-10-17, in quotes.", 2);
  const variables = source["Version"] === WITH_VARIABLES;
  const { Statement } = source as { readonly Statement?: unknown };
  if (Statement === undefined) throw new Refusal("A policy must have a Statement.", 2);
  const all: readonly unknown[] = Array.isArray(Statement) ? Statement : [Statement];
  return all.map((one, index) => statement(one, kind, variables, `Statement ${index + 1}`));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal("The policy is not valid JSON.", 2);
  }
}

function statement(source: unknown, kind: Kind, variables: boolean, where: string): Statement {
  if (!isMapping(source)) throw new Refusal(`${where} must be a mapping.`, 2);
  const stray = Object.keys(source).find((name) => !ELEMENTS.has(name));
  if (stray !== undefined) throw new Refusal(`${where} has the unknown element ${stray}.`, 2);
  const { Effect } = source as { readonly Effect?: unknown };
  if (Effect !== "Allow" && Effect !== "Deny")
    throw new Refusal(`${where} must have an Effect of Allow or Deny.`, 2);
  const action = actions(source, where);
  const resource = resources(source, kind, variables, where);
  // PutKeyPolicy has let a key policy in already, so it must not become unreadable here.
  const reading = { variables, strict: kind === "identity" };
  const holds = conditions(source["Condition"], reading, `${where}.Condition`);
  return {
    effect: Effect,
    meant: whom(source, kind, where),
    applies: (question) =>
      action(question.action) &&
      resource(question) &&
      holds.every((condition) => condition(question.context)),
  };
}

/** The element or its Not… twin, exactly one of them. */
function oneOf(
  source: Source,
  name: string,
  where: string,
): { readonly value: unknown; readonly not: boolean } {
  const given = [name, `Not${name}`].filter((element) => source[element] !== undefined);
  const [element] = given;
  if (element === undefined || given.length > 1)
    throw new Refusal(`${where} must have either ${name} or Not${name}.`, 2);
  return { value: source[element], not: element !== name };
}

function actions(source: Source, where: string): (action: string) => boolean {
  const { value, not } = oneOf(source, "Action", where);
  // Without case, and without variables: AWS has none in actions.
  const wanted = texts(value, `${where}.Action`).map((text) => {
    if (text !== "*" && !/^[\w-]+:[\w*?]+$/.test(text))
      throw new Refusal(`${where}: ${text} is not an action such as kms:Decrypt.`, 2);
    return template(text.toLowerCase(), false);
  });
  return (action) => {
    const lower = action.toLowerCase();
    return wanted.some((one) => isLike(fill(one, NOTHING) ?? [], lower)) !== not;
  };
}

const NOTHING: ConditionKeys = new Map();

function resources(
  source: Source,
  kind: Kind,
  variables: boolean,
  where: string,
): (question: Question) => boolean {
  const { value, not } = oneOf(source, "Resource", where);
  const wanted = texts(value, `${where}.Resource`).map((text) => {
    if (kind === "identity" && !/^(?:\*|arn:)/.test(text))
      throw new Refusal(`${where}: ${text} is not an ARN or "*".`, 2);
    return template(text, variables);
  });
  return ({ resource, context }) => {
    // A statement whose variable has no value says nothing, whichever way it is put.
    const filled = wanted.map((one) => fill(one, context));
    if (not && filled.includes(undefined)) return false;
    return filled.some((tokens) => tokens !== undefined && isLike(tokens, resource)) !== not;
  };
}

const always = (): Meant => "caller";

function whom(source: Source, kind: Kind, where: string): Principals {
  if (kind === "key") {
    const { value, not } = oneOf(source, "Principal", where);
    return not ? notPrincipals(value, `${where}.NotPrincipal`) : principals(value, `${where}.Principal`);
  }
  if (source["Principal"] !== undefined || source["NotPrincipal"] !== undefined)
    throw new Refusal(`${where} must not have a Principal: the policy is the credential's own.`, 2);
  return always;
}
