/** Tags of keys and chosen key ids through the AWS SDK (reference: kms-keys §1.2, §3, §6). */
import {
  CreateKeyCommand,
  DecryptCommand,
  DescribeKeyCommand,
  EncryptCommand,
  ListResourceTagsCommand,
  ScheduleKeyDeletionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  type Tag,
} from "@aws-sdk/client-kms";
import { expect, test } from "vitest";
import { createKey, refusal } from "./harness.ts";
import { sharedStore } from "./shared.ts";

const shared = sharedStore();

const pairs = (...keys: string[]): Tag[] =>
  keys.map((TagKey) => ({ TagKey, TagValue: `value of ${TagKey}` }));
const numbered = (count: number): Tag[] =>
  pairs(...Array.from({ length: count }, (_, index) => `n${String(index).padStart(2, "0")}`));

async function make(Tags: Tag[]): Promise<string> {
  const { KeyMetadata } = await shared.keystead.kms.send(
    new CreateKeyCommand({ Origin: "AWS_CLOUDHSM", CustomKeyStoreId: shared.storeId, Tags }),
  );
  return String(KeyMetadata?.KeyId);
}

function tag(KeyId: string, Tags: Tag[]): Promise<unknown> {
  return shared.keystead.kms.send(new TagResourceCommand({ KeyId, Tags }));
}

async function tagsOf(KeyId: string): Promise<readonly Tag[]> {
  return (await shared.keystead.kms.send(new ListResourceTagsCommand({ KeyId }))).Tags ?? [];
}

test("tags given at creation, added, replaced and removed", async () => {
  const key = await make(pairs("a", "b"));
  expect(await tagsOf(key)).toEqual(pairs("a", "b"));
  await tag(key, [...pairs("c"), { TagKey: "a", TagValue: "" }]);
  expect(await tagsOf(key)).toEqual([{ TagKey: "a", TagValue: "" }, ...pairs("b", "c")]);
  await shared.keystead.kms.send(new UntagResourceCommand({ KeyId: key, TagKeys: ["b", "never there"] }));
  expect(await tagsOf(key)).toEqual([{ TagKey: "a", TagValue: "" }, ...pairs("c")]);
});

const BAD: readonly [name: string, tags: Tag[], code: string, message: string][] = [
  ["given twice", pairs("a", "a"), "TagException", "Duplicate tag keys"],
  ["reserved", pairs("aws:x"), "TagException", "Tags beginning with aws: are reserved"],
  ["reserved in capitals", pairs("AWS:x"), "TagException", "Tags beginning with aws: are reserved"],
  ["too many", numbered(51), "TagException", "Too many tags"],
  [
    "too long",
    [{ TagKey: "k", TagValue: "v".repeat(257) }],
    "ValidationException",
    `1 validation error detected: Value '${"v".repeat(257)}' at 'tags.1.member.tagValue' failed to satisfy constraint: Member must have length less than or equal to 256`,
  ],
];

test.each(BAD)("refused at CreateKey and TagResource: tags %s", async (_name, tags, name, message) => {
  await expect(make(tags)).rejects.toMatchObject({ name, message });
  await expect(tag(shared.keyArn, tags)).rejects.toMatchObject({ name, message });
});

test("a key has 50 tags at most, however they come", async () => {
  const key = await make(numbered(49));
  await tag(key, pairs("last"));
  expect(await refusal(tag(key, pairs("one too many")))).toBe("LimitExceededException");
  await tag(key, pairs("last"));
  expect(await tagsOf(key)).toHaveLength(50);
});

test("changes at the same time lose none of each other", async () => {
  const key = await make([]);
  await Promise.all(numbered(20).map((one) => tag(key, [one])));
  expect(await tagsOf(key)).toEqual(numbered(20));
});

test("tags are paged, and a marker belongs to its key and operation", async () => {
  const { kms } = shared.keystead;
  const KeyId = await make(numbered(5));
  const first = await kms.send(new ListResourceTagsCommand({ KeyId, Limit: 2 }));
  expect(first).toMatchObject({ Tags: numbered(2), Truncated: true });
  await kms.send(new UntagResourceCommand({ KeyId, TagKeys: ["n00"] }));
  const { NextMarker: Marker } = first;
  const rest = await kms.send(new ListResourceTagsCommand({ KeyId, Marker }));
  expect(rest).toMatchObject({ Tags: numbered(5).slice(2), Truncated: false });
  expect(rest.NextMarker).toBeUndefined();
  for (const wrong of [
    { KeyId: shared.keyArn, Marker },
    { KeyId, Marker: "2" },
    { KeyId, Marker: `${Marker}x` },
  ])
    expect(await refusal(kms.send(new ListResourceTagsCommand(wrong)))).toBe("InvalidMarkerException");
});

test("a key pending deletion shows its tags and keeps them as they are", async () => {
  const { kms } = shared.keystead;
  const KeyId = await make(pairs("a"));
  await kms.send(new ScheduleKeyDeletionCommand({ KeyId }));
  expect(await refusal(tag(KeyId, pairs("b")))).toBe("KMSInvalidStateException");
  expect(await refusal(kms.send(new UntagResourceCommand({ KeyId, TagKeys: ["a"] })))).toBe(
    "KMSInvalidStateException",
  );
  expect(await tagsOf(KeyId)).toEqual(pairs("a"));
});

test("_custom_id_ gives the key its id, is not stored, and is given once", async () => {
  const { kms } = shared.keystead;
  for (const id of ["my-key-1", "11111111-2222-4333-8444-555555555555"]) {
    expect(await make([...pairs("a"), { TagKey: "_custom_id_", TagValue: id }])).toBe(id);
    expect(await tagsOf(id)).toEqual(pairs("a"));
    const { CiphertextBlob, KeyId } = await kms.send(
      new EncryptCommand({ KeyId: id, Plaintext: Buffer.from("x") }),
    );
    expect(KeyId).toBe(`arn:aws:kms:us-east-1:000000000000:key/${id}`);
    expect((await kms.send(new DecryptCommand({ CiphertextBlob }))).KeyId).toBe(KeyId);
    expect(await refusal(kms.send(new DescribeKeyCommand({ KeyId })))).toBe("none");
    expect(await refusal(make([{ TagKey: "_custom_id_", TagValue: id }]))).toBe("AlreadyExistsException");
  }
  for (const TagValue of ["", "a/b", "alias/x", "a".repeat(129)])
    expect(await refusal(make([{ TagKey: "_custom_id_", TagValue }])), TagValue).toBe("ValidationException");
  const race = [1, 2].map(() => refusal(make([{ TagKey: "_custom_id_", TagValue: "raced" }])));
  expect((await Promise.all(race)).toSorted()).toEqual(["AlreadyExistsException", "none"]);
});

test("tags and chosen ids survive a restart", async () => {
  const key = await createKey(shared.keystead, shared.storeId);
  await tag(key, pairs("kept"));
  await shared.restart();
  expect(await tagsOf(key)).toEqual(pairs("kept"));
  expect(await tagsOf("my-key-1")).toEqual(pairs("a"));
  const sealed = new EncryptCommand({ KeyId: "my-key-1", Plaintext: Buffer.from("x") });
  expect(await refusal(shared.keystead.kms.send(sealed))).toBe("none");
});
