/** Grants and grant tokens through the AWS SDK (reference: kms-keys §3, §5.1, §6). */
import {
  CreateGrantCommand,
  DecryptCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  EncryptCommand,
  GenerateDataKeyCommand,
  ListGrantsCommand,
  ListRetirableGrantsCommand,
  ReEncryptCommand,
  RetireGrantCommand,
  RevokeGrantCommand,
  ScheduleKeyDeletionCommand,
  type CreateGrantCommandInput,
  type GrantListEntry,
} from "@aws-sdk/client-kms";
import { expect, test } from "vitest";
import { createKey, refusal } from "./harness.ts";
import { sharedStore } from "./shared.ts";

const DAY_MS = 86_400_000;
const shared = sharedStore();
const GRANTEE = "arn:aws:iam::000000000000:role/worker";
const RETIRER = "arn:aws:iam::000000000000:user/retirer";
const Plaintext = Buffer.from("x");

interface Made {
  readonly GrantId: string;
  readonly GrantToken: string;
}

async function grant(wish: Partial<CreateGrantCommandInput> = {}): Promise<Made> {
  const { GrantId = "", GrantToken = "" } = await shared.keystead.kms.send(
    new CreateGrantCommand({
      KeyId: shared.keyArn,
      GranteePrincipal: GRANTEE,
      Operations: ["Encrypt", "Decrypt"],
      ...wish,
    }),
  );
  return { GrantId, GrantToken };
}

async function grants(KeyId = shared.keyArn, Limit = 2): Promise<readonly GrantListEntry[]> {
  const all: GrantListEntry[] = [];
  let Marker: string | undefined;
  do {
    const page = await shared.keystead.kms.send(new ListGrantsCommand({ KeyId, Limit, Marker }));
    all.push(...(page.Grants ?? []));
    Marker = page.NextMarker;
    expect(page.Truncated).toBe(Marker !== undefined);
  } while (Marker !== undefined);
  return all;
}

test("a grant is listed as it was made", async () => {
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const Constraints = { EncryptionContextSubset: { tenant: "acme", ["__proto__"]: "x" } };
  const wish = { KeyId, RetiringPrincipal: RETIRER, Name: "one", Constraints };
  const { GrantId, GrantToken } = await grant(wish);
  expect(GrantId).toMatch(/^[0-9a-f]{64}$/);
  expect(GrantToken).toMatch(/^[A-Za-z0-9+/]+=*$/);
  const [entry, ...others] = await grants(KeyId);
  expect(others).toEqual([]);
  expect(entry).toEqual({
    KeyId,
    GrantId,
    Name: "one",
    CreationDate: expect.any(Date) as Date,
    GranteePrincipal: GRANTEE,
    RetiringPrincipal: RETIRER,
    IssuingAccount: "arn:aws:iam::000000000000:root",
    Operations: ["Encrypt", "Decrypt"],
    Constraints,
  });
});

test("the same Name and parameters are the same grant with another token; anything else is a new one", async () => {
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const Constraints = { EncryptionContextEquals: { a: "1", b: "2" } };
  const wish = { KeyId, Name: "idempotent", Constraints };
  const first = await grant(wish);
  const again = await grant({
    ...wish,
    Operations: ["Decrypt", "Encrypt"],
    Constraints: { EncryptionContextEquals: { b: "2", a: "1" } },
  });
  expect(again.GrantId).toBe(first.GrantId);
  expect(again.GrantToken).not.toBe(first.GrantToken);
  for (const { GrantToken } of [first, again])
    expect(await refusal(encryptWith(GrantToken, KeyId))).toBe("none");
  const others = [
    await grant({ ...wish, Operations: ["Decrypt"] }),
    await grant({ ...wish, GranteePrincipal: RETIRER }),
    await grant({ ...wish, RetiringPrincipal: RETIRER }),
    await grant({ ...wish, Constraints: { EncryptionContextSubset: { a: "1", b: "2" } } }),
    await grant({ ...wish, Name: "other" }),
    await grant({ KeyId }),
    await grant({ KeyId }),
  ];
  expect(new Set([first, ...others].map((made) => made.GrantId)).size).toBe(8);
  expect(await grants(KeyId)).toHaveLength(8);
  const race = await Promise.all([grant({ ...wish, Name: "race" }), grant({ ...wish, Name: "race" })]);
  expect(race[0].GrantId).toBe(race[1].GrantId);
});

function encryptWith(token: string, KeyId = shared.keyArn): Promise<unknown> {
  return shared.keystead.kms.send(new EncryptCommand({ KeyId, Plaintext, GrantTokens: [token] }));
}

const pairsOf = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]));

