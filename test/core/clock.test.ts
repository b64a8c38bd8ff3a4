/** The virtual clock: advancing, freezing, waiting. */
import { afterEach, expect, test, vi } from "vitest";
import { Clock } from "../../src/core/clock.ts";
import { Refusal } from "../../src/core/errors.ts";

const DAY = 86_400_000;

afterEach(() => {
  vi.useRealTimers();
});

test("runs with the wall clock until it is moved; reset takes it back", () => {
  vi.useFakeTimers({ now: 1_000_000 });
  const clock = new Clock();
  expect(clock.now()).toBe(1_000_000);
  vi.advanceTimersByTime(500);
  expect(clock.seconds()).toBe(1000.5);
  clock.advance(DAY);
  expect(clock.now()).toBe(1_000_500 + DAY);
  clock.reset();
  expect(clock.now()).toBe(1_000_500);
});

test("frozen time stands still, and advance still moves it", () => {
  vi.useFakeTimers({ now: 0 });
  const clock = new Clock();
  clock.freeze();
  vi.advanceTimersByTime(5_000);
  clock.freeze();
  expect([clock.frozen, clock.now()]).toEqual([true, 0]);
  clock.advance(7);
  expect(clock.now()).toBe(7);
  clock.reset();
  expect([clock.frozen, clock.now()]).toEqual([false, 5_000]);
});

test("a sleep ends when virtual time has come, not before", async () => {
  vi.useFakeTimers({ now: 0 });
  const clock = new Clock();
  const woken: string[] = [];
  void clock.sleep(1_000).then(() => woken.push("second"));
  void clock.sleep(40 * DAY).then(() => woken.push("40 days"));
  await clock.sleep(0);
  await vi.advanceTimersByTimeAsync(999);
  expect(woken).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(woken).toEqual(["second"]);
  // 40 days overflow setTimeout's 32 bits; a naive timer would have fired at once.
  await vi.advanceTimersByTimeAsync(39 * DAY);
  expect(woken).toEqual(["second"]);
  clock.advance(DAY);
  await Promise.resolve();
  expect(woken).toEqual(["second", "40 days"]);
  clock.close();
});

test("a frozen clock wakes nobody until it is advanced far enough", async () => {
  vi.useFakeTimers({ now: 0 });
  const clock = new Clock();
  clock.freeze();
  const woken = vi.fn<() => void>();
  void clock.sleep(10).then(woken);
  await vi.advanceTimersByTimeAsync(DAY);
  clock.advance(9);
  await vi.advanceTimersByTimeAsync(0);
  expect(woken).not.toHaveBeenCalled();
  clock.advance(1);
  await vi.advanceTimersByTimeAsync(0);
  expect(woken).toHaveBeenCalledOnce();
});

test("a sleep can be aborted, before and while it lasts", async () => {
  const clock = new Clock();
  const abort = new AbortController();
  const sleeping = clock.sleep(DAY, abort.signal);
  abort.abort(new Error("enough"));
  await expect(sleeping).rejects.toThrow("enough");
  expect(() => clock.sleep(DAY, abort.signal)).toThrow("enough");
  clock.close();
});

test("listeners hear every move by hand", () => {
  const clock = new Clock();
  const heard = vi.fn<() => void>();
  clock.onChange(heard);
  clock.advance(1);
  clock.freeze();
  clock.reset();
  expect(heard).toHaveBeenCalledTimes(3);
});

test.each([
  [-1, /only moves forward/],
  [Number.NEGATIVE_INFINITY, /only moves forward/],
  [Number.NaN, /only moves forward/],
  [Number.POSITIVE_INFINITY, /9999-12-31/],
  [100_000_000 * DAY, /9999-12-31/],
  [8_000 * 366 * DAY, /9999-12-31/],
])("a move by %d ms is refused, and the clock stays where it is", (ms, sentence) => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
  const clock = new Clock();
  const heard = vi.fn<() => void>();
  clock.onChange(heard);
  for (const frozen of [false, true]) {
    if (frozen) clock.freeze();
    const move = (): void => clock.advance(ms);
    expect(move).toThrow(Refusal);
    expect(move).toThrow(sentence);
    expect(clock.now()).toBe(Date.UTC(2026, 0, 1));
  }
  expect(heard, "only the freeze is a change").toHaveBeenCalledOnce();
});

test("the last day of the calendar can be reached, and not passed, also in steps", () => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) });
  const clock = new Clock();
  clock.advance(Date.UTC(9999, 11, 31) - Date.now());
  expect(new Date(clock.now()).toISOString()).toBe("9999-12-31T00:00:00.000Z");
  clock.advance(0);
  expect(() => clock.advance(1)).toThrow("reset it");
});
