import { expect, test } from "vitest";
import { Refusal } from "../../src/core/errors.ts";
import { parseDuration } from "../../src/core/duration.ts";

test.each([
  ["250ms", 250],
  ["30s", 30_000],
  ["1.5s", 1500],
  ["5m", 300_000],
  ["1h30m", 5_400_000],
  ["8d", 691_200_000],
  ["2w", 1_209_600_000],
  ["PT5M", 300_000],
  ["PT0.5S", 500],
  ["P8D", 691_200_000],
  ["P1W", 604_800_000],
  ["P1DT12H", 129_600_000],
])("%s is %i ms", (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each(["", "30", "-5s", "5 s", "1y", "P", "PT", "P1M", "P1Y", "P1DT", "1e3s", "s", "PT5"])(
  "%j is refused as usage",
  (text) => {
    const parse = (): number => parseDuration(text);
    expect(parse).toThrow(Refusal);
    expect(parse).toThrow(/30s, 5m, 8d or PT5M/);
  },
);

test.each(["3650001d", `${"9".repeat(400)}s`, `P${"9".repeat(30)}D`, "1h99999999d"])(
  "%j is refused as too long",
  (text) => {
    expect(() => parseDuration(text)).toThrow(/too long; the longest is 3650000d/);
  },
);
