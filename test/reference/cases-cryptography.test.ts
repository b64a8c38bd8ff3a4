/** Cryptographic operations: requests, answers and refusals word by word (reference: kms-keys §5, wire-protocol §5). */
import { expect, test } from "vitest";
import { createKey } from "../api/harness.ts";
import {
  base64,
  covers,
  expectSaid,
  invalid,
  runCases,
  said,
  sharedConnected,
  type Case,
} from "./harness.ts";

const shared = sharedConnected();
const call = (operation: string, input?: unknown) => shared.call(operation, input);
const plain = base64("a secret");

/** A request on the shared key, with `more`. */
const onKey =
  (more: object = {}): (() => object) =>
  () => ({ KeyId: shared.keyArn, ...more });

async function encrypt(KeyId: string, EncryptionContext?: object): Promise<string> {
  const answer = await call("Encrypt", { KeyId, Plaintext: plain, EncryptionContext });
  expectSaid(answer, "ok");
  return String(answer.body["CiphertextBlob"]);
}

const DRY_RUN = "DryRunOperationException: The request would have succeeded, but the DryRun option is set.";
const ONE_SIZE = "ValidationException: Please specify either number of bytes or key spec.";
const NOT_DEFAULT =
  "InvalidKeyUsageException: Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT.";
const tokens = (count: number): object => ({ GrantTokens: Array.from({ length: count }, () => "t") });
const long = (length: number): string => "x".repeat(length);
const CASES: readonly Case[] = [
  [
    "kms-5.1-KeyId-length",
    "DescribeKey",
    [{ KeyId: "" }, invalid.shorter("keyId", 1, "")],
    [{ KeyId: long(2049) }, invalid.longer("keyId", 2048, long(2049))],
  ],
  [
    "kms-5.1-context-not-strings",
    "Encrypt",
    [
      onKey({ Plaintext: plain, EncryptionContext: { a: 1 } }),
      "SerializationException: NUMBER_VALUE can not be converted to a String",
    ],
    [
      onKey({ Plaintext: plain, EncryptionContext: { a: true } }),
      "SerializationException: TRUE_VALUE can not be converted to a String",
    ],
  ],
  [
    "kms-5.1-GrantTokens",
    "Encrypt",
    [onKey({ Plaintext: plain, ...tokens(11) }), invalid.longer("grantTokens", 10)],
    [onKey({ Plaintext: plain, ...tokens(10) }), "InvalidGrantTokenException"],
    [onKey({ Plaintext: plain, GrantTokens: [""] }), invalid.shorter("grantTokens.1.member", 1, "")],
    [
      onKey({ Plaintext: plain, GrantTokens: [long(8193)] }),
      invalid.longer("grantTokens.1.member", 8192, long(8193)),
    ],
  ],
  [
    "kms-5.1-DryRun-normal-error",
    "Encrypt",
    [onKey({ DryRun: true }), invalid.absent("plaintext")],
    [{ KeyId: "none", Plaintext: plain, DryRun: true }, "NotFoundException: Invalid keyId 'none'"],
    [onKey({ Plaintext: plain, DryRun: true, EncryptionAlgorithm: "RSAES_OAEP_SHA_256" }), NOT_DEFAULT],
  ],
  [
    "kms-5.1-Recipient-algorithm",
    "GenerateDataKey",
    [
      onKey({ KeySpec: "AES_256", Recipient: { KeyEncryptionAlgorithm: "RSA" } }),
      invalid.oneOf("recipient.keyEncryptionAlgorithm", "RSA"),
    ],
  ],
  [
    "kms-5.2-Encrypt-length",
    "Encrypt",
    [onKey({ Plaintext: "" }), invalid.shorter("plaintext", 1)],
    [onKey({ Plaintext: base64(1) }), "ok"],
    [onKey({ Plaintext: base64(4096) }), "ok"],
  ],
  [
    "kms-5.2-Encrypt-too-long",
    "Encrypt",
    [onKey({ Plaintext: base64(4097) }), invalid.longer("plaintext", 4096)],
  ],
  [
    "kms-5.2-Encrypt-algorithm",
    "Encrypt",
    [onKey({ Plaintext: plain, EncryptionAlgorithm: "RSAES_OAEP_SHA_256" }), NOT_DEFAULT],
    [onKey({ Plaintext: plain, EncryptionAlgorithm: "SYMMETRIC_DEFAULT" }), "ok"],
  ],
  [
    "kms-5.2-Decrypt-length",
    "Decrypt",
    [{ CiphertextBlob: "" }, invalid.shorter("ciphertextBlob", 1)],
    [{ CiphertextBlob: base64(6145) }, invalid.longer("ciphertextBlob", 6144)],
    [{ CiphertextBlob: base64(6144) }, "InvalidCiphertextException"],
  ],
  [
    "kms-5.2-GenerateDataKey-one-of",
    "GenerateDataKey",
    [onKey(), ONE_SIZE],
    [onKey({ KeySpec: "AES_256", NumberOfBytes: 32 }), ONE_SIZE],
  ],
  [
    "kms-5.2-GenerateDataKey-range",
    "GenerateDataKey",
    [onKey({ NumberOfBytes: 0 }), invalid.less("numberOfBytes", 1, 0)],
    [onKey({ NumberOfBytes: 1025 }), invalid.more("numberOfBytes", 1024, 1025)],
    [onKey({ NumberOfBytes: 1 }), "ok"],
    [onKey({ NumberOfBytes: 1024 }), "ok"],
    [onKey({ KeySpec: "AES_512" }), invalid.oneOf("keySpec", "AES_512")],
  ],
  [
    "kms-5.2-GenerateRandom-required wire-4.6-semantic",
    "GenerateRandom",
    [{}, "ValidationException: NumberOfBytes is required."],
  ],
  ["kms-5.2-GenerateRandom-0", "GenerateRandom", [{ NumberOfBytes: 0 }, invalid.less("numberOfBytes", 1, 0)]],
  [
    "kms-5.2-GenerateRandom-1025",
    "GenerateRandom",
    [{ NumberOfBytes: 1025 }, invalid.more("numberOfBytes", 1024, 1025)],
  ],
];

