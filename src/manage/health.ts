/**
 * Health (the process answers) and readiness (it was opened and every connected key store
 * is logged in), with the reasons. Keys that cannot be used and orphaned key material are
 * reported here; nothing is removed because of a report.
 */
import { reason } from "../core/errors.ts";
import type { Kms } from "../kms/service.ts";
import type { Health, Readiness } from "./wire.ts";

interface HealthServices {
  readonly health: () => Promise<Health>;
  readonly ready: () => Promise<Readiness>;
  /** The server has been started and seeded. */
  readonly opened: () => void;
}

/** @param all the KMS service of every world */
export function healthServices(all: () => readonly Kms[]): HealthServices {
  let open = false;
  return {
    opened: () => {
      open = true;
    },
    health: async () => ({
      services: { kms: "running", cloudhsmv2: "running", sts: "running" },
      unusableKeys: all().flatMap((kms) => kms.health.unsound()),
      orphanedKeyMaterial: (await Promise.all(all().map(orphans))).flat(),
    }),
    ready: async () => {
      const reasons = open
        ? (await Promise.all(all().map(unreachable))).flat()
        : ["the server is still starting"];
      return { ready: reasons.length === 0, reasons };
    },
  };
}

async function orphans(kms: Kms): Promise<Health["orphanedKeyMaterial"]> {
  return kms.store.db
    .selectFrom("orphans")
    .select([
      "BackingKeyId as backingKeyId",
      "KeyArn as keyArn",
      "ClusterId as clusterId",
      "Reason as reason",
    ])
    .execute();
}

/** Connected key stores whose token does not answer, one sentence each. */
async function unreachable(kms: Kms): Promise<string[]> {
  const connected = kms.keyStores.all().filter((keyStore) => keyStore.ConnectionState === "CONNECTED");
  const sentences = connected.map(async ({ CustomKeyStoreId, CustomKeyStoreName }) => {
    try {
      await kms.sessions.get(CustomKeyStoreId)?.probe();
      return kms.sessions.has(CustomKeyStoreId) ? [] : [`${CustomKeyStoreName} is not logged in yet`];
    } catch (error) {
      return [`${CustomKeyStoreName} cannot reach its token: ${reason(error)}`];
    }
  });
  return (await Promise.all(sentences)).flat();
}
