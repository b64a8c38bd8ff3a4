#!/usr/bin/env node
/**
 * The `keystead` command. Exit codes: 0 ok, 1 refused, 2 usage, 3 environment (no server,
 * no SoftHSM, port in use), 4 timed out, 5 the store reached FAILED, 130 interrupted.
 */
import { CommanderError } from "commander";
import { reason, Refusal } from "../core/errors.ts";
import { note } from "./output.ts";
import { createProgram } from "./program.ts";

const USAGE = 2;

function exitCodeOf(error: unknown): number {
  // Commander has already printed its own sentence, or the help that was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
  note(`keystead: ${reason(error)}`);
  return error instanceof Refusal ? error.exitCode : 1;
}

// A reader such as `head` that closes early is not an error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

try {
  await createProgram().parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
}
