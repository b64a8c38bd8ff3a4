/**
 * `dev` and `serve`: the two commands that run a server. They load it only when called, so
 * that every other command starts without the server's modules.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Option, type Command } from "commander";
import type { RunningServer } from "../server.ts";
import { devBox } from "./dev-box.ts";
import { note, print } from "./output.ts";
import { VERSION } from "./version.ts";

const INTERRUPTED = 130;

type Flags = Readonly<Record<string, unknown>>;

export function serverCommands(program: Command): void {
  const dev = program
    .command("dev")
    .description("run a server with a demo cluster and key store; nothing is kept")
    .option("--dev-admin-password <password>", "password of the demo cluster's admin (default: a fixed one)")
    .option(
      "--dev-kmsuser-password <password>",
      "password of the demo cluster's kmsuser (default: a fixed one)",
    );
  serverOptions(dev).action((flags: Flags) => run({ ...flags, mode: "dev" }));
  const serve = program
    .command("serve")
    .description("run a server that keeps its tokens and state in a directory")
    .requiredOption("--data-dir <directory>", "where tokens and state are kept");
  serverOptions(serve).action((flags: Flags) => run({ ...flags, mode: "serve" }));
  program
    .command("version")
    .description("print keystead's version")
    .action(() => print(VERSION));
}

function serverOptions(command: Command): Command {
  const collect = (value: string, all: readonly string[] = []): readonly string[] => [...all, value];
  return command
    .option("--host <address>", "address to listen on (default 127.0.0.1)")
    .option("--port <number>", "port to listen on (default 4599; 0 chooses one)")
    .option("--allowed-host <name>", "answer requests for this host name too (repeatable)", collect)
    .option("--allow-anonymous-remote", "let --auth any listen on an address other machines can reach")
    .option("--region <region>", "AWS Region (default us-east-1)")
    .option("--account <id>", "AWS account id (default 000000000000)")
    .addOption(
      new Option("--auth <mode>", "check signatures, check them and policies too, or accept any").choices([
        "sigv4",
        "iam",
        "any",
      ]),
    )
    .addOption(new Option("--timing <preset>", "how long lifecycles take").choices(["instant", "dev", "aws"]))
    .addOption(new Option("--quotas <which>", "request rates: unlimited, or as AWS").choices(["off", "aws"]))
    .option("--grant-lag <seconds>", "how long a new grant takes to count without its token (--auth iam)")
    .option("--module <path>", "PKCS#11 module (default: SoftHSM2 where the system has it)")
    .addOption(new Option("--backend <name>", "data-key verbs through").choices(["native", "graphene"]))
    .addOption(
      new Option("--log-level <level>", "what the log on stderr tells").choices([
        "debug",
        "info",
        "warn",
        "error",
      ]),
    );
}

async function run({ allowedHost, ...flags }: Flags): Promise<void> {
  const { loadConfig } = await import("../config.ts");
  const { startServer } = await import("../server.ts");
  const config = loadConfig(allowedHost === undefined ? flags : { ...flags, allowedHosts: allowedHost });
  const server = await startServer(config);
  closeOnSignal(server);
  print(flags["mode"] === "dev" ? devBox(server) : `keystead ${VERSION} serves ${server.endpoint}`);
  tellToken(server);
  print("Ready.");
}

/** A token that the server made itself is told with its file; one that was configured is known already. */
function tellToken(server: RunningServer): void {
  const file = join(server.info().dataDirectory, "management.token");
  const { managementToken: token } = server;
  if (token === undefined || !existsSync(file) || readFileSync(file, "utf8").trim() !== token) return;
  print(`Management token: ${token} (--token-file ${file})`);
}

/** The first signal closes in order; a second one does not wait. */
function closeOnSignal(server: RunningServer): void {
  let closing = false;
  const close = (): void => {
    if (closing) process.exit(INTERRUPTED);
    closing = true;
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        note(`keystead: closing failed: ${String(error)}`);
        process.exit(1);
      },
    );
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, close);
}
