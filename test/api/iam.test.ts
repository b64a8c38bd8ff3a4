/** `--auth iam` end to end: principals with policies and grants, over the AWS SDK, on a connected store. */
import { CloudHSMV2Client, DeleteClusterCommand, DescribeClustersCommand } from "@aws-sdk/client-cloudhsm-v2";
import {
  CreateAliasCommand,
  CreateCustomKeyStoreCommand,
  CreateGrantCommand,
  CreateKeyCommand,
  DecryptCommand,
  DeleteAliasCommand,
  DescribeCustomKeyStoresCommand,
  DescribeKeyCommand,
  DisableKeyCommand,
  DisconnectCustomKeyStoreCommand,
  EnableKeyCommand,
  EncryptCommand,
  GenerateRandomCommand,
  GetKeyPolicyCommand,
  KMSClient,
  ListKeysCommand,
  PutKeyPolicyCommand,
  ReEncryptCommand,
  RetireGrantCommand,
  ScheduleKeyDeletionCommand,
  TagResourceCommand,
  UpdateAliasCommand,
} from "@aws-sdk/client-kms";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectedStore, createKey, startKeystead, type Keystead } from "./harness.ts";

const ACCOUNT = "000000000000";
const user = (name: string): string => `arn:aws:iam::${ACCOUNT}:user/${name}`;
const WRITER = `arn:aws:sts::${ACCOUNT}:assumed-role/Writer/job-1`;
const PLAINTEXT = Buffer.from("a data key");

const allow = (Action: unknown, Resource: unknown = "*", more: object = {}): object => ({
  Version: "2012-10-17",
  Statement: { Effect: "Allow", Action, Resource, ...more },
});

function credential(accessKeyId: string, more: object): object {
  return { accessKeyId, secretAccessKey: `secret-of-${accessKeyId}`, ...more };
}

const CREDENTIALS = [
  { accessKeyId: "test", secretAccessKey: "test", name: "admin", policies: [allow(["kms:*", "cloudhsm:*"])] },
  credential("WRITER", { arn: WRITER, policies: [allow(["kms:Encrypt", "kms:GenerateDataKey*"])] }),
  credential("READER", {
    name: "reader",
    policies: [
      allow("kms:Decrypt", "*", {
        Condition: { StringEquals: { "kms:EncryptionContext:stage": "prod" } },
      }),
    ],
  }),
  credential("GRANTEE", { name: "grantee" }),
  credential("DENIED", {
    name: "denied",
    policies: [
      allow("*"),
      { Statement: { Effect: "Deny", Action: ["kms:Decrypt", "kms:*CustomKeyStore"], Resource: "*" } },
    ],
  }),
  credential("ALIASER", {
    name: "aliaser",
    policies: [
      allow("kms:*Alias", ["arn:aws:kms:*:*:key/*", `arn:aws:kms:*:${ACCOUNT}:alias/\${aws:username}-*`]),
      allow("kms:CreateCustomKeyStore"),
    ],
  }),
  credential("LOCAL", {
    name: "local",
    policies: [allow("kms:ListKeys", "*", { Condition: { IpAddress: { "aws:SourceIp": "127.0.0.0/8" } } })],
  }),
  credential("REMOTE", {
    name: "remote",
    policies: [
      allow("kms:ListKeys", "*", { Condition: { NotIpAddress: { "aws:SourceIp": "127.0.0.0/8" } } }),
    ],
  }),
];

let keystead: Keystead;
let store: Awaited<ReturnType<typeof connectedStore>>;

beforeAll(async () => {
  keystead = await startKeystead({ auth: "iam", credentials: CREDENTIALS }, afterAll);
  store = await connectedStore(keystead);
}, 120_000);

function settings(accessKeyId: string) {
  const secretAccessKey = accessKeyId === "test" ? "test" : `secret-of-${accessKeyId}`;
  const { endpoint } = keystead.server;
  return { endpoint, region: "us-east-1", credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1 };
}

