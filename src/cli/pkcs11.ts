/** `pkcs11-env`: look into a cluster's token with your own PKCS#11 tools. */
import type { Command } from "commander";
import { Refusal } from "../core/errors.ts";
import type { Pkcs11View } from "../manage/wire.ts";
import { note, print, quote } from "./output.ts";
import { sessionOf } from "./session.ts";

export function pkcs11Command(program: Command): void {
  program
    .command("pkcs11-env")
    .description('print PKCS#11 variables of a cluster\'s token: eval "$(keystead pkcs11-env)"')
    .argument("[cluster id]", "the cluster; may be left out when there is one")
    .action(async (clusterId: string | undefined, _options: object, command: Command) => {
      const { client, format } = sessionOf(command);
      const view = await client.get<Pkcs11View>("pkcs11");
      const cluster = choose(view, clusterId);
      const variables = {
        SOFTHSM2_CONF: cluster.conf,
        PKCS11_MODULE: view.module,
        PKCS11_TOKEN_LABEL: cluster.tokenLabel,
      };
      if (format.json) return print(JSON.stringify(variables, null, 2));
      note("keystead: tools that open this token bypass the server; disconnect the key store first.");
      for (const [name, value] of Object.entries(variables)) print(`export ${name}=${quote(value)}`);
    });
}

function choose(view: Pkcs11View, clusterId: string | undefined): Pkcs11View["clusters"][number] {
  const [first] = view.clusters;
  const found = view.clusters.find((cluster) => cluster.clusterId === clusterId);
  if (found !== undefined) return found;
  if (clusterId === undefined && first !== undefined && view.clusters.length === 1) return first;
  const known = view.clusters.map((cluster) => cluster.clusterId).join(", ") || "none";
  throw new Refusal(
    clusterId === undefined
      ? `Name the cluster; there are: ${known}.`
      : `There is no cluster ${clusterId}; there are: ${known}.`,
    2,
  );
}
