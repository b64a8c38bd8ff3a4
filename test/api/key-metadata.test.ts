/** Descriptions and last uses of keys, and what asks for no use at all: DryRun and Recipient. */
import {
  CreateAliasCommand,
  CreateGrantCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  GenerateRandomCommand,
  GetKeyLastUsageCommand,
  GetKeyPolicyCommand,
  ListAliasesCommand,
  ListGrantsCommand,
  ListKeyPoliciesCommand,
  ListResourceTagsCommand,
  PutKeyPolicyCommand,
  ReEncryptCommand,
  RevokeGrantCommand,
  ScheduleKeyDeletionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateAliasCommand,
  UpdateKeyDescriptionCommand,
  type DecryptCommandInput,
  type GetKeyLastUsageCommandOutput,
  type ReEncryptCommandInput,
} from "@aws-sdk/client-kms";
import { expect, test } from "vitest";
import { connectStore, createKey, disconnectStore, refusal, type Keystead } from "./harness.ts";
import { sharedStore } from "./shared.ts";

const shared = sharedStore();
const Plaintext = Buffer.from("x");

async function description(KeyId: string): Promise<string | undefined> {
  return (await shared.keystead.kms.send(new DescribeKeyCommand({ KeyId }))).KeyMetadata?.Description;
}

function describe(KeyId: string, Description: string): Promise<unknown> {
  return shared.keystead.kms.send(new UpdateKeyDescriptionCommand({ KeyId, Description }));
}

test("UpdateKeyDescription changes the description, within its length and the key's state", async () => {
  const key = await createKey(shared.keystead, shared.storeId);
  expect(await description(key)).toBe("");
  for (const text of ["päyments <b>", "x".repeat(8192), ""]) {
    await describe(key, text);
    expect(await description(key)).toBe(text);
  }
  expect(await refusal(describe(key, "x".repeat(8193)))).toBe("ValidationException");
  expect(await refusal(describe("alias/x", "y"))).toBe("NotFoundException");
  await shared.keystead.kms.send(new ScheduleKeyDeletionCommand({ KeyId: key }));
  expect(await refusal(describe(key, "y"))).toBe("KMSInvalidStateException");
});

function lastUse(KeyId: string): Promise<GetKeyLastUsageCommandOutput> {
  return shared.keystead.kms.send(new GetKeyLastUsageCommand({ KeyId }));
}

test("GetKeyLastUsage tells the last successful use, by operation, time and request", async () => {
  const { kms, server } = shared.keystead;
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const unused = await lastUse(KeyId);
  expect(unused.KeyLastUsage).toBeUndefined();
  expect(KeyId).toContain(String(unused.KeyId));
  expect(unused.TrackingStartDate).toEqual(unused.KeyCreationDate);
  const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext }));
  const acts = {
    Encrypt: () => kms.send(new EncryptCommand({ KeyId, Plaintext })),
    Decrypt: () => kms.send(new DecryptCommand({ CiphertextBlob })),
    ReEncrypt: () => kms.send(new ReEncryptCommand({ CiphertextBlob, DestinationKeyId: shared.keyArn })),
    GenerateDataKey: () => kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256" })),
    GenerateDataKeyWithoutPlaintext: () =>
      kms.send(new GenerateDataKeyWithoutPlaintextCommand({ KeyId, KeySpec: "AES_256" })),
  };
  for (const [Operation, act] of Object.entries(acts)) {
    server.clock.advance(1000);
    const { $metadata } = await act();
    const { KeyLastUsage } = await lastUse(KeyId);
    expect(KeyLastUsage).toMatchObject({ Operation, KmsRequestId: $metadata.requestId });
    expect(Math.abs(Number(KeyLastUsage?.Timestamp) - server.clock.now())).toBeLessThan(1000);
  }
  const before = await lastUse(KeyId);
  await refusal(kms.send(new DecryptCommand({ CiphertextBlob, EncryptionContext: { a: "b" } })));
  await refusal(kms.send(new EncryptCommand({ KeyId, Plaintext, DryRun: true })));
  expect((await lastUse(KeyId)).KeyLastUsage).toEqual(before.KeyLastUsage);
  expect((await lastUse(shared.keyArn)).KeyLastUsage?.Operation).toBe("ReEncrypt");
});