const as = (accessKeyId: string): KMSClient => new KMSClient(settings(accessKeyId));

/** The sentence of an AccessDeniedException; "allowed" when there is none. */
async function denial(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "allowed";
  } catch (error) {
    if (!(error instanceof Error) || error.name !== "AccessDeniedException") throw error;
    return error.message;
  }
}

function sentence(arn: string, action: string, resource: string, because = "identity-based"): string {
  return `User: ${arn} is not authorized to perform: ${action} on resource: ${resource} because no ${because} policy allows the ${action} action`;
}

async function encrypted(KeyId: string, EncryptionContext?: Record<string, string>): Promise<Uint8Array> {
  const { CiphertextBlob } = await keystead.kms.send(
    new EncryptCommand({ KeyId, Plaintext: PLAINTEXT, ...(EncryptionContext && { EncryptionContext }) }),
  );
  return CiphertextBlob ?? new Uint8Array();
}

test("a role that may only encrypt", async () => {
  const { keyArn: KeyId } = store;
  const writer = as("WRITER");
  const { CiphertextBlob } = await writer.send(new EncryptCommand({ KeyId, Plaintext: PLAINTEXT }));
  expect(await denial(writer.send(new DecryptCommand({ CiphertextBlob })))).toBe(
    sentence(WRITER, "kms:Decrypt", KeyId),
  );
  expect(await denial(writer.send(new DescribeKeyCommand({ KeyId })))).toBe(
    sentence(WRITER, "kms:DescribeKey", KeyId),
  );
  expect(await denial(writer.send(new ListKeysCommand({})))).toBe(sentence(WRITER, "kms:ListKeys", "*"));
  expect(await denial(writer.send(new GenerateRandomCommand({ NumberOfBytes: 1 })))).toBe(
    sentence(WRITER, "kms:GenerateRandom", "*"),
  );
});

test("a condition on the encryption context", async () => {
  const reader = as("READER");
  const prod = await encrypted(store.keyArn, { stage: "prod" });
  const prodContext = { stage: "prod" };
  const { Plaintext } = await reader.send(
    new DecryptCommand({ CiphertextBlob: prod, EncryptionContext: prodContext }),
  );
  expect(Buffer.from(Plaintext ?? [])).toEqual(PLAINTEXT);
  const beta = await encrypted(store.keyArn, { stage: "beta" });
  const refused = sentence(user("reader"), "kms:Decrypt", store.keyArn);
  expect(
    await denial(
      reader.send(new DecryptCommand({ CiphertextBlob: beta, EncryptionContext: { stage: "beta" } })),
    ),
  ).toBe(refused);
  const bare = await encrypted(store.keyArn);
  expect(await denial(reader.send(new DecryptCommand({ CiphertextBlob: bare })))).toBe(refused);
});

