/** docs/coverage.md says what the tables say. `make docs` (UPDATE_DOCS=1) writes it. */
import { readFileSync, writeFileSync } from "node:fs";
import { format } from "prettier";
import { expect, test } from "vitest";
import { baldrApiService } from "../../src/cloudhsm/service.ts";
import { trentService } from "../../src/kms/trent-service.ts";
import { coverageDocument } from "./coverage.ts";

const FILE = new URL("../../docs/coverage.md", import.meta.url);

test("docs/coverage.md is what the operation tables say", async () => {
  const generated = await format(coverageDocument(trentService, baldrApiService), {
    parser: "markdown",
    printWidth: 110,
  });
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(FILE, generated);
  expect(readFileSync(FILE, "utf8"), "run make docs").toBe(generated);
});

test("it names all operations of both APIs and the wrap and unwrap difference", () => {
  const document = coverageDocument(trentService, baldrApiService);
  expect(document.match(/^\| [A-Z]\w+ \|/gm)).toHaveLength(54 + 18 + 2);
  expect(document).toMatch(/shows `wrap` and `unwrap` true; here both are\s+false/);
});