runCases(call, CASES);

test(
  covers("kms-5.1-context-exact kms-5.1-context-unicode kms-5.1-context-empty", "the encryption context"),
  async () => {
    const decrypt = async (CiphertextBlob: string, EncryptionContext?: object) =>
      said(await call("Decrypt", { CiphertextBlob, EncryptionContext }));
    const blob = await encrypt(shared.keyArn, { Tenant: "Acme", "ключ 🔑": "значение\n" });
    expect(await decrypt(blob, { "ключ 🔑": "значение\n", Tenant: "Acme" })).toBe("ok");
    for (const other of [
      { Tenant: "acme", "ключ 🔑": "значение\n" },
      { tenant: "Acme", "ключ 🔑": "значение\n" },
      { Tenant: "Acme" },
      { Tenant: "Acme", "ключ 🔑": "значение\n", more: "" },
      undefined,
    ])
      expect(await decrypt(blob, other)).toBe("InvalidCiphertextException");
    const none = await encrypt(shared.keyArn);
    expect(await decrypt(none, {})).toBe("ok");
    expect(await decrypt(await encrypt(shared.keyArn, {}))).toBe("ok");
  },
);

test(covers("kms-5.1-DryRun wire-5-DryRun", "all that could succeed"), async () => {
  const blob = await encrypt(shared.keyArn);
  const requests: readonly [string, object][] = [
    ["Encrypt", { Plaintext: plain }],
    ["Decrypt", { CiphertextBlob: blob }],
    ["ReEncrypt", { KeyId: undefined, CiphertextBlob: blob, DestinationKeyId: shared.keyArn }],
    ["GenerateDataKey", { KeySpec: "AES_256" }],
    ["GenerateDataKeyWithoutPlaintext", { KeySpec: "AES_256" }],
  ];
  for (const [operation, input] of requests)
    expectSaid(await call(operation, { KeyId: shared.keyArn, ...input, DryRun: true }), DRY_RUN);
});

test(
  covers(
    "kms-5.2-{Encrypt-response,Decrypt-response,Decrypt-without-key} kms-5.1-no-KeyMaterialId",
    "answers",
  ),
  async () => {
    const KeyId = shared.keyArn;
    const sealed = await call("Encrypt", { KeyId: KeyId.slice(KeyId.indexOf("/") + 1), Plaintext: plain });
    const { CiphertextBlob } = sealed.body;
    expect(sealed.body).toEqual({
      CiphertextBlob: expect.any(String) as string,
      KeyId,
      EncryptionAlgorithm: "SYMMETRIC_DEFAULT",
    });
    expect((await call("Decrypt", { CiphertextBlob })).body).toEqual({
      KeyId,
      Plaintext: plain,
      EncryptionAlgorithm: "SYMMETRIC_DEFAULT",
    });
    const made = await call("GenerateDataKey", { KeyId, KeySpec: "AES_256" });
    expect(Object.keys(made.body).toSorted()).toEqual(["CiphertextBlob", "KeyId", "Plaintext"]);
  },
);