test.each<[name: string, wish: Partial<CreateGrantCommandInput>, code: string]>([
  ["of no operation", { Operations: [] }, "ValidationException"],
  ["of an operation that does not exist", { Operations: ["Fly" as never] }, "ValidationException"],
  ["of Sign", { Operations: ["Decrypt", "Sign"] }, "ValidationException"],
  ["of GenerateMac", { Operations: ["GenerateMac"] }, "ValidationException"],
  ["of GetPublicKey", { Operations: ["GetPublicKey"] }, "ValidationException"],
  ["of DeriveSharedSecret", { Operations: ["DeriveSharedSecret"] }, "ValidationException"],
  ["for a name", { GranteePrincipal: "alice" }, "InvalidArnException"],
  ["for a bucket", { GranteePrincipal: "arn:aws:s3:::bucket" }, "InvalidArnException"],
  ["for nobody to retire", { RetiringPrincipal: "bob" }, "InvalidArnException"],
  ["with nine pairs", { Constraints: { EncryptionContextSubset: pairsOf(9) } }, "ValidationException"],
  [
    "with a long value",
    { Constraints: { EncryptionContextEquals: { a: "v".repeat(385) } } },
    "ValidationException",
  ],
  ["with an illegal name", { Name: "a b" }, "ValidationException"],
  ["under an alias", { KeyId: "alias/x" }, "NotFoundException"],
  ["with an unknown token", { GrantTokens: ["unknown"] }, "InvalidGrantTokenException"],
  ["in a dry run", { DryRun: true }, "DryRunOperationException"],
])("refused: a grant %s", async (_name, wish, code) => {
  expect(await refusal(grant(wish))).toBe(code);
});

test("constraints reach up to their limits", async () => {
  const longest = { ...pairsOf(7), ["k".repeat(384)]: "v".repeat(384) };
  await grant({ Constraints: { EncryptionContextSubset: longest } });
});

test("key states: a disabled key and one pending deletion get no grants, and keep those they have", async () => {
  const { kms } = shared.keystead;
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const made = [await grant({ KeyId }), await grant({ KeyId }), await grant({ KeyId })];
  await kms.send(new DisableKeyCommand({ KeyId }));
  expect(await refusal(grant({ KeyId }))).toBe("DisabledException");
  await kms.send(new ScheduleKeyDeletionCommand({ KeyId }));
  expect(await refusal(grant({ KeyId }))).toBe("KMSInvalidStateException");
  expect(await grants(KeyId)).toHaveLength(3);
  await kms.send(new RevokeGrantCommand({ KeyId, GrantId: made[0]?.GrantId }));
  await kms.send(new RetireGrantCommand({ GrantToken: made[1]?.GrantToken }));
  expect((await grants(KeyId)).map((one) => one.GrantId)).toEqual([made[2]?.GrantId]);
});

test("a token is known at once wherever one may stand, until its grant ends", async () => {
  const { kms } = shared.keystead;
  const KeyId = shared.keyArn;
  const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId, Plaintext }));
  const calls = (GrantTokens: string[]): Promise<string[]> =>
    Promise.all(
      [
        kms.send(new EncryptCommand({ KeyId, Plaintext, GrantTokens })),
        kms.send(new DecryptCommand({ CiphertextBlob, GrantTokens })),
        kms.send(new ReEncryptCommand({ CiphertextBlob, DestinationKeyId: KeyId, GrantTokens })),
        kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: "AES_256", GrantTokens })),
        kms.send(new DescribeKeyCommand({ KeyId, GrantTokens })),
        kms.send(
          new CreateGrantCommand({ KeyId, GranteePrincipal: GRANTEE, Operations: ["Decrypt"], GrantTokens }),
        ),
      ].map((call) => refusal(call)),
    );
  const [one, other] = [await grant(), await grant()];
  expect(new Set(await calls([one.GrantToken, other.GrantToken]))).toEqual(new Set(["none"]));
  expect(new Set(await calls([]))).toEqual(new Set(["none"]));
  const unknown = new Set(["InvalidGrantTokenException"]);
  const flipped = `${one.GrantToken.startsWith("A") ? "B" : "A"}${one.GrantToken.slice(1)}`;
  for (const wrong of [
    "x",
    flipped,
    one.GrantToken.slice(0, -4),
    `${one.GrantToken}AAAA`,
    ` ${one.GrantToken}`,
  ])
    expect(new Set(await calls([one.GrantToken, wrong])), wrong).toEqual(unknown);
  await kms.send(new RevokeGrantCommand({ KeyId, GrantId: one.GrantId }));
  expect(new Set(await calls([one.GrantToken]))).toEqual(unknown);
});

