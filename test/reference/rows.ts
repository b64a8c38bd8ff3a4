/**
 * The rows of the reference's tables: what AWS documents of the surface that keystead has,
 * each with an id. A row is proven by a case here, whose title names the id, or by another
 * test, which covered-elsewhere.json names; test/conformance/rows.test.ts checks that.
 */
import { readdirSync, readFileSync } from "node:fs";

export interface ReferenceRow {
  readonly id: string;
  /** Section of the reference that the id's first part names. */
  readonly section: string;
  readonly fact: string;
  /** `ours`: no source settles it, so it is our reading. */
  readonly confidence: "confirmed" | "ours";
  readonly operations: readonly string[];
  /** What differs here, on purpose; listed in docs/coverage.md. */
  readonly known?: string;
}

/** Which rows another test proves. */
export interface CoveredElsewhere {
  readonly file: string;
  readonly title: string;
  readonly ids: readonly string[];
}

/** What was left out of the rows, and why. */
export interface LeftOut {
  readonly reference: string;
  readonly what: string;
  readonly why: string;
}

const HERE = new URL("./", import.meta.url);

function read(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, HERE), "utf8"));
}

/** All rows, file by file. */
export function referenceRows(): readonly ReferenceRow[] {
  const files = readdirSync(new URL("rows/", HERE)).toSorted();
  return files.flatMap((file) => read(`rows/${file}`) as ReferenceRow[]);
}

export function coveredElsewhere(): readonly CoveredElsewhere[] {
  return read("covered-elsewhere.json") as CoveredElsewhere[];
}

export function leftOut(): readonly LeftOut[] {
  return read("left-out.json") as LeftOut[];
}

const KEY_STATES = "{Enabled,Disabled,PendingDeletion,Unavailable}";

/** `a-{b,c}` stands for `a-b` and `a-c`, `a-*` for `a` in each key state; several ids are parted by spaces. */
export function expandIds(text: string): string[] {
  return text.split(" ").flatMap((id) => {
    const braces = /^([^{]*)\{([^}]*)\}(.*)$/.exec(id.replace("*", KEY_STATES));
    if (braces === null) return [id];
    const [, before = "", within = "", after = ""] = braces;
    return within.split(",").map((one) => `${before}${one}${after}`);
  });
}

const ID = String.raw`(?:cks|kms|hsm|wire)-\d{1,2}(?:\.\d)?-[\w.{},*-]+`;
const QUOTED = new RegExp(`"(${ID}(?: ${ID})*)"`, "g");

/** Ids that cases carry, as the sources of the cases have them. */
export function caseIds(): string[] {
  const sources = readdirSync(HERE).filter((name) => name.endsWith(".test.ts"));
  return sources.flatMap((name) => {
    const text = readFileSync(new URL(name, HERE), "utf8");
    return [...text.matchAll(QUOTED)].flatMap(([, ids = ""]) => expandIds(ids));
  });
}
