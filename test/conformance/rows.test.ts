/** Every row of the reference's tables has a case in test/reference, or another test that proves it. */
import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { baldrApiService } from "../../src/cloudhsm/service.ts";
import { trentService } from "../../src/kms/trent-service.ts";
import { caseIds, coveredElsewhere, leftOut, referenceRows } from "../reference/rows.ts";

const rows = referenceRows();
const known = new Set(rows.map((row) => row.id));
const elsewhere = coveredElsewhere();
const proven = [...caseIds(), ...elsewhere.flatMap((entry) => entry.ids)];

function repeated(ids: readonly string[]): string[] {
  return ids.filter((id, at) => ids.indexOf(id) < at);
}

test("row ids are unique, and every row says where it is from and how sure it is", () => {
  expect(rows.length).toBeGreaterThan(800);
  expect(repeated(rows.map((row) => row.id))).toEqual([]);
  for (const { id, section, fact, confidence } of rows) {
    expect(id).toMatch(/^(?:cks|kms|hsm|wire)-\d[\w.-]*$/);
    expect(section, id).toMatch(/^§\d/);
    expect(fact, id).not.toBe("");
    expect(["confirmed", "ours"], id).toContain(confidence);
  }
});

test("rows name operations that there are, those of cloudhsm-v2 CloudHSM's", () => {
  const services = { hsm: baldrApiService, kms: trentService };
  const unknown = rows.flatMap(({ id, operations }) => {
    const names = Object.keys(services[id.startsWith("hsm-") ? "hsm" : "kms"]);
    return operations.filter((name) => !names.includes(name)).map((name) => `${id}: ${name}`);
  });
  expect(unknown).toEqual([]);
});

test("every row has a case or another test, and only one of them", () => {
  const all = new Set(proven);
  expect(rows.filter((row) => !all.has(row.id)).map((row) => row.id)).toEqual([]);
  expect(repeated(proven)).toEqual([]);
});

test("cases and the list of other tests name known rows only", () => {
  expect(proven.filter((id) => !known.has(id))).toEqual([]);
});

test("the tests that prove rows elsewhere exist", () => {
  const missing = elsewhere.filter(({ file, title }) => !existsSync(file) || !has(file, title));
  expect(missing.map(({ file, title }) => `${file}: ${title}`)).toEqual([]);
});

/** The title as a string literal of the file. */
function has(file: string, title: string): boolean {
  const text = readFileSync(file, "utf8");
  return ['"', "'", "`"].some((quote) => text.includes(quote + title.replaceAll("\n", "\\n") + quote));
}

test("whatever was left out of the rows has a reason", () => {
  for (const { reference, what, why } of leftOut())
    expect([reference, what, why].every((text) => text.length > 0)).toBe(true);
});

test("known differences are in the documentation", () => {
  const document = readFileSync("docs/coverage.md", "utf8");
  const missing = rows.filter((row) => row.known !== undefined && !document.includes(`\`${row.id}\``));
  expect(missing.map((row) => row.id)).toEqual([]);
});
