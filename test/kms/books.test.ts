/** What the books of metadata keep at their limits, over a restart and after a crash. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AliasBook } from "../../src/kms/alias-book.ts";
import { GrantBook, type GrantWish } from "../../src/kms/grant-book.ts";
import { KeyBook } from "../../src/kms/key-book.ts";
import { KeyUsage } from "../../src/kms/key-usage.ts";
import type { Key } from "../../src/kms/key.ts";
import { openStore, type Store } from "../../src/store/database.ts";

const where = { region: "us-east-1", account: "000000000000" };
const ISSUER = "arn:aws:iam::000000000000:root";
const WISH: GrantWish = {
  Name: undefined,
  GranteePrincipal: ISSUER,
  RetiringPrincipal: undefined,
  Operations: ["Decrypt"],
  Constraints: {},
};

let directory: string;
let store: Store;
let keys: KeyBook;
let made = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "keystead-books-"));
  store = await openStore(directory);
  await store.db
    .insertInto("key_stores")
    .values({
      CustomKeyStoreId: "cks-1",
      CustomKeyStoreName: "one",
      CloudHsmClusterId: "cluster-aaaaaaaaaaa",
      TrustAnchorCertificate: "",
      ClusterCertificate: "",
      ConnectionState: "DISCONNECTED",
      CreationDate: 0,
      PasswordSealed: Buffer.alloc(1),
      PasswordGeneration: 1,
    })
    .execute();
  keys = new KeyBook(store, where);
});

afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true });
});

function newKey(): Promise<Key> {
  made += 1;
  return keys.add({
    KeyId: `key-${made}`,
    CustomKeyStoreId: "cks-1",
    BackingKeyId: String(made).padStart(64, "0"),
    Description: "",
    CreationDate: 0,
    Canary: Buffer.from("canary"),
    Tags: [],
    Policy: "{}",
  });
}

test("a key has 50,000 grants at most, and another key its own", async () => {
  const [full, other] = [await newKey(), await newKey()];
  await sql`with recursive n(i) as (select 1 union all select i + 1 from n where i < 50000)
    insert into grants (GrantId, KeyId, GranteePrincipal, Operations, Constraints, IssuingAccount, CreationDate, TokenKey)
    select printf('%064x', i), ${full.KeyId}, ${ISSUER}, '["Encrypt"]', '{}', ${ISSUER}, 0, x'00' from n`.execute(
    store.db,
  );
  const grants = new GrantBook(store);
  await grants.load();
  await expect(grants.create(full, WISH, ISSUER, 0)).rejects.toMatchObject({
    code: "LimitExceededException",
  });
  await grants.create(other, WISH, ISSUER, 0);
  const [first] = grants.ofKey(full.KeyId);
  if (first !== undefined) await grants.remove(first);
  await grants.create(full, WISH, ISSUER, 0);
  expect(grants.ofKey(full.KeyId)).toHaveLength(50_000);
});

test("nothing is attached to a key that was deleted meanwhile", async () => {
  const key = await newKey();
  const [aliases, grants, usage] = [new AliasBook(store), new GrantBook(store), new KeyUsage(store)];
  await aliases.create("alias/gone", key, 0);
  await grants.create(key, WISH, ISSUER, 0);
  usage.note(key, { operation: "Encrypt", requestId: "r" }, 0);
  await store.transaction((trx) => keys.remove(trx, key));
  keys.forget(key.KeyId);
  for (const book of [aliases, grants]) book.forget(key.KeyId);
  const missing = { code: "NotFoundException", message: `Key '${key.Arn}' does not exist` };
  await expect(aliases.create("alias/late", key, 0)).rejects.toMatchObject(missing);
  await expect(grants.create(key, WISH, ISSUER, 0)).rejects.toMatchObject(missing);
  await expect(keys.change(key, { Description: "late" })).rejects.toMatchObject(missing);
  await usage.flush();
  const left = [new AliasBook(store), new GrantBook(store)] as const;
  for (const book of left) await book.load();
  expect(left[0].get("alias/gone")).toBeUndefined();
  expect(left[1].ofKey(key.KeyId)).toEqual([]);
});

test("uses since the last write are lost in a crash, those before are not", async () => {
  const key = await newKey();
  const usage = new KeyUsage(store);
  usage.note(key, { operation: "Encrypt", requestId: "written" }, 1);
  await usage.flush();
  usage.note(key, { operation: "Decrypt", requestId: "unwritten" }, 2);
  expect(usage.of(key)).toMatchObject({ Operation: "Decrypt" });
  const afterCrash = new KeyUsage(store);
  await afterCrash.load();
  expect(afterCrash.of(key)).toEqual({ Operation: "Encrypt", Timestamp: 1, KmsRequestId: "written" });
});

test("a use that could not be written is written the next time", async () => {
  const key = await newKey();
  let broken = true;
  const flaky: Store = {
    ...store,
    transaction: (body) => (broken ? Promise.reject(new Error("disk full")) : store.transaction(body)),
  };
  const usage = new KeyUsage(flaky);
  usage.note(key, { operation: "Encrypt", requestId: "kept" }, 1);
  await expect(usage.flush()).rejects.toThrow("disk full");
  broken = false;
  await usage.flush();
  const later = new KeyUsage(store);
  await later.load();
  expect(later.of(key)?.KmsRequestId).toBe("kept");
});
