/** Backups of clusters; `cluster restore` makes a cluster of one. */
import type { Command } from "commander";
import type { BackupView } from "../manage/wire.ts";
import { show, table } from "./output.ts";
import { sessionOf } from "./session.ts";

export function backupCommands(program: Command): void {
  program
    .command("backup")
    .description("backups of clusters")
    .command("list")
    .description("list the backups, the newest first")
    .option("--cluster-id <id>", "of this cluster only; it may be deleted")
    .action(listBackups);
}

async function listBackups({ clusterId }: { clusterId?: string }, command: Command): Promise<void> {
  const { client, format } = sessionOf(command);
  const all = (await client.get<{ backups: readonly BackupView[] }>("backups")).backups;
  const backups = all.filter((backup) => clusterId === undefined || backup.ClusterId === clusterId);
  const rows = backups.map((backup) => [
    backup.BackupId,
    backup.BackupState,
    backup.ClusterId,
    new Date(backup.CreateTimestamp * 1000).toISOString(),
  ]);
  show(format, {
    data: { backups },
    text: table(["ID", "STATE", "CLUSTER", "CREATED"], rows),
    ids: backups.map((backup) => backup.BackupId),
  });
}
