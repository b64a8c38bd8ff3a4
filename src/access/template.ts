/**
 * Text of a policy that is matched: `*`, `?`, and policy variables such as
 * `${aws:username}`, whose values are taken literally. Matching walks the tokens and goes
 * back to the last `*` only, so that no policy can make it slow as a regular expression can be.
 */
import type { ConditionKeys } from "../core/access.ts";

const MANY = Symbol("any run of characters");
const ONE = Symbol("any one character");
/** One character of the text to match, or a wildcard. */
export type Token = string | typeof MANY | typeof ONE;

interface Variable {
  readonly key: string;
  readonly fallback: string | undefined;
}

/** A text of a policy, cut into tokens and variables. */
export interface Template {
  readonly parts: readonly (Token | Variable)[];
  /** False: `parts` are tokens already. */
  readonly hasVariables: boolean;
}

/** `${key}`, `${key, 'default'}`, and `${*}`, `${?}`, `${$}` for the characters themselves. */
const VARIABLE = /^\$\{(?:([*?$])|\s*([^\s,{}']+)\s*(?:,\s*'([^']*)'\s*)?)\}/;

/** @param variables only policies of version 2012-10-17 have them */
export function template(text: string, variables: boolean): Template {
  const parts: (Token | Variable)[] = [];
  let at = 0;
  while (at < text.length) {
    const [whole, character, key, fallback] =
      (variables && text.startsWith("${", at) ? VARIABLE.exec(text.slice(at)) : null) ?? [];
    if (character !== undefined) parts.push(character);
    else if (key !== undefined) parts.push({ key: key.toLowerCase(), fallback });
    else parts.push(tokenOf(text.charAt(at)));
    at += whole?.length ?? 1;
  }
  return { parts, hasVariables: parts.some((part) => typeof part === "object") };
}

function tokenOf(character: string): Token {
  if (character === "*") return MANY;
  return character === "?" ? ONE : character;
}

/** The tokens with variables filled in; undefined when one has no value, or several. */
export function fill(
  { parts, hasVariables }: Template,
  context: ConditionKeys,
): readonly Token[] | undefined {
  if (!hasVariables) return parts as readonly Token[];
  const tokens: Token[] = [];
  for (const part of parts) {
    if (typeof part !== "object") {
      tokens.push(part);
      continue;
    }
    const values = context.get(part.key) ?? [];
    const value = values.length === 1 ? values[0] : part.fallback;
    if (value === undefined) return undefined;
    tokens.push(...Array.from({ length: value.length }, (_, index) => value.charAt(index)));
  }
  return tokens;
}

/** True when `*` and `?` in `tokens` can stand for what is in `text`. */
export function isLike(tokens: readonly Token[], text: string): boolean {
  let token = 0;
  let at = 0;
  let star = -1;
  let resume = 0;
  while (at < text.length) {
    const wanted = tokens[token];
    if (wanted === MANY) {
      star = token;
      resume = at;
      token += 1;
    } else if (wanted === ONE || wanted === text.charAt(at)) {
      token += 1;
      at += 1;
    } else if (star >= 0) {
      token = star + 1;
      resume += 1;
      at = resume;
    } else return false;
  }
  while (tokens[token] === MANY) token += 1;
  return token === tokens.length;
}

/** The text itself, for operators without wildcards: there `*` and `?` are characters like any other. */
export function plain(tokens: readonly Token[]): string {
  return tokens.map((token) => (typeof token === "string" ? token : token === MANY ? "*" : "?")).join("");
}

/** An ARN has six parts; the last takes all further colons. */
const ARN_PARTS = 6;

/** ArnLike and ArnEquals, which are the same: part by part, so that no `*` reaches across a colon before the resource. */
export function isLikeArn(tokens: readonly Token[], text: string): boolean {
  const words = text.split(":");
  const parts = [...words.slice(0, ARN_PARTS - 1), words.slice(ARN_PARTS - 1).join(":")];
  const wanted: Token[][] = [[]];
  for (const token of tokens)
    if (token === ":" && wanted.length < ARN_PARTS) wanted.push([]);
    else wanted.at(-1)?.push(token);
  if (words.length < ARN_PARTS || wanted.length < ARN_PARTS) return false;
  return wanted.every((part, index) => isLike(part, parts[index] ?? ""));
}
