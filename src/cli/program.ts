/** The command tree. One module per topic adds its commands; this one has the global options. */
import { Command } from "commander";
import { backupCommands } from "./backups.ts";
import { clusterCommands } from "./cluster.ts";
import { DEFAULT_ENDPOINT } from "./client.ts";
import { clockCommands } from "./clock.ts";
import { doctorCommand } from "./doctor.ts";
import { envCommand } from "./env.ts";
import { explainCommand } from "./explain.ts";
import { hsmCommands } from "./hsm.ts";
import { networkCommands } from "./network.ts";
import { pkcs11Command } from "./pkcs11.ts";
import { serverCommands } from "./serve.ts";
import { statusCommand } from "./status.ts";
import { storeCommands } from "./stores.ts";
import { VERSION } from "./version.ts";

export function createProgram(): Command {
  const program = new Command("keystead")
    .description(
      "AWS KMS custom key stores on your own machine, with a real PKCS#11 token behind every cluster.",
    )
    .version(VERSION, "-V, --version")
    .option("--endpoint <url>", `the keystead server (KEYSTEAD_ENDPOINT, default ${DEFAULT_ENDPOINT})`)
    .option("--token-file <file>", "file with the management token (or KEYSTEAD_MANAGEMENT_TOKEN)")
    .option("--world <account/region>", "another account or Region of the server (KEYSTEAD_WORLD)")
    .option("--json", "print one JSON document")
    .option("--quiet", "print ids only")
    .showHelpAfterError("(--help shows what there is)")
    // Errors are thrown to main.ts, which owns the exit codes.
    .exitOverride();
  serverCommands(program);
  statusCommand(program);
  envCommand(program);
  storeCommands(program);
  explainCommand(program);
  clusterCommands(program);
  backupCommands(program);
  hsmCommands(program);
  networkCommands(program);
  clockCommands(program);
  pkcs11Command(program);
  doctorCommand(program);
  return program;
}
