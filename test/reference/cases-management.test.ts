/** Management operations of keys: constraints, empty answers, lists (reference: kms-keys §6, wire-protocol §2, §7). */
import { expect, test } from "vitest";
import { connectedStore, connectStore, createKey, createStore, readyCluster } from "../api/harness.ts";
import {
  base64,
  covers,
  expectSaid,
  invalid,
  runCases,
  sharedServer,
  type Answer,
  type Case,
} from "./harness.ts";

const shared = sharedServer(async (keystead) => {
  const { storeId, keyArn } = await connectedStore(keystead);
  const second = await createStore(keystead, await readyCluster(keystead), "Second");
  expect(await connectStore(keystead, second)).toBe("CONNECTED");
  return { storeId, keyArn, otherKeyArn: await createKey(keystead, second) };
});
const call = (operation: string, input?: unknown): Promise<Answer> => shared.call(operation, input);

const long = (length: number): string => "x".repeat(length);
const onKey =
  (more: object = {}): (() => object) =>
  () => ({ KeyId: shared.keyArn, ...more });
const alias =
  (AliasName: string): (() => object) =>
  () => ({ AliasName, TargetKeyId: shared.keyArn });
const grant = (GranteePrincipal: string): (() => object) =>
  onKey({ GranteePrincipal, Operations: ["Decrypt"] });
const NAME = "^[a-zA-Z0-9:/_-]+$";
const ROOT = "arn:aws:iam::000000000000:root";

const CASES: readonly Case[] = [
  [
    "kms-6-ListKeys-limit",
    "ListKeys",
    [{ Limit: 0 }, invalid.less("limit", 1, 0)],
    [{ Limit: 1001 }, invalid.more("limit", 1000, 1001)],
    [{ Limit: 1000 }, "ok"],
  ],
  [
    "kms-6-InvalidArn",
    "EnableKey",
    [{ KeyId: "arn:aws:kms:us-east-1" }, "InvalidArnException"],
    [{ KeyId: "arn:aws:s3:::bucket" }, "InvalidArnException"],
  ],
  [
    "kms-6-CreateAlias-name",
    "CreateAlias",
    [alias(""), /^ValidationException: 2 validation errors detected: .*greater than or equal to 1; /],
    [alias("alias/a b"), invalid.pattern("aliasName", NAME, "alias/a b")],
    [alias(long(257)), invalid.longer("aliasName", 256, long(257))],
  ],
  [
    "kms-6-CreateGrant-principal",
    "CreateGrant",
    [grant("a b"), invalid.pattern("granteePrincipal", String.raw`^[\w+=,.@:/-]+$`, "a b")],
    [grant(long(257)), invalid.longer("granteePrincipal", 256, long(257))],
    [onKey({ Operations: ["Decrypt"] }), invalid.absent("granteePrincipal")],
  ],
  [
    "kms-6-GetKeyPolicy-name",
    "GetKeyPolicy",
    [onKey({ PolicyName: "a-b" }), invalid.pattern("policyName", String.raw`[\w]+`, "a-b")],
    [onKey({ PolicyName: long(129) }), invalid.longer("policyName", 128, long(129))],
  ],
  [
    "kms-6-UntagResource-length",
    "UntagResource",
    [onKey({ TagKeys: [""] }), invalid.shorter("tagKeys.1.member", 1, "")],
    [onKey({ TagKeys: [long(129)] }), invalid.longer("tagKeys.1.member", 128, long(129))],
  ],
];

runCases(call, CASES);

interface Entry {
  readonly AliasName: string;
  readonly TargetKeyId: string;
}

async function aliases(input: object = {}): Promise<readonly Entry[]> {
  return (await call("ListAliases", input)).body["Aliases"] as Entry[];
}

test(
  covers(
    "kms-6-{CreateAlias-empty,UpdateAlias,UpdateAlias-other-store,DeleteAlias,ListAliases,ListAliases-of-key} wire-6-alias-arn",
    "an alias's life",
  ),
  async () => {
    const AliasName = "alias/here";
    const idOf = (arn: string): string => arn.slice(arn.indexOf("/") + 1);
    const seal = async (): Promise<unknown> =>
      (await call("Encrypt", { KeyId: AliasName, Plaintext: base64("x") })).body["KeyId"];
    const empty = ({ status, text }: Answer): void => expect([status, text]).toEqual([200, ""]);
    empty(await call("CreateAlias", { AliasName, TargetKeyId: shared.keyArn }));
    expect(await seal()).toBe(shared.keyArn);
    const made = {
      AliasName,
      AliasArn: `arn:aws:kms:us-east-1:000000000000:${AliasName}`,
      TargetKeyId: idOf(shared.keyArn),
      CreationDate: expect.any(Number) as number,
      LastUpdatedDate: expect.any(Number) as number,
    };
    expect(await aliases()).toEqual([made]);
    empty(await call("UpdateAlias", { AliasName, TargetKeyId: shared.otherKeyArn }));
    expect(await seal()).toBe(shared.otherKeyArn);
    expect(await aliases({ KeyId: shared.keyArn })).toEqual([]);
    expect(await aliases({ KeyId: idOf(shared.otherKeyArn) })).toHaveLength(1);
    expectSaid(await call("ListAliases", { KeyId: "none" }), "NotFoundException: Invalid keyId 'none'");
    empty(await call("DeleteAlias", { AliasName }));
    expectSaid(await call("DeleteAlias", { AliasName }), /^NotFoundException: Alias arn:.* is not found\.$/);
    expect(await aliases()).toEqual([]);
  },
);