const FOREIGN =
  "AccessDeniedException: The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.";
const OTHER_KEY =
  "IncorrectKeyException: The key ID in the request does not identify a CMK that can perform this operation.";

test(
  covers(
    "kms-5.2-Decrypt-{invalid,incorrect-key,foreign} wire-5-IncorrectKey wire-4.5-foreign-ciphertext",
    "what does not decrypt, word by word",
  ),
  async () => {
    const CiphertextBlob = await encrypt(shared.keyArn, { a: "b" });
    const damaged = Buffer.from(CiphertextBlob, "base64");
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 1) ^ 1, damaged.length - 1);
    for (const input of [
      { CiphertextBlob },
      { CiphertextBlob: damaged.toString("base64"), EncryptionContext: { a: "b" } },
      { CiphertextBlob: base64("no blob at all") },
    ]) {
      const answer = await call("Decrypt", input);
      expect([answer.status, answer.body]).toEqual([400, { __type: "InvalidCiphertextException" }]);
    }
    const other = await createKey(shared.keystead, shared.storeId);
    expectSaid(await call("Decrypt", { CiphertextBlob, KeyId: other }), OTHER_KEY);
    const foreign = Buffer.from(CiphertextBlob, "base64");
    foreign.write("ffffffff", foreign.indexOf(":key/") + 5);
    const refused = await call("Decrypt", { CiphertextBlob: foreign.toString("base64") });
    expectSaid(refused, FOREIGN);
    expect([refused.status, Object.keys(refused.body)]).toEqual([400, ["__type", "Message"]]);
  },
);

test(
  covers("kms-5.2-ReEncrypt-{response,source-context,destination-state,source-key}", "ReEncrypt"),
  async () => {
    const CiphertextBlob = await encrypt(shared.keyArn, { a: "b" });
    const DestinationKeyId = await createKey(shared.keystead, shared.storeId);
    const move = (more: object = {}) =>
      call("ReEncrypt", {
        CiphertextBlob,
        SourceEncryptionContext: { a: "b" },
        DestinationKeyId,
        DestinationEncryptionContext: { c: "d" },
        ...more,
      });
    expect((await move({ SourceKeyId: shared.keyArn })).body).toEqual({
      CiphertextBlob: expect.any(String) as string,
      SourceKeyId: shared.keyArn,
      KeyId: DestinationKeyId,
      SourceEncryptionAlgorithm: "SYMMETRIC_DEFAULT",
      DestinationEncryptionAlgorithm: "SYMMETRIC_DEFAULT",
    });
    expectSaid(await move({ SourceEncryptionContext: {} }), "InvalidCiphertextException");
    expectSaid(await move({ SourceKeyId: DestinationKeyId }), OTHER_KEY);
    expectSaid(await move({ DestinationKeyId: "none" }), "NotFoundException: Invalid keyId 'none'");
    await call("DisableKey", { KeyId: DestinationKeyId });
    expectSaid(await move(), `DisabledException: ${DestinationKeyId} is disabled.`);
  },
);

test(covers("wire-5-Disabled", "texts of key states"), async () => {
  const KeyId = await createKey(shared.keystead, shared.storeId);
  const use = () => call("Encrypt", { KeyId, Plaintext: plain });
  expectSaid(
    await call("CancelKeyDeletion", { KeyId }),
    `KMSInvalidStateException: ${KeyId} is not pending deletion.`,
  );
  await call("DisableKey", { KeyId });
  expectSaid(await use(), `DisabledException: ${KeyId} is disabled.`);
  await call("ScheduleKeyDeletion", { KeyId });
  expectSaid(await use(), `KMSInvalidStateException: ${KeyId} is pending deletion.`);
});

test(covers("kms-5.1-alias-not-legal", "an alias where only id or ARN is legal"), async () => {
  const AliasName = "alias/legal";
  expectSaid(await call("CreateAlias", { AliasName, TargetKeyId: shared.keyArn }), "ok");
  const grant = { GranteePrincipal: "arn:aws:iam::000000000000:root", Operations: ["Decrypt"] };
  const requests: readonly [string, object][] = [
    ["EnableKey", {}],
    ["ScheduleKeyDeletion", {}],
    ["CreateGrant", grant],
    ["TagResource", { Tags: [] }],
    ["GetKeyPolicy", {}],
  ];
  for (const [operation, input] of requests)
    expectSaid(
      await call(operation, { KeyId: AliasName, ...input }),
      `NotFoundException: Invalid keyId '${AliasName}'`,
    );
});
