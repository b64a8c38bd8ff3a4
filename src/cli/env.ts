/** `env`: the variables that point AWS CLIs and SDKs at this server, and only these services of theirs. */
import { Option, type Command } from "commander";
import type { ServerInfo } from "../manage/wire.ts";
import { note, print, quote } from "./output.ts";
import { sessionOf } from "./session.ts";

interface EnvOptions {
  readonly shell?: "bash" | "fish" | "powershell";
  readonly format: "sh" | "dotenv" | "json";
}

export function envCommand(program: Command): void {
  program
    .command("env")
    .description('print the AWS variables for this server: eval "$(keystead env)"')
    .addOption(new Option("--shell <shell>", "shell syntax").choices(["bash", "fish", "powershell"]))
    .addOption(
      new Option("--format <format>", "output format").choices(["sh", "dotenv", "json"]).default("sh"),
    )
    .action(async (options: EnvOptions, command: Command) => {
      const { client, format } = sessionOf(command);
      const info = await client.get<ServerInfo>("info");
      const variables = awsVariables(client.endpoint, info);
      if (info.accessKeyId === undefined)
        note(
          "keystead: this server has credentials of its own; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to yours.",
        );
      print(render(variables, format.json ? { format: "json" } : options));
    });
}

/** Service-specific endpoints, so that an emulator of other services beside us keeps the rest. */
function awsVariables(endpoint: string, info: ServerInfo): Readonly<Record<string, string>> {
  const credentials: Record<string, string> = {};
  if (info.accessKeyId !== undefined) credentials["AWS_ACCESS_KEY_ID"] = info.accessKeyId;
  if (info.secretAccessKey !== undefined) credentials["AWS_SECRET_ACCESS_KEY"] = info.secretAccessKey;
  return {
    AWS_ENDPOINT_URL_KMS: endpoint,
    AWS_ENDPOINT_URL_CLOUDHSM_V2: endpoint,
    AWS_ENDPOINT_URL_STS: endpoint,
    // SDKs read the first, AWS CLI v1 only the second.
    AWS_REGION: info.region,
    AWS_DEFAULT_REGION: info.region,
    ...credentials,
    AWS_EC2_METADATA_DISABLED: "true",
    KEYSTEAD_ENDPOINT: endpoint,
  };
}

function render(variables: Readonly<Record<string, string>>, { format, shell }: EnvOptions): string {
  if (format === "json") return JSON.stringify(variables, null, 2);
  const entries = Object.entries(variables);
  if (format === "dotenv") return entries.map(([name, value]) => `${name}=${value}`).join("\n");
  return entries.map(([name, value]) => assignment(name, value, shell ?? "bash")).join("\n");
}

function assignment(name: string, value: string, shell: "bash" | "fish" | "powershell"): string {
  if (shell === "powershell") return `$Env:${name} = '${value.replaceAll("'", "''")}'`;
  return shell === "fish" ? `set -gx ${name} ${quote(value)}` : `export ${name}=${quote(value)}`;
}