test(covers("kms-6-EnableKey-empty wire-2-no-output", "operations without an output shape"), async () => {
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const { body } = await call("GetKeyPolicy", { KeyId });
  const token = async (): Promise<unknown> =>
    (await call("CreateGrant", { KeyId, GranteePrincipal: ROOT, Operations: ["Decrypt"] })).body;
  const [retired, revoked] = [
    (await token()) as { GrantToken: string },
    (await token()) as { GrantId: string },
  ];
  const requests: readonly [string, object][] = [
    ["DisableKey", { KeyId }],
    ["EnableKey", { KeyId }],
    ["CreateAlias", { AliasName: "alias/empty", TargetKeyId: KeyId }],
    ["UpdateAlias", { AliasName: "alias/empty", TargetKeyId: KeyId }],
    ["DeleteAlias", { AliasName: "alias/empty" }],
    ["PutKeyPolicy", { KeyId, Policy: body["Policy"] }],
    ["TagResource", { KeyId, Tags: [{ TagKey: "a", TagValue: "b" }] }],
    ["UntagResource", { KeyId, TagKeys: ["a"] }],
    ["UpdateKeyDescription", { KeyId, Description: "d" }],
    ["RetireGrant", { GrantToken: retired.GrantToken }],
    ["RevokeGrant", { KeyId, GrantId: revoked.GrantId }],
  ];
  for (const [operation, input] of requests) {
    const { status, text, headers } = await call(operation, input);
    expect([operation, status, text, headers.get("content-length")]).toEqual([operation, 200, "", "0"]);
  }
});

test(covers("kms-6-ListGrants-default", "fifty grants a page"), async () => {
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const input = { KeyId, GranteePrincipal: ROOT, Operations: ["Decrypt"] };
  await Promise.all(Array.from({ length: 51 }, () => call("CreateGrant", input)));
  const { body } = await call("ListGrants", { KeyId });
  expect(body).toMatchObject({ Truncated: true, NextMarker: expect.any(String) as string });
  expect(body["Grants"]).toHaveLength(50);
});

test(
  covers("kms-6-ListResourceTags-default", "fifty tags a page, which are all a key can have"),
  async () => {
    const KeyId = await createKey(shared.keystead, shared.storeId);
    const Tags = Array.from({ length: 50 }, (_, index) => ({ TagKey: `k${index}`, TagValue: "" }));
    expectSaid(await call("TagResource", { KeyId, Tags }), "ok");
    const { body } = await call("ListResourceTags", { KeyId });
    expect(body).toMatchObject({ Truncated: false });
    expect(body["Tags"]).toHaveLength(50);
  },
);

test(covers("wire-7-kms", "Truncated is always there, NextMarker when there is more"), async () => {
  const KeyId = shared.keyArn;
  await call("CreateAlias", { AliasName: "alias/one", TargetKeyId: KeyId });
  await call("CreateAlias", { AliasName: "alias/two", TargetKeyId: KeyId });
  for (const GranteePrincipal of [ROOT, "000000000000"])
    await call("CreateGrant", { KeyId, GranteePrincipal, Operations: ["Decrypt"] });
  await call("TagResource", { KeyId, Tags: ["a", "b"].map((TagKey) => ({ TagKey, TagValue: "" })) });
  const lists: readonly [operation: string, member: string, input: object][] = [
    ["ListKeys", "Keys", {}],
    ["ListAliases", "Aliases", {}],
    ["ListGrants", "Grants", { KeyId }],
    ["ListResourceTags", "Tags", { KeyId }],
    ["DescribeCustomKeyStores", "CustomKeyStores", {}],
  ];
  for (const [operation, member, input] of lists) {
    const all = await call(operation, { ...input, Limit: 1000 });
    expect(all.body, operation).toMatchObject({ Truncated: false });
    expect(all.body).not.toHaveProperty("NextMarker");
    const seen: unknown[] = [];
    let page: Answer["body"] = { Truncated: true };
    while (page["Truncated"] === true) {
      page = (await call(operation, { ...input, Limit: 1, Marker: page["NextMarker"] })).body;
      expect(typeof page["NextMarker"], operation).toBe(page["Truncated"] === true ? "string" : "undefined");
      seen.push(...(page[member] as unknown[]));
    }
    expect(seen, operation).toEqual(all.body[member]);
  }
});