test("a grant with a constraint, until it is retired", async () => {
  const { keyArn: KeyId } = store;
  const grantee = as("GRANTEE");
  const EncryptionContext = { tenant: "7" };
  const CiphertextBlob = await encrypted(KeyId, EncryptionContext);
  const decrypt = () => denial(grantee.send(new DecryptCommand({ CiphertextBlob, EncryptionContext })));
  const refused = sentence(user("grantee"), "kms:Decrypt", KeyId);
  expect(await decrypt()).toBe(refused);
  const { GrantId, GrantToken } = await keystead.kms.send(
    new CreateGrantCommand({
      KeyId,
      GranteePrincipal: user("grantee"),
      RetiringPrincipal: user("reader"),
      Operations: ["Decrypt", "CreateGrant"],
      Constraints: { EncryptionContextSubset: EncryptionContext },
    }),
  );
  expect(GrantId).toMatch(/^[0-9a-f]{64}$/);
  expect(await decrypt()).toBe("allowed");
  const bare = await encrypted(KeyId);
  expect(await denial(grantee.send(new DecryptCommand({ CiphertextBlob: bare })))).toBe(refused);
  const pass = (Operations: ("Decrypt" | "Encrypt")[], context: Record<string, string>) =>
    denial(
      grantee.send(
        new CreateGrantCommand({
          KeyId,
          GranteePrincipal: WRITER.replace("sts", "iam").replace(/assumed-role.*/, "role/Writer"),
          Operations,
          Constraints: { EncryptionContextSubset: context },
        }),
      ),
    );
  expect(await pass(["Encrypt"], EncryptionContext)).toBe(
    sentence(user("grantee"), "kms:CreateGrant", KeyId),
  );
  expect(await pass(["Decrypt"], { tenant: "8" })).toBe(sentence(user("grantee"), "kms:CreateGrant", KeyId));
  expect(await pass(["Decrypt"], { ...EncryptionContext, more: "x" })).toBe("allowed");
  expect(await denial(as("WRITER").send(new DecryptCommand({ CiphertextBlob, EncryptionContext })))).toBe(
    sentence(WRITER, "kms:Decrypt", KeyId),
  );
  expect(await denial(grantee.send(new RetireGrantCommand({ GrantToken })))).toBe(
    sentence(user("grantee"), "kms:RetireGrant", KeyId),
  );
  expect(await denial(as("READER").send(new RetireGrantCommand({ GrantToken })))).toBe("allowed");
  expect(await decrypt()).toBe(refused);
});

test("an explicit deny wins, in an identity policy and in a key policy", async () => {
  const { keyArn: KeyId } = store;
  const denied = as("DENIED");
  const CiphertextBlob = await encrypted(KeyId);
  expect(await denial(denied.send(new DecryptCommand({ CiphertextBlob })))).toBe(
    `User: ${user("denied")} is not authorized to perform: kms:Decrypt on resource: ${KeyId} with an explicit deny in an identity-based policy`,
  );
  expect(
    await denial(denied.send(new DisconnectCustomKeyStoreCommand({ CustomKeyStoreId: store.storeId }))),
  ).toBe(
    `User: ${user("denied")} is not authorized to perform: kms:DisconnectCustomKeyStore on resource: * with an explicit deny in an identity-based policy`,
  );
  expect(await denial(denied.send(new DescribeCustomKeyStoresCommand({})))).toBe("allowed");
  const { Policy = "" } = await keystead.kms.send(new GetKeyPolicyCommand({ KeyId }));
  const { Statement } = JSON.parse(Policy) as { Statement: object[] };
  const deny = { Effect: "Deny", Principal: { AWS: user("denied") }, Action: "kms:Encrypt", Resource: "*" };
  await keystead.kms.send(
    new PutKeyPolicyCommand({
      KeyId,
      Policy: JSON.stringify({ Version: "2012-10-17", Statement: [...Statement, deny] }),
    }),
  );
  expect(await denial(denied.send(new EncryptCommand({ KeyId, Plaintext: PLAINTEXT })))).toBe(
    `User: ${user("denied")} is not authorized to perform: kms:Encrypt on resource: ${KeyId} with an explicit deny in a resource-based policy`,
  );
  await keystead.kms.send(new PutKeyPolicyCommand({ KeyId, Policy }));
  expect(await denial(denied.send(new EncryptCommand({ KeyId, Plaintext: PLAINTEXT })))).toBe("allowed");
});

test("a key policy without the account leaves identity policies no say", async () => {
  const KeyId = await createKey(keystead, store.storeId);
  const everything = { Effect: "Allow", Principal: { AWS: user("admin") }, Action: "kms:*", Resource: "*" };
  const Policy = JSON.stringify({ Version: "2012-10-17", Statement: everything });
  await keystead.kms.send(new PutKeyPolicyCommand({ KeyId, Policy }));
  expect(await denial(as("WRITER").send(new EncryptCommand({ KeyId, Plaintext: PLAINTEXT })))).toBe(
    sentence(WRITER, "kms:Encrypt", KeyId, "resource-based"),
  );
  expect(await denial(keystead.kms.send(new EncryptCommand({ KeyId, Plaintext: PLAINTEXT })))).toBe(
    "allowed",
  );
});

