/** Durations as people write them: `30s`, `8d`, `1h30m`, `250ms`, or ISO 8601 (`PT5M`, `P8D`, `P1DT12H`). */
import { Refusal } from "./errors.ts";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const WEEK = 7 * DAY;
/** 10,000 years: more has no use here, and long digit strings would become Infinity. */
const LONGEST_DAYS = 3_650_000;

const UNIT: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", SECOND],
  ["m", MINUTE],
  ["h", HOUR],
  ["d", DAY],
  ["w", WEEK],
]);

const SHORT = /^(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+$/;
const SHORT_PART = /(\d+(?:\.\d+)?)(ms|[smhdw])/g;
/** Years and months have no fixed length, so they are left out. */
const ISO = /^P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;
const ISO_UNITS = [WEEK, DAY, HOUR, MINUTE, SECOND];

/** Milliseconds of `text`. @throws Refusal (usage) for anything else, negative and endless values included */
export function parseDuration(text: string): number {
  const ms = read(text);
  if (ms > LONGEST_DAYS * DAY)
    throw new Refusal(`That duration is too long; the longest is ${LONGEST_DAYS}d.`, 2);
  return ms;
}

function read(text: string): number {
  const iso = ISO.exec(text);
  if (iso !== null)
    return ISO_UNITS.reduce((sum, unit, index) => sum + Number(iso[index + 1] ?? 0) * unit, 0);
  if (!SHORT.test(text))
    throw new Refusal(`"${text}" is not a duration; write for example 30s, 5m, 8d or PT5M.`, 2);
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(SHORT_PART))
    sum += Number(amount) * (UNIT.get(unit ?? "") ?? 0);
  return sum;
}