test("RetireGrant takes a token, or a key ARN with a grant id, and nothing between", async () => {
  const { kms } = shared.keystead;
  const { GrantId, GrantToken } = await grant();
  const KeyId = shared.keyArn;
  const foreign = await createKey(shared.keystead, shared.storeId);
  const retire = (wish: object): Promise<string> => refusal(kms.send(new RetireGrantCommand(wish)));
  expect(await retire({})).toBe("ValidationException");
  expect(await retire({ KeyId })).toBe("ValidationException");
  expect(await retire({ GrantToken, KeyId, GrantId })).toBe("ValidationException");
  expect(await retire({ GrantToken: "x" })).toBe("InvalidGrantTokenException");
  expect(await retire({ KeyId: KeyId.slice(KeyId.indexOf("/") + 1), GrantId })).toBe("InvalidArnException");
  expect(await retire({ KeyId: foreign, GrantId })).toBe("NotFoundException");
  expect(await retire({ KeyId, GrantId: "x" })).toBe("InvalidGrantIdException");
  expect(await retire({ KeyId, GrantId, DryRun: true })).toBe("DryRunOperationException");
  expect(await retire({ KeyId, GrantId })).toBe("none");
  expect(await retire({ KeyId, GrantId })).toBe("NotFoundException");
  expect(await retire({ GrantToken })).toBe("InvalidGrantTokenException");
});

test("RevokeGrant ends a grant of its key", async () => {
  const { kms } = shared.keystead;
  const { GrantId } = await grant();
  const revoke = (wish: object): Promise<string> =>
    refusal(kms.send(new RevokeGrantCommand({ KeyId: shared.keyArn, GrantId, ...wish })));
  expect(await revoke({ GrantId: "x" })).toBe("InvalidGrantIdException");
  expect(await revoke({ GrantId: "0".repeat(64) })).toBe("NotFoundException");
  expect(await revoke({ DryRun: true })).toBe("DryRunOperationException");
  expect(await revoke({})).toBe("none");
  expect(await revoke({})).toBe("NotFoundException");
});

test("lists are filtered and paged, and markers belong to their list", async () => {
  const { kms } = shared.keystead;
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const retirable = { KeyId, RetiringPrincipal: "arn:aws:iam::000000000000:role/listed" };
  const made: Made[] = [];
  for (let count = 0; count < 5; count += 1) made.push(await grant(retirable));
  const other = await grant({ KeyId, GranteePrincipal: RETIRER });
  const ids = made.map((one) => one.GrantId).toSorted();
  const list = async (wish: object): Promise<(string | undefined)[]> =>
    ((await kms.send(new ListGrantsCommand({ KeyId, ...wish }))).Grants ?? []).map((one) => one.GrantId);
  expect(await list({ GranteePrincipal: RETIRER })).toEqual([other.GrantId]);
  expect(await list({ GrantId: ids[0] })).toEqual([ids[0]]);
  expect(await list({ GrantId: "0".repeat(64) })).toEqual([]);
  expect(await refusal(list({ GrantId: "x" }))).toBe("InvalidGrantIdException");
  const { RetiringPrincipal } = retirable;
  const first = await kms.send(new ListRetirableGrantsCommand({ RetiringPrincipal, Limit: 2 }));
  await kms.send(new RevokeGrantCommand({ KeyId, GrantId: ids[0] }));
  const { NextMarker: Marker } = first;
  const rest = await kms.send(new ListRetirableGrantsCommand({ RetiringPrincipal, Marker }));
  const seen = [...(first.Grants ?? []), ...(rest.Grants ?? [])].map((one) => one.GrantId);
  expect(seen).toEqual(ids);
  expect(await refusal(list({ Marker }))).toBe("InvalidMarkerException");
  expect(await refusal(kms.send(new ListRetirableGrantsCommand({ RetiringPrincipal: "bob" })))).toBe(
    "InvalidArnException",
  );
});

test("grants and their tokens survive a restart, and end with their key", async () => {
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const { GrantToken } = await grant({
    KeyId,
    Constraints: { EncryptionContextEquals: { a: "b" } },
    Name: "kept",
  });
  const before = await grants(KeyId);
  await shared.restart();
  expect(await grants(KeyId)).toEqual(before);
  expect(await refusal(encryptWith(GrantToken, KeyId))).toBe("none");
  const { kms, server } = shared.keystead;
  await kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: 7 }));
  server.clock.advance(7 * DAY_MS + 1000);
  await expect
    .poll(() => refusal(encryptWith(GrantToken)), { timeout: 10_000 })
    .toBe("InvalidGrantTokenException");
});
