/** Asking for a password without showing it. Never through argv unless the caller chose so: `ps` shows argv. */
import { Writable } from "node:stream";
import { createInterface } from "node:readline/promises";
import { Refusal } from "../core/errors.ts";

const USAGE = 2;

/**
 * The password: the option, else KEYSTEAD_PASSWORD, else asked for on the terminal.
 * @param twice ask again and compare, for passwords that are being set
 */
export async function passwordFrom(
  option: string | undefined,
  what: string,
  twice: boolean,
): Promise<string> {
  const given = option ?? process.env["KEYSTEAD_PASSWORD"];
  if (given !== undefined) return given;
  if (!process.stdin.isTTY)
    throw new Refusal(
      `There is no terminal to ask for ${what}; pass --password or set KEYSTEAD_PASSWORD.`,
      USAGE,
    );
  const password = await ask(`Enter ${what}:\n`);
  if (twice && (await ask(`Confirm ${what}:\n`)) !== password)
    throw new Refusal("The two passwords differ; try again.", USAGE);
  return password;
}

async function ask(question: string): Promise<string> {
  process.stderr.write(question);
  // readline echoes what is typed to its output; this one swallows it.
  const swallow = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: swallow, terminal: true });
  const interrupt = new AbortController();
  reader.once("SIGINT", () => interrupt.abort());
  try {
    return await reader.question("", { signal: interrupt.signal });
  } catch (error) {
    throw new Refusal("Interrupted.", 130, { cause: error });
  } finally {
    reader.close();
  }
}
