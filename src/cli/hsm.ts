/**
 * `hsm`: the operator's tool, a mirror of cloudhsm-cli's single-command mode. Its output is
 * always cloudhsm-cli's envelope `{"error_code", "data"}` on stdout. Every verb is run by
 * the server; this side opens no token.
 */
import { Option, type Command } from "commander";
import { Refusal } from "../core/errors.ts";
import type { OperatorReply, OperatorRequest } from "../manage/wire.ts";
import type { ManagementClient } from "./client.ts";
import { allClusters } from "./cluster.ts";
import { SessionFile } from "./operator-session.ts";
import { print } from "./output.ts";
import { passwordFrom } from "./prompt.ts";
import { sessionOf } from "./session.ts";
import { SELF } from "./self.ts";

const ROLES = ["admin", "crypto-user"];

interface Verb {
  readonly command: string;
  readonly description: string;
  /** cloudhsm-cli's flags, as commander writes them; they become `args` under the same names. */
  readonly flags?: readonly Option[];
  /** The verb takes a password: what it is for, and whether it is being set. */
  readonly password?: { readonly what: string; readonly set: boolean };
}

const username = (): Option => new Option("--username <name>", "the user").makeOptionMandatory();
const role = (): Option =>
  new Option("--role <role>", "the user's role").choices(ROLES).makeOptionMandatory();
const filter = (): Option =>
  new Option("--filter <expression...>", "attr.label=…, attr.id=0x… or key-reference=0x…");

const VERBS: readonly Verb[] = [
  {
    command: "cluster activate",
    description: "set the first admin password; an INITIALIZED cluster becomes ACTIVE",
    password: { what: "the admin's new password", set: true },
  },
  { command: "cluster hsm-info", description: "list the cluster's HSMs" },
  {
    command: "cluster reset-admin-password",
    description:
      "set the admin's password when it is lost (not in cloudhsm-cli: the server knows the sealed one)",
    password: { what: "the admin's new password", set: true },
  },
  {
    command: "login",
    description: "open a session; it ends after ten idle minutes or with logout",
    flags: [username(), role()],
    password: { what: "the password", set: false },
  },
  { command: "logout", description: "close the session" },
  { command: "session list", description: "list open operator sessions (not in cloudhsm-cli)" },
  {
    command: "session close",
    description: "close somebody's session (admin; not in cloudhsm-cli)",
    flags: [new Option("--session-id <id>", "the session").makeOptionMandatory()],
  },
  { command: "user list", description: "list the users" },
  {
    command: "user create",
    description: "create a user (admin)",
    flags: [username(), role()],
    password: { what: "the user's password", set: true },
  },
  {
    command: "user change-password",
    description: "change a password: your own, or any as admin; it unlocks the user",
    flags: [username(), role()],
    password: { what: "the user's new password", set: true },
  },
  { command: "user delete", description: "delete a user (admin)", flags: [username(), role()] },
  {
    command: "key list",
    description: "list keys: your own as crypto user, all (without attributes) as admin",
    flags: [
      filter(),
      new Option("--max-items <count>", "keys per page (default 10)"),
      new Option("--starting-token <token>", "next_token of the page before"),
      new Option("--verbose", "all attributes"),
    ],
  },
  { command: "key delete", description: "delete exactly one key", flags: [filter().makeOptionMandatory()] },
];

export function hsmCommands(program: Command): void {
  const hsm = program
    .command("hsm")
    .description("the operator's tool of a cluster, as cloudhsm-cli")
    .option("--cluster-id <id>", "the cluster; may be left out when there is one")
    .addHelpText(
      "after",
      "\nFor one command without login: CLOUDHSM_ROLE=admin CLOUDHSM_PIN=user:password keystead hsm …",
    );
  for (const verb of VERBS) addVerb(hsm, verb);
}

function addVerb(hsm: Command, verb: Verb): void {
  const words = verb.command.split(" ");
  const name = words.at(-1) ?? "";
  const [first = ""] = words;
  const parent = words.length === 1 ? hsm : groupOf(hsm, first);
  const command = parent.command(name).description(verb.description);
  for (const flag of verb.flags ?? []) command.addOption(flag);
  if (verb.password !== undefined)
    command.option("--password <password>", `${verb.password.what} (or KEYSTEAD_PASSWORD, else asked for)`);
  command.action((options: Record<string, unknown>, self: Command) => runVerb(verb, options, self));
}

function groupOf(hsm: Command, name: string): Command {
  return (
    hsm.commands.find((command) => command.name() === name) ?? hsm.command(name).description(`${name} verbs`)
  );
}

async function runVerb(verb: Verb, options: Record<string, unknown>, command: Command): Promise<void> {
  const { client } = sessionOf(command);
  const { clusterId: wanted } = command.optsWithGlobals<{ clusterId?: string }>();
  const clusterId = wanted ?? (await onlyCluster(client));
  const { password, ...flags } = options;
  const args = argsOf(flags);
  if (verb.password !== undefined)
    args["password"] = await passwordFrom(
      password as string | undefined,
      verb.password.what,
      verb.password.set,
    );
  const file = new SessionFile(client.endpoint, clusterId);
  const request = { command: verb.command, args, ...identity(file) };
  const reply = await client.post<OperatorReply>(`clusters/${encodeURIComponent(clusterId)}/hsm`, request);
  if (reply.session !== undefined) file.write(reply.session);
  if (verb.command === "logout") file.remove();
  print(JSON.stringify({ error_code: reply.error_code, data: reply.data }, null, 2));
  process.exitCode = reply.error_code === 0 ? 0 : 1;
}

/** Commander's camelCase back to cloudhsm-cli's names; several filter words are one expression list. */
function argsOf(options: Readonly<Record<string, unknown>>): Record<string, string> {
  const args: Record<string, string> = {};
  for (const [name, value] of Object.entries(options)) {
    const flag = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    args[flag] = Array.isArray(value) ? value.join(" ") : String(value);
  }
  return args;
}

/** Single-command credentials win over a session, as in cloudhsm-cli. */
function identity(file: SessionFile): Pick<OperatorRequest, "credentials" | "session"> {
  const { CLOUDHSM_ROLE: as, CLOUDHSM_PIN: pin } = process.env;
  if (as !== undefined && pin !== undefined) {
    const colon = pin.indexOf(":");
    if (colon < 1) throw new Refusal("CLOUDHSM_PIN must be <user>:<password>.", 2);
    return { credentials: { role: as, username: pin.slice(0, colon), password: pin.slice(colon + 1) } };
  }
  const session = file.read();
  return session === undefined ? {} : { session };
}

async function onlyCluster(client: ManagementClient): Promise<string> {
  const clusters = await allClusters(client);
  const [only] = clusters;
  if (only !== undefined && clusters.length === 1) return only.ClusterId;
  const known = clusters.map((cluster) => cluster.ClusterId).join(", ");
  throw new Refusal(
    clusters.length === 0
      ? `There is no cluster; make one with aws cloudhsmv2 create-cluster or ${SELF} cluster create --activate.`
      : `There are ${clusters.length} clusters; choose one with --cluster-id: ${known}.`,
    2,
  );
}
