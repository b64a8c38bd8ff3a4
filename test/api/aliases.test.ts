/** Aliases through the AWS SDK (reference: kms-keys §3, §5.1, §6). */
import {
  CreateAliasCommand,
  DecryptCommand,
  DeleteAliasCommand,
  DescribeKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  ListAliasesCommand,
  ReEncryptCommand,
  ScheduleKeyDeletionCommand,
  TagResourceCommand,
  UpdateAliasCommand,
  type AliasListEntry,
} from "@aws-sdk/client-kms";
import { expect, test } from "vitest";
import { createKey, refusal } from "./harness.ts";
import { sharedStore } from "./shared.ts";

const DAY_MS = 86_400_000;
const shared = sharedStore();
const HERE = "arn:aws:kms:us-east-1:000000000000:";

function create(AliasName: string, TargetKeyId = shared.keyArn): Promise<unknown> {
  return shared.keystead.kms.send(new CreateAliasCommand({ AliasName, TargetKeyId }));
}

async function aliases(KeyId?: string): Promise<readonly AliasListEntry[]> {
  const { kms } = shared.keystead;
  const all: AliasListEntry[] = [];
  let Marker: string | undefined;
  do {
    const page = await kms.send(new ListAliasesCommand({ KeyId, Marker, Limit: 3 }));
    all.push(...(page.Aliases ?? []));
    Marker = page.NextMarker;
    expect(page.Truncated).toBe(Marker !== undefined);
  } while (Marker !== undefined);
  return all;
}

test("an alias names its key in every operation that takes one, as name and as ARN", async () => {
  const { kms } = shared.keystead;
  await create("alias/app");
  for (const KeyId of ["alias/app", `${HERE}alias/app`]) {
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }));
    expect(KeyMetadata?.Arn).toBe(shared.keyArn);
    const { CiphertextBlob, ...sealed } = await kms.send(
      new EncryptCommand({ KeyId, Plaintext: Buffer.from("x") }),
    );
    expect(sealed.KeyId).toBe(shared.keyArn);
    const opened = await kms.send(new DecryptCommand({ KeyId, CiphertextBlob }));
    expect(Buffer.from(opened.Plaintext ?? []).toString()).toBe("x");
    const moved = await kms.send(
      new ReEncryptCommand({ CiphertextBlob, SourceKeyId: KeyId, DestinationKeyId: KeyId }),
    );
    expect(moved).toMatchObject({ SourceKeyId: shared.keyArn, KeyId: shared.keyArn });
    expect((await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_128" }))).KeyId).toBe(
      shared.keyArn,
    );
  }
});

test.each<[name: string, act: () => Promise<unknown>, code: string, message: RegExp | undefined]>([
  [
    "without prefix",
    () => create("app"),
    "ValidationException",
    /^Alias must start with the prefix "alias\/"\. /,
  ],
  ["reserved", () => create("alias/aws/s3"), "NotAuthorizedException", undefined],
  ["nothing but the prefix", () => create("alias/"), "InvalidAliasNameException", undefined],
  ["illegal characters", () => create("alias/a b"), "ValidationException", /regular expression pattern/],
  [
    "taken",
    () => create("alias/app"),
    "AlreadyExistsException",
    /^An alias with the name arn:aws:kms:us-east-1:000000000000:alias\/app already exists$/,
  ],
  [
    "of an alias",
    () => create("alias/b", "alias/app"),
    "ValidationException",
    /^Aliases must refer to keys\. Not aliases$/,
  ],
  ["of an alias ARN", () => create("alias/b", `${HERE}alias/app`), "ValidationException", /Not aliases$/],
  ["of no key", () => create("alias/b", "no-key"), "NotFoundException", /^Invalid keyId 'no-key'$/],
  ["of garbage", () => create("alias/b", "arn:aws:s3:::b"), "NotFoundException", /^Invalid arn /],
  [
    "update of none",
    () =>
      shared.keystead.kms.send(
        new UpdateAliasCommand({ AliasName: "alias/none", TargetKeyId: shared.keyArn }),
      ),
    "NotFoundException",
    /^Alias arn:aws:kms:us-east-1:000000000000:alias\/none is not found\.$/,
  ],
  [
    "delete of none",
    () => shared.keystead.kms.send(new DeleteAliasCommand({ AliasName: "alias/none" })),
    "NotFoundException",
    /alias\/none is not found\.$/,
  ],
  [
    "where none may stand",
    () => shared.keystead.kms.send(new TagResourceCommand({ KeyId: "alias/app", Tags: [] })),
    "NotFoundException",
    /^Invalid keyId 'alias\/app'$/,
  ],
  [
    "of another account",
    () =>
      shared.keystead.kms.send(
        new DescribeKeyCommand({ KeyId: "arn:aws:kms:us-east-1:111111111111:alias/app" }),
      ),
    "NotFoundException",
    /^Alias arn:aws:kms:us-east-1:111111111111:alias\/app is not found\.$/,
  ],
  [
    "of another Region",
    () =>
      shared.keystead.kms.send(
        new DescribeKeyCommand({ KeyId: "arn:aws:kms:eu-west-1:000000000000:alias/app" }),
      ),
    "NotFoundException",
    /^Invalid arn eu-west-1$/,
  ],
])("refused: an alias %s", async (_name, act, name, message) => {
  await expect(act()).rejects.toMatchObject({
    name,
    ...(message === undefined ? {} : { message: expect.stringMatching(message) as string }),
  });
});