test("ReEncrypt needs both keys' permission", async () => {
  const other = await createKey(keystead, store.storeId);
  const CiphertextBlob = await encrypted(store.keyArn);
  const call = { CiphertextBlob, DestinationKeyId: other };
  const grantee = user("grantee");
  const grant = (KeyId: string, operation: "ReEncryptFrom" | "ReEncryptTo") =>
    keystead.kms.send(new CreateGrantCommand({ KeyId, GranteePrincipal: grantee, Operations: [operation] }));
  const reEncrypt = () => denial(as("GRANTEE").send(new ReEncryptCommand(call)));
  expect(await reEncrypt()).toBe(sentence(grantee, "kms:ReEncryptFrom", store.keyArn));
  await grant(store.keyArn, "ReEncryptFrom");
  expect(await reEncrypt()).toBe(sentence(grantee, "kms:ReEncryptTo", other));
  await grant(other, "ReEncryptTo");
  expect(await reEncrypt()).toBe("allowed");
});

test("aliases need the alias and the key", async () => {
  const aliaser = as("ALIASER");
  const TargetKeyId = store.keyArn;
  const aliasArn = (name: string): string => `arn:aws:kms:us-east-1:${ACCOUNT}:${name}`;
  const create = (client: KMSClient, AliasName: string) =>
    denial(client.send(new CreateAliasCommand({ AliasName, TargetKeyId })));
  expect(await create(aliaser, "alias/aliaser-1")).toBe("allowed");
  expect(await create(aliaser, "alias/other")).toBe(
    sentence(user("aliaser"), "kms:CreateAlias", aliasArn("alias/other")),
  );
  expect(await create(as("WRITER"), "alias/writer")).toBe(sentence(WRITER, "kms:CreateAlias", TargetKeyId));
  await keystead.kms.send(new CreateAliasCommand({ AliasName: "alias/other", TargetKeyId }));
  const AliasName = "alias/other";
  const update = aliaser.send(new UpdateAliasCommand({ AliasName, TargetKeyId }));
  expect(await denial(update)).toBe(sentence(user("aliaser"), "kms:UpdateAlias", aliasArn(AliasName)));
  expect(await denial(aliaser.send(new DeleteAliasCommand({ AliasName })))).toBe(
    sentence(user("aliaser"), "kms:DeleteAlias", aliasArn(AliasName)),
  );
  expect(await denial(aliaser.send(new DeleteAliasCommand({ AliasName: "alias/aliaser-1" })))).toBe(
    "allowed",
  );
});

test("key stores and CreateKey are the account's, and CreateCustomKeyStore looks at clusters", async () => {
  const wish = { CustomKeyStoreName: "second" };
  expect(await denial(as("ALIASER").send(new CreateCustomKeyStoreCommand(wish)))).toBe(
    sentence(user("aliaser"), "cloudhsm:DescribeClusters", "*"),
  );
  const CustomKeyStoreId = store.storeId;
  expect(
    await denial(as("WRITER").send(new CreateKeyCommand({ Origin: "AWS_CLOUDHSM", CustomKeyStoreId }))),
  ).toBe(sentence(WRITER, "kms:CreateKey", "*"));
});

test("CloudHSM asks identity policies", async () => {
  const writer = new CloudHSMV2Client(settings("WRITER"));
  expect(await denial(writer.send(new DescribeClustersCommand({})))).toBe(
    sentence(WRITER, "cloudhsm:DescribeClusters", "*"),
  );
  const ClusterId = store.cluster.clusterId;
  expect(await denial(writer.send(new DeleteClusterCommand({ ClusterId })))).toBe(
    sentence(WRITER, "cloudhsm:DeleteCluster", `arn:aws:cloudhsm:us-east-1:${ACCOUNT}:cluster/${ClusterId}`),
  );
  const { Clusters } = await keystead.cloudhsm.send(new DescribeClustersCommand({}));
  expect(Clusters).toHaveLength(1);
});

