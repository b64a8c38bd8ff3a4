/** State machines as tables. */
import { expect, test } from "vitest";
import { AwsError } from "../../src/core/errors.ts";
import { follow, type Machine } from "../../src/core/machine.ts";

const door: Machine<"open" | "closed", "push" | "pull"> = {
  arrows: { open: { push: "closed" }, closed: { pull: "open" } },
  refuse: (state, event, subject) =>
    new AwsError("DoorException", `${subject}: cannot ${event} when ${state}`),
};

test("an arrow is followed, a missing cell is the machine's exception", () => {
  expect(follow(door, "open", "push", "d")).toBe("closed");
  expect(follow(door, "closed", "pull", "d")).toBe("open");
  expect(() => follow(door, "open", "pull", "front door")).toThrow("front door: cannot pull when open");
});