test("UpdateAlias moves an alias; a target pending deletion is refused, leaving one is not", async () => {
  const { kms, server } = shared.keystead;
  const [from, to, dying] = [
    await createKey(shared.keystead, shared.storeId),
    await createKey(shared.keystead, shared.storeId),
    await createKey(shared.keystead, shared.storeId),
  ];
  await create("alias/moving", from);
  const [before] = await aliases(from);
  server.clock.advance(1000);
  const update = (TargetKeyId: string): Promise<unknown> =>
    kms.send(new UpdateAliasCommand({ AliasName: "alias/moving", TargetKeyId }));
  await kms.send(new ScheduleKeyDeletionCommand({ KeyId: dying }));
  expect(await refusal(update(dying))).toBe("KMSInvalidStateException");
  expect(await refusal(create("alias/b", dying))).toBe("KMSInvalidStateException");
  await kms.send(new ScheduleKeyDeletionCommand({ KeyId: from }));
  await update(to);
  const [after] = await aliases(to);
  expect(after).toMatchObject({ AliasName: "alias/moving", AliasArn: `${HERE}alias/moving` });
  expect(to).toContain(String(after?.TargetKeyId));
  expect(after?.CreationDate).toEqual(before?.CreationDate);
  expect(after?.LastUpdatedDate).not.toEqual(before?.LastUpdatedDate);
  expect(await aliases(from)).toEqual([]);
});

test("a key has 50 aliases at most; they are listed in pages and end with the key", async () => {
  const { kms, server } = shared.keystead;
  const key = await createKey(shared.keystead, shared.storeId);
  const names = Array.from({ length: 50 }, (_, index) => `alias/many-${String(index).padStart(2, "0")}`);
  for (const name of names) await create(name, key);
  expect(await refusal(create("alias/many-50", key))).toBe("LimitExceededException");
  const first = await kms.send(new ListAliasesCommand({ KeyId: key }));
  expect(first.Aliases).toHaveLength(50);
  expect((await aliases(key)).map((alias) => alias.AliasName)).toEqual(names);
  const all = await kms.send(new ListAliasesCommand({ Limit: 3 }));
  expect(await refusal(kms.send(new ListAliasesCommand({ KeyId: key, Marker: all.NextMarker })))).toBe(
    "InvalidMarkerException",
  );
  await kms.send(new DeleteAliasCommand({ AliasName: "alias/many-00" }));
  await create("alias/many-00", shared.keyArn);
  await kms.send(new ScheduleKeyDeletionCommand({ KeyId: key, PendingWindowInDays: 7 }));
  server.clock.advance(7 * DAY_MS + 1000);
  await expect
    .poll(() => refusal(kms.send(new DescribeKeyCommand({ KeyId: "alias/many-01" }))), { timeout: 10_000 })
    .toBe("NotFoundException");
  expect((await aliases()).filter((alias) => alias.AliasName?.startsWith("alias/many"))).toHaveLength(1);
});

test("of two requests for one name one is given it", async () => {
  const answers = await Promise.all([refusal(create("alias/race")), refusal(create("alias/race"))]);
  expect(answers.toSorted()).toEqual(["AlreadyExistsException", "none"]);
});

test("aliases survive a restart, and so do markers", async () => {
  const before = await aliases();
  const { NextMarker: Marker } = await shared.keystead.kms.send(new ListAliasesCommand({ Limit: 1 }));
  await shared.restart();
  expect(await aliases()).toEqual(before);
  const rest = await shared.keystead.kms.send(new ListAliasesCommand({ Marker }));
  expect(rest.Aliases).toEqual(before.slice(1));
  const { KeyMetadata } = await shared.keystead.kms.send(new DescribeKeyCommand({ KeyId: "alias/app" }));
  expect(KeyMetadata?.Arn).toBe(shared.keyArn);
});
