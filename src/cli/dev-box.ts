/** What `keystead dev` says when it is up: everything a newcomer needs for the first five minutes. */
import type { RunningServer } from "../server.ts";
import { DEFAULT_ENDPOINT } from "./client.ts";
import { VERSION } from "./version.ts";

function row(title: string, ...cells: readonly string[]): string {
  return `  ${title.padEnd(14)}  ${cells.join("  ")}`.trimEnd();
}

export function devBox(server: RunningServer): string {
  const info = server.info();
  const checked =
    info.auth !== "any" ? "signatures are checked; --auth any switches that off" : "any signature passes";
  return [
    `keystead ${VERSION}   dev mode: nothing is kept, do not put real secrets in it`,
    row("PKCS#11", info.modulePath),
    row("Tokens", info.dataDirectory, "(removed on exit)"),
    "",
    row("AWS endpoint", server.endpoint, "KMS, CloudHSM V2, STS"),
    row("Region/account", `${info.region} / ${info.account}`),
    row("Credentials", `${info.accessKeyId ?? "-"} / ${info.secretAccessKey ?? "-"}`, `(${checked})`),
    "",
    ...demoLines(server),
    "  More: npx keystead --help, and README.md",
    "",
  ].join("\n");
}

function demoLines({ demo, endpoint }: RunningServer): string[] {
  if (demo === undefined) return [];
  // The commands find a server on the default port by themselves.
  const where = endpoint === DEFAULT_ENDPOINT ? "" : ` --endpoint ${endpoint}`;
  const zones = demo.hsmAvailabilityZones;
  return [
    row("Cluster", demo.clusterId, `ACTIVE  ${zones.length} HSMs (${zones.join(", ")})`),
    row("  admin", `admin / ${demo.adminPassword}`, "(crypto officer: the token's SO PIN)"),
    row("  kmsuser", `kmsuser / ${demo.kmsuserPassword}`, "(crypto user: the token's user PIN)"),
    row("Key store", demo.storeName, demo.storeId, "DISCONNECTED"),
    "",
    "  In another terminal, in this directory:",
    `      eval "$(npx keystead${where} env)"`,
    `      aws kms connect-custom-key-store --custom-key-store-id ${demo.storeId}`,
    `      npx keystead wait ${demo.storeName} --for CONNECTED`,
    "",
  ];
}