test("descriptions and last uses survive a restart", async () => {
  const key = await createKey(shared.keystead, shared.storeId);
  await describe(key, "kept");
  await shared.keystead.kms.send(new EncryptCommand({ KeyId: key, Plaintext }));
  const before = await lastUse(key);
  await shared.restart();
  expect(await description(key)).toBe("kept");
  expect((await lastUse(key)).KeyLastUsage).toEqual(before.KeyLastUsage);
});

test("IGNORE_CIPHERTEXT asks whether a key could decrypt, without a ciphertext", async () => {
  const { kms } = shared.keystead;
  const DryRunModifiers = ["IGNORE_CIPHERTEXT" as const];
  const decrypt = (wish: Partial<DecryptCommandInput>): Promise<string> =>
    refusal(kms.send(new DecryptCommand({ CiphertextBlob: undefined, ...wish })));
  const reEncrypt = (wish: Partial<ReEncryptCommandInput>): Promise<string> =>
    refusal(
      kms.send(new ReEncryptCommand({ CiphertextBlob: undefined, DestinationKeyId: shared.keyArn, ...wish })),
    );
  const KeyId = shared.keyArn;
  expect(await decrypt({ KeyId, DryRun: true, DryRunModifiers })).toBe("DryRunOperationException");
  const CiphertextBlob = Buffer.from("not a blob");
  expect(await decrypt({ KeyId, DryRun: true, DryRunModifiers, CiphertextBlob })).toBe(
    "DryRunOperationException",
  );
  expect(await decrypt({ DryRun: true, DryRunModifiers })).toBe("ValidationException");
  expect(await decrypt({ KeyId, DryRunModifiers })).toBe("ValidationException");
  expect(await decrypt({ KeyId, DryRun: true })).toBe("ValidationException");
  expect(await reEncrypt({ SourceKeyId: KeyId, DryRun: true, DryRunModifiers })).toBe(
    "DryRunOperationException",
  );
  expect(await reEncrypt({ DryRun: true, DryRunModifiers })).toBe("ValidationException");
  const gone = await createKey(shared.keystead, shared.storeId);
  await kms.send(new ScheduleKeyDeletionCommand({ KeyId: gone }));
  expect(await decrypt({ KeyId: gone, DryRun: true, DryRunModifiers })).toBe("KMSInvalidStateException");
});

/** CBOR: a COSE_Sign1 with an empty protected header, no unprotected one, `payload` and a signature of one byte. */
const signed = (payload: string, tag = "d2"): Buffer => Buffer.from(`${tag}8440a0${payload}4101`, "hex");
/** A byte string of the map {"digest": "SHA384"}. */
const MAP = "4fa16664696765737466534841333834";

const DOCUMENTS: readonly [name: string, document: Buffer | undefined, code: string][] = [
  ["a signed map", signed(MAP), "UnsupportedOperationException"],
  ["a signed map without its tag", signed(MAP, ""), "UnsupportedOperationException"],
  ["none", undefined, "ValidationException"],
  ["text", Buffer.from("attestation"), "ValidationException"],
  ["one byte", Buffer.from([0xd2]), "ValidationException"],
  ["a document cut short", signed(MAP).subarray(0, -1), "ValidationException"],
  ["a document with more behind it", Buffer.concat([signed(MAP), Buffer.alloc(1)]), "ValidationException"],
  ["a payload that is no map", signed("4101"), "ValidationException"],
  ["a list of three", Buffer.from("8340a04101", "hex"), "ValidationException"],
  ["lengths beyond the end", Buffer.from("845bffffffffffffffff", "hex"), "ValidationException"],
  ["counts beyond the end", signed("4abbffffffffffffffff00"), "ValidationException"],
  ["nests", Buffer.concat([Buffer.from("8440", "hex"), Buffer.alloc(100_000, 0x81)]), "ValidationException"],
];

test.each(DOCUMENTS)("Recipient: %s", async (_name, AttestationDocument, code) => {
  const { kms } = shared.keystead;
  const Recipient = { KeyEncryptionAlgorithm: "RSAES_OAEP_SHA_256" as const, AttestationDocument };
  const KeyId = shared.keyArn;
  const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext }));
  expect(await refusal(kms.send(new DecryptCommand({ CiphertextBlob, Recipient })))).toBe(code);
  expect(await refusal(kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256", Recipient })))).toBe(
    code,
  );
  expect(await refusal(kms.send(new GenerateRandomCommand({ NumberOfBytes: 1, Recipient })))).toBe(code);
});

