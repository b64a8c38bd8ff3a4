/** One test per cell of the state tables: an arrow, or the documented exception. */
import { describe, expect, test } from "vitest";
import { follow, type Machine } from "../../src/core/machine.ts";
import { BACKUP, CLUSTER, HSM } from "../../src/cloudhsm/machines.ts";

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

  test("only the operator's activation, or a backup of an activated cluster, leads to ACTIVE", () => {
    const ways = cells(CLUSTER).filter(([state, , next]) => next === "ACTIVE" && state !== "ACTIVE");
    expect(ways).toEqual([
      ["CREATE_IN_PROGRESS", "restored", "ACTIVE"],
      ["INITIALIZED", "cluster activate", "ACTIVE"],
    ]);
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

describe("BACKUP", () => {
  test.each(cells(BACKUP))("%s + %s → %s", (state, event, next) => {
    if (next !== undefined) expect(follow(BACKUP, state, event, "b")).toBe(next);
    else
      expect(() => follow(BACKUP, state, event, "b")).toThrow(
        expect.objectContaining({ code: "CloudHsmInvalidRequestException" }),
      );
  });
});
