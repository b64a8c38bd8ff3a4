/** What the global options say: which server, which format. Commands get it from their Command. */
import type { Command } from "commander";
import { Refusal } from "../core/errors.ts";
import { DEFAULT_ENDPOINT, ManagementClient, managementToken } from "./client.ts";
import type { Format } from "./output.ts";

export interface Session {
  readonly client: ManagementClient;
  readonly format: Format;
}

interface GlobalOptions {
  readonly endpoint?: string;
  readonly tokenFile?: string;
  readonly world?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

function endpointOf(command: Command): string {
  const { endpoint } = command.optsWithGlobals<GlobalOptions>();
  return endpoint ?? process.env["KEYSTEAD_ENDPOINT"] ?? DEFAULT_ENDPOINT;
}

/** @throws Refusal for text that is not an account and a Region */
function worldOf(options: GlobalOptions): string | undefined {
  const world = options.world ?? process.env["KEYSTEAD_WORLD"];
  if (world !== undefined && !/^\d{12}\/[a-z0-9-]+$/.test(world))
    throw new Refusal("--world takes a 12-digit account and a Region, as in 000000000000/eu-west-1.", 2);
  return world;
}

export function sessionOf(command: Command): Session {
  const options = command.optsWithGlobals<GlobalOptions>();
  const token = managementToken(options.tokenFile, process.env);
  return {
    client: new ManagementClient(endpointOf(command), token, worldOf(options)),
    format: { json: options.json ?? false, quiet: options.quiet ?? false },
  };
}