/** reference: kms-keys §3, the rows of metadata; "ok" or the exception. Every act leaves the key as it was. */
const STATES = ["Enabled", "Disabled", "PendingDeletion", "Unavailable"] as const;
const OK = ["ok", "ok", "ok", "ok"] as const;
const NOT_PENDING = ["ok", "ok", "KMSInvalidStateException", "ok"] as const;
const POLICY = JSON.stringify({
  Statement: { Effect: "Allow", Principal: "*", Action: "kms:*", Resource: "*" },
});

type Act = (kms: Keystead["kms"], KeyId: string, serial: string) => Promise<unknown>;
const ROWS: Readonly<Record<string, readonly [row: readonly string[], act: Act]>> = {
  CreateAlias: [
    NOT_PENDING,
    (kms, TargetKeyId, serial) =>
      kms.send(new CreateAliasCommand({ TargetKeyId, AliasName: `alias/state-${serial}` })),
  ],
  UpdateAlias: [
    NOT_PENDING,
    (kms, TargetKeyId) => kms.send(new UpdateAliasCommand({ TargetKeyId, AliasName: "alias/state" })),
  ],
  ListAliases: [OK, (kms, KeyId) => kms.send(new ListAliasesCommand({ KeyId }))],
  CreateGrant: [
    ["ok", "DisabledException", "KMSInvalidStateException", "ok"],
    (kms, KeyId) =>
      kms.send(
        new CreateGrantCommand({ KeyId, GranteePrincipal: "000000000000", Operations: ["DescribeKey"] }),
      ),
  ],
  ListGrants: [OK, (kms, KeyId) => kms.send(new ListGrantsCommand({ KeyId }))],
  GetKeyPolicy: [OK, (kms, KeyId) => kms.send(new GetKeyPolicyCommand({ KeyId }))],
  PutKeyPolicy: [OK, (kms, KeyId) => kms.send(new PutKeyPolicyCommand({ KeyId, Policy: POLICY }))],
  ListKeyPolicies: [OK, (kms, KeyId) => kms.send(new ListKeyPoliciesCommand({ KeyId }))],
  ListResourceTags: [OK, (kms, KeyId) => kms.send(new ListResourceTagsCommand({ KeyId }))],
  TagResource: [NOT_PENDING, (kms, KeyId) => kms.send(new TagResourceCommand({ KeyId, Tags: [] }))],
  UntagResource: [NOT_PENDING, (kms, KeyId) => kms.send(new UntagResourceCommand({ KeyId, TagKeys: [] }))],
  UpdateKeyDescription: [
    NOT_PENDING,
    (kms, KeyId) => kms.send(new UpdateKeyDescriptionCommand({ KeyId, Description: "" })),
  ],
  GetKeyLastUsage: [OK, (kms, KeyId) => kms.send(new GetKeyLastUsageCommand({ KeyId }))],
  "DryRun of RevokeGrant": [
    ["dry", "dry", "dry", "dry"],
    async (kms, KeyId) => {
      const { Grants } = await kms.send(new ListGrantsCommand({ KeyId }));
      return kms.send(new RevokeGrantCommand({ KeyId, GrantId: Grants?.[0]?.GrantId, DryRun: true }));
    },
  ],
};

const SHORT: Readonly<Record<string, string>> = { none: "ok", DryRunOperationException: "dry" };

test("metadata in every key state answers as the key state table says", async () => {
  const { kms } = shared.keystead;
  const spare = await createKey(shared.keystead, shared.storeId);
  await kms.send(new CreateAliasCommand({ TargetKeyId: spare, AliasName: "alias/state" }));
  for (const [column, state] of STATES.entries()) {
    const KeyId = await createKey(shared.keystead, shared.storeId);
    await kms.send(
      new CreateGrantCommand({ KeyId, GranteePrincipal: "000000000000", Operations: ["Decrypt"] }),
    );
    if (state === "Disabled") await kms.send(new DisableKeyCommand({ KeyId }));
    if (state === "PendingDeletion") await kms.send(new ScheduleKeyDeletionCommand({ KeyId }));
    if (state === "Unavailable") await disconnectStore(shared.keystead, shared.storeId);
    const { KeyMetadata } = await kms.send(new DescribeKeyCommand({ KeyId }));
    expect(KeyMetadata?.KeyState).toBe(state);
    for (const [name, [row, act]] of Object.entries(ROWS)) {
      const got = await refusal(act(kms, KeyId, String(column)));
      expect(SHORT[got] ?? got, `${name} in ${state}`).toBe(row[column]);
    }
  }
  expect(await connectStore(shared.keystead, shared.storeId)).toBe("CONNECTED");
});
