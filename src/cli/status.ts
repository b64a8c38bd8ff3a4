/** `status`: is the server up, and with `--ready` is it ready for work. */
import type { Command } from "commander";
import { parseDuration } from "../core/duration.ts";
import { Refusal } from "../core/errors.ts";
import type { Readiness, ServerInfo } from "../manage/wire.ts";
import { show } from "./output.ts";
import { sessionOf, type Session } from "./session.ts";
import { poll } from "./wait.ts";

const ENVIRONMENT = 3;

interface StatusOptions {
  readonly ready?: boolean;
  readonly wait: number;
}

export function statusCommand(program: Command): void {
  program
    .command("status")
    .description("tell whether a server answers; exit 3 when none does")
    .option("--ready", "also ask whether it is ready for work")
    .option("--wait <duration>", "keep asking for this long", parseDuration, 0)
    .action(async (options: StatusOptions, command: Command) => {
      const session = sessionOf(command);
      await (options.wait > 0 ? waitFor(session, options) : check(session, options));
      // `info` may need the token, which a health check in a container does not have.
      const info = await session.client.get<ServerInfo>(options.ready ? "ready" : "info");
      show(session.format, {
        data: info,
        text: options.ready ? `${session.client.endpoint} is ready` : describe(info),
        ids: [session.client.endpoint],
      });
    });
}

function describe(info: ServerInfo): string {
  return `${info.endpoint}  ${info.region} / ${info.account}  ${info.dev ? "dev" : "serve"}  ${info.dataDirectory}`;
}

async function check({ client }: Session, options: StatusOptions): Promise<void> {
  if (!options.ready) return;
  const { ready, reasons } = await client.get<Readiness>("ready");
  if (!ready) throw new Refusal(`${client.endpoint} is not ready: ${reasons.join("; ")}`, ENVIRONMENT);
}

async function waitFor(session: Session, options: StatusOptions): Promise<void> {
  let last = "";
  const look = async (): Promise<true | undefined> => {
    try {
      await (options.ready ? check(session, options) : session.client.get("health"));
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      last = error.message;
      return undefined;
    }
  };
  await poll(look, options.wait, () => last);
}
