/** One test per cell of the state tables: an arrow, or the documented exception. */
import { describe, expect, test } from "vitest";
import { follow, type Machine } from "../../src/core/machine.ts";
import { CLUSTER, HSM } from "../../src/cloudhsm/machines.ts";

function cells<S extends string, E extends string>(machine: Machine<S, E>): [S, E, S | undefined][] {
  const states = Object.keys(machine.arrows) as S[];
  const events = new Set(states.flatMap((state) => Object.keys(machine.arrows[state]) as E[]));
  return states.flatMap((state) =>
    [...events].map((event): [S, E, S | undefined] => [state, event, machine.arrows[state][event]]),
  );
}

describe("CLUSTER", () => {
  test.each(cells(CLUSTER))("%s + %s → %s", (state, event, next) => {
    if (next !== undefined) expect(follow(CLUSTER, state, event, "c")).toBe(next);
    else
      expect(() => follow(CLUSTER, state, event, "c")).toThrow(
        expect.objectContaining({ code: "CloudHsmInvalidRequestException" }),
      );
  });

  test("nothing but the operator's activation leads to ACTIVE", () => {
    const ways = cells(CLUSTER).filter(([state, , next]) => next === "ACTIVE" && state !== "ACTIVE");
    expect(ways).toEqual([["INITIALIZED", "cluster activate", "ACTIVE"]]);
  });
});

describe("HSM", () => {
  test.each(cells(HSM))("%s + %s → %s", (state, event, next) => {
    if (next !== undefined) expect(follow(HSM, state, event, "h")).toBe(next);
    else
      expect(() => follow(HSM, state, event, "h")).toThrow(
        expect.objectContaining({ code: "CloudHsmInvalidRequestException" }),
      );
  });
});
