/** What belongs to a key is written only while the key is there: a due deletion may come in between. */
import { AwsError } from "../core/errors.ts";
import type { Trx } from "../store/database.ts";
import type { Key } from "./key.ts";

/** @throws AwsError NotFoundException when the key was deleted since it was looked up */
export async function requireRow(trx: Trx, key: Key): Promise<void> {
  const row = await trx.selectFrom("keys").select("KeyId").where("KeyId", "=", key.KeyId).executeTakeFirst();
  if (row === undefined) throw new AwsError("NotFoundException", `Key '${key.Arn}' does not exist`);
}
