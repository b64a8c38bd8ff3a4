/** The repair texts against the API model's ten codes and against the command tree itself. */
import { expect, test } from "vitest";
import type { Command } from "commander";
import { createProgram } from "../../src/cli/program.ts";
import { CODES, repairOf } from "../../src/cli/repairs.ts";
import { SELF } from "../../src/cli/self.ts";

test("all ten codes of AWS CloudHSM key stores are explained", () => {
  expect(CODES.toSorted()).toEqual([
    "CLUSTER_NOT_FOUND",
    "INSUFFICIENT_CLOUDHSM_HSMS",
    "INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET",
    "INTERNAL_ERROR",
    "INVALID_CREDENTIALS",
    "NETWORK_ERRORS",
    "SUBNET_NOT_FOUND",
    "USER_LOCKED_OUT",
    "USER_LOGGED_IN",
    "USER_NOT_FOUND",
  ]);
});

test.each(CODES)(
  "the repair of %s starts with a disconnect, ends with a connect, and its commands exist",
  (code) => {
    const repair = repairOf(code);
    const commands = repair?.commands ?? [];
    expect(commands.at(0)).toBe(`${SELF} disconnect $CKS`);
    expect(commands.at(-1)).toBe(`${SELF} connect $CKS`);
    for (const command of commands.map((each) => each.replace(/^npx /, ""))) {
      expect(command).toMatch(/^(keystead |aws (kms|cloudhsmv2) |#)/);
      if (command.startsWith("keystead "))
        expectCommand(
          command
            .replace(/\s+#.*/, "")
            .split(/\s+/)
            .slice(1),
        );
    }
    expect(repair?.text).toContain(code);
  },
);

/** Follow the words of a command line down the tree, then look its options up. */
function expectCommand(words: readonly string[]): void {
  let command: Command = createProgram();
  const path = [command];
  for (const word of words) {
    const next = command.commands.find((child) => child.name() === word);
    if (next === undefined) continue;
    path.push((command = next));
  }
  expect(path.length, words.join(" ")).toBeGreaterThan(1);
  expect(command.commands, `${words.join(" ")} names a group`).toHaveLength(0);
  const known = path.flatMap((each) => each.options.map((option) => option.long));
  for (const word of words) if (word.startsWith("--")) expect(known).toContain(word);
}

test("an unknown code has no repair", () => {
  expect(repairOf("SOMETHING_ELSE")).toBeUndefined();
});
