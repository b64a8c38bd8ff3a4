/** Custom key stores: list, connect, disconnect, and wait with the connect's steps. */
import { Option, type Command } from "commander";
import { parseDuration } from "../core/duration.ts";
import { Refusal } from "../core/errors.ts";
import type { StoreSummary } from "../manage/wire.ts";
import type { ManagementClient } from "./client.ts";
import { note, show, table } from "./output.ts";
import { repairOf } from "./repairs.ts";
import { sessionOf, type Session } from "./session.ts";
import { poll, Steps } from "./wait.ts";
import { SELF } from "./self.ts";

const STATES = ["CONNECTED", "CONNECTING", "FAILED", "DISCONNECTED", "DISCONNECTING"];
const STORE_FAILED = 5;

interface WaitOptions {
  readonly timeout: number;
}

export function storeCommands(program: Command): void {
  program
    .command("stores")
    .description("list the custom key stores")
    .action(async (_options: object, command: Command) => listStores(sessionOf(command)));
  timeoutOption(
    program
      .command("wait")
      .description("wait until a custom key store is in a state")
      .argument("<id|name>", "the custom key store")
      .addOption(new Option("--for <state>", "the state").choices(STATES).makeOptionMandatory()),
  ).action(async (store: string, options: WaitOptions & { for: string }, command: Command) => {
    await waitAndShow(sessionOf(command), store, options.for, options.timeout);
  });
  changeCommand(program, "connect", "CONNECTED");
  changeCommand(program, "disconnect", "DISCONNECTED");
}

function timeoutOption(command: Command): Command {
  return command.option("--timeout <duration>", "give up after this time", parseDuration, 60_000);
}

function changeCommand(program: Command, verb: "connect" | "disconnect", goal: string): void {
  timeoutOption(
    program
      .command(verb)
      .description(`${verb} a custom key store and wait for ${goal}`)
      .argument("<id|name>", "the custom key store")
      .option("--no-wait", "return at once, as AWS does"),
  ).action(async (store: string, options: WaitOptions & { wait: boolean }, command: Command) => {
    const session = sessionOf(command);
    await session.client.post(`stores/${encodeURIComponent(store)}/${verb}`);
    if (options.wait) await waitAndShow(session, store, goal, options.timeout);
  });
}

async function allStores(client: ManagementClient): Promise<readonly StoreSummary[]> {
  return (await client.get<{ stores: readonly StoreSummary[] }>("stores")).stores;
}

async function findStore(client: ManagementClient, idOrName: string): Promise<StoreSummary> {
  const stores = await allStores(client);
  const found = stores.find(
    (store) => store.CustomKeyStoreId === idOrName || store.CustomKeyStoreName === idOrName,
  );
  if (found === undefined)
    throw new Refusal(
      `There is no custom key store "${idOrName}"; ${SELF} stores lists the ${stores.length} there are.`,
    );
  return found;
}

async function listStores({ client, format }: Session): Promise<void> {
  const stores = await allStores(client);
  const rows = stores.map((store) => [
    store.CustomKeyStoreName,
    store.CustomKeyStoreId,
    store.ConnectionErrorCode === undefined
      ? store.ConnectionState
      : `${store.ConnectionState} ${store.ConnectionErrorCode}`,
    store.CloudHsmClusterId,
    String(store.hsms),
    String(store.keys),
  ]);
  show(format, {
    data: { stores },
    text: table(["NAME", "ID", "STATE", "CLUSTER", "HSMS", "KEYS"], rows),
    ids: stores.map((store) => store.CustomKeyStoreId),
  });
}

async function waitAndShow(
  { client, format }: Session,
  idOrName: string,
  goal: string,
  timeout: number,
): Promise<void> {
  const steps = new Steps(process.stderr);
  let last = "";
  let at = "";
  const look = async (): Promise<StoreSummary | undefined> => {
    const store = await findStore(client, idOrName);
    const running = store.steps.find((step) => step.outcome === "running");
    last = store.ConnectionState;
    at = running === undefined ? last : `${last} (${running.step})`;
    if (!format.quiet) steps.show(store.steps);
    return last === goal || last === "FAILED" ? store : undefined;
  };
  const store = await poll(look, timeout, () => late(idOrName, last, at, goal, timeout));
  if (store.ConnectionState !== goal) throw failed(store);
  show(format, {
    data: store,
    text: `${store.CustomKeyStoreName} (${store.CustomKeyStoreId}) is ${goal}`,
    ids: [store.CustomKeyStoreId],
  });
}

function late(idOrName: string, state: string, at: string, goal: string, timeout: number): string {
  const hint =
    goal === "CONNECTED" && state === "DISCONNECTED"
      ? `nobody has asked it to connect: ${SELF} connect does`
      : "give it longer with --timeout";
  return `${idOrName} is ${at} and not ${goal} after ${timeout / 1000} s; ${hint}.`;
}

function failed(store: StoreSummary): Refusal {
  const code = store.ConnectionErrorCode ?? "";
  const repair = repairOf(code);
  if (repair !== undefined) note(repair.text);
  return new Refusal(
    `${store.CustomKeyStoreName} (${store.CustomKeyStoreId}) is FAILED with ${code}; ${SELF} explain ${code} tells the repair.`,
    STORE_FAILED,
  );
}