test("the client's address is a condition key", async () => {
  expect(await denial(as("LOCAL").send(new ListKeysCommand({})))).toBe("allowed");
  expect(await denial(as("REMOTE").send(new ListKeysCommand({})))).toBe(
    sentence(user("remote"), "kms:ListKeys", "*"),
  );
});

test("validation, then the key, then authorisation, then the key's state", async () => {
  const { keyArn: KeyId } = store;
  const grantee = as("GRANTEE");
  const error = (call: Promise<unknown>) =>
    call.then(
      () => "none",
      (thrown: unknown) => (thrown as Error).name,
    );
  const blank = { KeyId, Plaintext: Buffer.alloc(0) };
  expect(await error(grantee.send(new EncryptCommand(blank)))).toBe("ValidationException");
  const unknown = { KeyId: "12345678-1234-1234-1234-123456789012", Plaintext: PLAINTEXT };
  expect(await error(grantee.send(new EncryptCommand(unknown)))).toBe("NotFoundException");
  await keystead.kms.send(new DisableKeyCommand({ KeyId }));
  const legal = { KeyId, Plaintext: PLAINTEXT };
  expect(await error(grantee.send(new EncryptCommand(legal)))).toBe("AccessDeniedException");
  expect(await error(as("WRITER").send(new EncryptCommand(legal)))).toBe("DisabledException");
  await keystead.kms.send(new EnableKeyCommand({ KeyId }));
});

test("conditions on tags, aliases and the waiting period", async () => {
  const KeyId = await createKey(keystead, store.storeId);
  const statement = (Effect: string, Action: string, Condition: object): object => ({
    Effect,
    Action,
    Condition,
    Resource: "*",
    Principal: { AWS: [user("grantee"), user("admin")] },
  });
  const { Policy = "" } = await keystead.kms.send(new GetKeyPolicyCommand({ KeyId }));
  const { Statement } = JSON.parse(Policy) as { Statement: object[] };
  await keystead.kms.send(
    new PutKeyPolicyCommand({
      KeyId,
      Policy: JSON.stringify({
        Version: "2012-10-17",
        Statement: [
          ...Statement,
          statement("Allow", "kms:Encrypt", { StringEquals: { "aws:ResourceTag/team": "blue" } }),
          statement("Allow", "kms:DescribeKey", { StringEquals: { "kms:RequestAlias": "alias/blue" } }),
          statement("Deny", "kms:ScheduleKeyDeletion", {
            NumericLessThan: { "kms:ScheduleKeyDeletionPendingWindowInDays": "30" },
          }),
        ],
      }),
    }),
  );
  const grantee = as("GRANTEE");
  const encrypt = () => denial(grantee.send(new EncryptCommand({ KeyId, Plaintext: PLAINTEXT })));
  expect(await encrypt()).toBe(sentence(user("grantee"), "kms:Encrypt", KeyId));
  await keystead.kms.send(new TagResourceCommand({ KeyId, Tags: [{ TagKey: "team", TagValue: "blue" }] }));
  expect(await encrypt()).toBe("allowed");
  await keystead.kms.send(new CreateAliasCommand({ AliasName: "alias/blue", TargetKeyId: KeyId }));
  expect(await denial(grantee.send(new DescribeKeyCommand({ KeyId: "alias/blue" })))).toBe("allowed");
  expect(await denial(grantee.send(new DescribeKeyCommand({ KeyId })))).toBe(
    sentence(user("grantee"), "kms:DescribeKey", KeyId),
  );
  const schedule = (days: number) =>
    denial(keystead.kms.send(new ScheduleKeyDeletionCommand({ KeyId, PendingWindowInDays: days })));
  expect(await schedule(7)).toMatch(/with an explicit deny in a resource-based policy$/);
  expect(await schedule(30)).toBe("allowed");
});
