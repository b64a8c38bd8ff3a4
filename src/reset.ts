/** Back to an empty account: sessions closed, tokens removed, state emptied, clock and transitions as configured. */
import { rm } from "node:fs/promises";
import { MODELS } from "./core/transitions.ts";
import type { Kms } from "./kms/service.ts";
import { loadBooks } from "./services.ts";

/** Children before parents, because of the foreign keys. */
const TABLES = [
  "key_intents",
  "orphans",
  "aliases",
  "grants",
  "keys",
  "former_passwords",
  "key_stores",
  "operator_sessions",
  "hsm_users",
  "hsms",
  "backups",
  "clusters",
  "network_interfaces",
  "security_groups",
  "subnets",
  "vpcs",
] as const;

export async function emptyState(kms: Kms): Promise<void> {
  await kms.reconciler.settle();
  await Promise.all([...kms.sessions.values()].map((session) => session.close()));
  const clusters = await kms.store.db.selectFrom("clusters").select("ClusterId").execute();
  await kms.store.transaction(async (trx) => {
    for (const table of TABLES) await trx.deleteFrom(table).execute();
  });
  kms.sessions.clear();
  kms.progress.clear();
  for (const { ClusterId } of clusters) {
    kms.logins.delete(ClusterId);
    await kms.tokens.of(ClusterId).remove();
  }
  await rm(kms.cloudhsm.backupDirectory, { recursive: true, force: true });
  kms.health.clear();
  for (const model of MODELS) kms.transitions.set(model, undefined);
  kms.clock.reset();
  await loadBooks(kms);
  await kms.network.seedDefaultVpc();
}
