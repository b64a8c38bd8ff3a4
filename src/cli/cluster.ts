/** Clusters, for people who just want one; the AWS way is in the README. */
import { writeFileSync } from "node:fs";
import { Option, type Command } from "commander";
import { parseDuration } from "../core/duration.ts";
import { reason, Refusal } from "../core/errors.ts";
import type { ClusterView, CreatedCluster } from "../manage/wire.ts";
import type { ManagementClient } from "./client.ts";
import { wholeNumber } from "./network.ts";
import { note, show, table, type Format } from "./output.ts";
import { sessionOf, type Session } from "./session.ts";
import { poll } from "./wait.ts";
import { SELF } from "./self.ts";

const STATES = ["UNINITIALIZED", "INITIALIZED", "ACTIVE", "DELETED"];

export function clusterCommands(program: Command): void {
  const cluster = program.command("cluster").description("clusters, the short way");
  cluster
    .command("create")
    .description("create a cluster over one private subnet per Availability Zone")
    .option("--activate", "also add HSMs, initialise with a throw-away CA, activate and create kmsuser")
    .option("--hsms <count>", "HSMs of an activated cluster", wholeNumber, 2)
    .action(createCluster);
  passwordOptions(cluster.commands.at(-1)).option(
    "--ca-file <file>",
    "write the CA certificate here (with --activate)",
  );
  cluster.command("list").description("list the clusters").action(listClusters);
  cluster
    .command("show")
    .description("print a cluster as DescribeClusters answers it")
    .argument("<cluster id>", "the cluster")
    .action(async (id: string, _options: object, command: Command) => {
      const { client, format } = sessionOf(command);
      const data = await findCluster(client, id);
      show(format, { data, text: JSON.stringify(data, null, 2), ids: [data.ClusterId] });
    });
  passwordOptions(
    cluster
      .command("init")
      .description("initialise a cluster that has its first HSM with a throw-away CA, and activate it")
      .argument("<cluster id>", "the cluster"),
  )
    .option("--ca-file <file>", "write the CA certificate here, for create-custom-key-store")
    .action(initCluster);
  cluster
    .command("restore")
    .description("create a cluster from a backup, with HSMs that have its keys and users")
    .argument("<backup id>", "the backup; `backup list` shows those there are")
    .option("--hsms <count>", "HSMs of the cluster", wholeNumber, 2)
    .action(restoreCluster);
  cluster
    .command("wait")
    .description("wait until a cluster is in a state, and optionally has a number of ACTIVE HSMs")
    .argument("<cluster id>", "the cluster")
    .addOption(new Option("--for <state>", "the state").choices(STATES))
    .option("--hsms <count>", "ACTIVE HSMs to wait for", wholeNumber, 0)
    .option("--timeout <duration>", "give up after this time", parseDuration, 60_000)
    .action(waitForCluster);
}

function passwordOptions(command: Command | undefined): Command {
  if (command === undefined) throw new Error("passwordOptions needs a command");
  return command
    .option("--admin-password <password>", "the admin's password (default: chosen and printed)")
    .option("--kmsuser-password <password>", "kmsuser's password");
}

interface PasswordOptions {
  readonly adminPassword?: string;
  readonly kmsuserPassword?: string;
  readonly caFile?: string;
}

async function createCluster(
  options: PasswordOptions & { activate?: boolean; hsms: number },
  command: Command,
): Promise<void> {
  const { client, format } = sessionOf(command);
  const { activate = false, hsms, adminPassword, kmsuserPassword } = options;
  const created = await client.post<CreatedCluster>("clusters", {
    activate,
    hsms,
    adminPassword,
    kmsuserPassword,
  });
  report(format, created, options.caFile);
}

async function initCluster(id: string, options: PasswordOptions, command: Command): Promise<void> {
  const { client, format } = sessionOf(command);
  const { adminPassword, kmsuserPassword } = options;
  const path = `clusters/${encodeURIComponent(id)}/init`;
  report(format, await client.post<CreatedCluster>(path, { adminPassword, kmsuserPassword }), options.caFile);
}

async function restoreCluster(id: string, { hsms }: { hsms: number }, command: Command): Promise<void> {
  const { client, format } = sessionOf(command);
  const path = `backups/${encodeURIComponent(id)}/restore`;
  report(format, await client.post<CreatedCluster>(path, { hsms }), undefined);
}

function report(format: Format, created: CreatedCluster, caFile: string | undefined): void {
  const { clusterId, customerCaPem, adminPassword, kmsuserPassword } = created;
  if (caFile !== undefined && customerCaPem !== undefined) save(caFile, customerCaPem);
  const lines = [
    clusterId,
    ...(adminPassword === undefined ? [] : [`  admin    admin / ${adminPassword}`]),
    ...(kmsuserPassword === undefined ? [] : [`  kmsuser  kmsuser / ${kmsuserPassword}`]),
    ...(caFile === undefined && customerCaPem !== undefined ? [customerCaPem.trimEnd()] : []),
  ];
  show(format, { data: created, text: lines.join("\n"), ids: [clusterId] });
}

function save(file: string, pem: string): void {
  try {
    writeFileSync(file, pem);
    note(`The CA certificate is in ${file}.`);
  } catch (error) {
    throw new Refusal(`The CA certificate cannot be written (${reason(error)}); name another --ca-file.`, 3, {
      cause: error,
    });
  }
}

export async function allClusters(client: ManagementClient): Promise<readonly ClusterView[]> {
  return (await client.get<{ clusters: readonly ClusterView[] }>("clusters")).clusters;
}

async function findCluster(client: ManagementClient, id: string): Promise<ClusterView> {
  const found = (await allClusters(client)).find((cluster) => cluster.ClusterId === id);
  if (found === undefined)
    throw new Refusal(`There is no cluster ${id}; ${SELF} cluster list shows those there are.`);
  return found;
}

function activeHsms(cluster: ClusterView): number {
  return (cluster.Hsms ?? []).filter((hsm) => hsm.State === "ACTIVE").length;
}

async function listClusters(_options: object, command: Command): Promise<void> {
  const { client, format }: Session = sessionOf(command);
  const clusters = await allClusters(client);
  const rows = clusters.map((cluster) => [
    cluster.ClusterId,
    cluster.State,
    `${activeHsms(cluster)} of ${cluster.Hsms?.length ?? 0} ACTIVE`,
    (cluster.Hsms ?? []).map((hsm) => hsm.AvailabilityZone ?? "").join(","),
  ]);
  show(format, {
    data: { clusters },
    text: table(["ID", "STATE", "HSMS", "ZONES"], rows),
    ids: clusters.map((cluster) => cluster.ClusterId),
  });
}

async function waitForCluster(
  id: string,
  options: { for?: string; hsms: number; timeout: number },
  command: Command,
): Promise<void> {
  const { client, format } = sessionOf(command);
  let last = "";
  const look = async (): Promise<string | undefined> => {
    // A deleted cluster leaves the list, as it leaves DescribeClusters.
    const cluster = (await allClusters(client)).find(({ ClusterId }) => ClusterId === id);
    const state = cluster?.State ?? "DELETED";
    const hsms = cluster === undefined ? 0 : activeHsms(cluster);
    if (cluster === undefined && options.for !== "DELETED") await findCluster(client, id);
    last = `${id} is ${state} with ${hsms} ACTIVE HSMs`;
    return (options.for === undefined || state === options.for) && hsms >= options.hsms ? state : undefined;
  };
  const state = await poll(look, options.timeout, () => `${last}; give it longer with --timeout.`);
  show(format, { data: { ClusterId: id, State: state }, text: last, ids: [id] });
}
