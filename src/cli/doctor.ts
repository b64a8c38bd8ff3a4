/** `doctor`: looks at what most often goes wrong outside the server, and says how to mend each. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Command } from "commander";
import { reason, Refusal } from "../core/errors.ts";
import type { Readiness, ServerInfo } from "../manage/wire.ts";
import type { ManagementClient } from "./client.ts";
import { show } from "./output.ts";
import { SELF } from "./self.ts";
import { sessionOf } from "./session.ts";

interface Finding {
  readonly check: string;
  readonly good: boolean;
  readonly detail: string;
  /** What to do; only for findings that are not good. */
  readonly fix?: string;
}

const EVAL = `eval "$(${SELF} env)"`;
const ADDON = new URL("../../native/build/Release/keystead.node", import.meta.url);
const HEADERS = resolve(process.execPath, "../../include/node/node_api.h");

export function doctorCommand(program: Command): void {
  program
    .command("doctor")
    .description("check Node, SoftHSM, the addon, the server and the AWS variables, each with its fix")
    .action(async (_options: object, command: Command) => {
      const { client, format } = sessionOf(command);
      const findings = [
        node(),
        await softhsm(),
        addon(),
        ...(await server(client)),
        ...aws(client.endpoint),
        ...tools(),
      ];
      show(format, { data: { findings }, text: findings.map(line).join("\n") });
      if (findings.some((finding) => !finding.good))
        throw new Refusal("Not everything is in order; the lines with ✗ say what to do.");
    });
}

function line({ good, check, detail, fix }: Finding): string {
  return `${good ? "✓" : "✗"} ${check.padEnd(12)} ${detail}${fix === undefined ? "" : `\n    ${fix}`}`;
}

function finding(check: string, good: boolean, detail: string, fix: string): Finding {
  return good ? { check, good, detail } : { check, good, detail, fix };
}

function node(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const good = major > 20 || (major === 20 && minor >= 19);
  return finding("Node", good, process.version, "Install Node 20.19 or newer.");
}

/** What a server started here would load, by the server's own rules. */
async function softhsm(): Promise<Finding> {
  const { loadConfig } = await import("../config.ts");
  try {
    return { check: "PKCS#11", good: true, detail: loadConfig({ mode: "dev" }).module };
  } catch (error) {
    return { check: "PKCS#11", good: false, detail: reason(error) };
  }
}

function addon(): Finding {
  const good = existsSync(ADDON);
  const download = `make build; it downloads Node's headers, because there is no ${HEADERS} (Debian: libnode-dev).`;
  const fix = existsSync(HEADERS) ? "make build" : download;
  return finding("addon", good, good ? "built" : "native/build has no keystead.node", fix);
}

async function server(client: ManagementClient): Promise<Finding[]> {
  try {
    const { ready, reasons } = await client.get<Readiness>("ready");
    const readiness = finding(
      "server",
      ready,
      ready ? `${client.endpoint} is ready` : reasons.join("; "),
      `${SELF} explain lists repairs; the server's log says more.`,
    );
    return [readiness, ...region(await client.get<ServerInfo>("info"))];
  } catch (error) {
    return [finding("server", false, reason(error), "make run, in another terminal.")];
  }
}

function region(info: ServerInfo): Finding[] {
  const { AWS_REGION: region, AWS_DEFAULT_REGION: fallback } = process.env;
  const chosen = region ?? fallback;
  if (chosen === undefined) return [];
  return [finding("region", chosen === info.region, chosen, `The server is in ${info.region}: ${EVAL}`)];
}

function aws(endpoint: string): Finding[] {
  const env = process.env;
  const findings: Finding[] = [];
  const pointed = env["AWS_ENDPOINT_URL_KMS"] ?? env["AWS_ENDPOINT_URL"];
  if (pointed !== undefined)
    findings.push(finding("AWS endpoint", pointed === endpoint, pointed, `It is not ${endpoint}: ${EVAL}`));
  if (env["AWS_REGION"] !== undefined && env["AWS_DEFAULT_REGION"] === undefined)
    findings.push(
      finding(
        "AWS CLI v1",
        false,
        "AWS_REGION without AWS_DEFAULT_REGION",
        `AWS CLI v1 reads only the latter: ${EVAL}`,
      ),
    );
  return findings;
}

/** The AWS CLI honours AWS_ENDPOINT_URL_<SERVICE> from 1.29 and 2.13 on. */
function tools(): Finding[] {
  const { stdout, stderr, error } = spawnSync("aws", ["--version"], { encoding: "utf8" });
  if (error !== undefined) return [];
  const version = /aws-cli\/(\d+)\.(\d+)\S*/.exec(`${stdout}${stderr}`);
  if (version === null) return [];
  const [shown, major, minor] = version;
  const good = Number(minor) >= (Number(major) === 1 ? 29 : 13);
  return [
    finding(
      "AWS CLI",
      good,
      shown,
      "It ignores AWS_ENDPOINT_URL_KMS; upgrade to 1.29 or 2.13, or pass --endpoint-url.",
    ),
  ];
}
