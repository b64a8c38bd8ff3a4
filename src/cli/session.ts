/** What the global options say: which server, which format. Commands get it from their Command. */
import type { Command } from "commander";
import { DEFAULT_ENDPOINT, ManagementClient, managementToken } from "./client.ts";
import type { Format } from "./output.ts";

export interface Session {
  readonly client: ManagementClient;
  readonly format: Format;
}

interface GlobalOptions {
  readonly endpoint?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

function endpointOf(command: Command): string {
  const { endpoint } = command.optsWithGlobals<GlobalOptions>();
  return endpoint ?? process.env["KEYSTEAD_ENDPOINT"] ?? DEFAULT_ENDPOINT;
}

export function sessionOf(command: Command): Session {
  const options = command.optsWithGlobals<GlobalOptions>();
  return {
    client: new ManagementClient(endpointOf(command), managementToken(options.tokenFile, process.env)),
    format: { json: options.json ?? false, quiet: options.quiet ?? false },
  };
}
