/**
 * What a key object allows on the token itself: another PKCS#11 application, logged in as
 * kmsuser and with every mechanism that SoftHSM has, reads the attributes and tries to get
 * at the key material (reliability T11).
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pkcs11 from "pkcs11js";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { KeyRef } from "../../src/hsm/frames.ts";
import type { KeyObject } from "../../src/hsm/manage.ts";
import type { KmsSession } from "../../src/hsm/session.ts";
import type { Tokens } from "../../src/hsm/tokens.ts";
import { CLUSTER, MODULE, USER_PIN, makeToken, newKeyNames, openSession, openTokens } from "./harness.ts";

const AAD = Buffer.from("context");
const SECRET = Buffer.from("under this key");
/** PKCS#11 v2.40 §4; pkcs11js has no names for these. */
const CKA_DESTROYABLE = 0x172;
const CKM_AES_KEY_WRAP_PAD = 0x210a;

type Handle = pkcs11.Handle;

let directory: string;
let tokens: Tokens;
let session: KmsSession;
let described: KeyObject;
let key: KeyRef;
let sealed: Buffer;
let lib: pkcs11.PKCS11;
let slot: Handle;
/** A read/write session of this process, logged in as kmsuser. */
let outside: Handle;
let object: Handle;
let wrapping: Handle;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "keystead-test-"));
  tokens = openTokens(directory);
  const token = await makeToken(tokens);
  session = openSession(token);
  const { id, label, ref } = newKeyNames();
  described = await session.generateKey(id, label);
  key = ref;
  sealed = await session.encrypt(key, AAD, SECRET);
  // The token's own configuration with the list of allowed mechanisms taken away.
  const conf = join(directory, "outside.conf");
  writeFileSync(conf, readFileSync(token.conf, "utf8").replace(/^slots\.mechanisms.*\n/m, ""));
  process.env["SOFTHSM2_CONF"] = conf;
  lib = new pkcs11.PKCS11();
  lib.load(MODULE);
  lib.C_Initialize({ flags: pkcs11.CKF_OS_LOCKING_OK });
  slot = slotOf(CLUSTER);
  outside = lib.C_OpenSession(slot, pkcs11.CKF_SERIAL_SESSION | pkcs11.CKF_RW_SESSION);
  expect(find(outside)).toEqual([]);
  lib.C_Login(outside, pkcs11.CKU_USER, USER_PIN);
  const [found] = find(outside);
  if (found === undefined) throw new Error("the key is not on the token");
  object = found;
  wrapping = lib.C_GenerateKey(outside, { mechanism: pkcs11.CKM_AES_KEY_GEN }, [
    { type: pkcs11.CKA_TOKEN, value: false },
    { type: pkcs11.CKA_VALUE_LEN, value: 32 },
    { type: pkcs11.CKA_WRAP, value: true },
    { type: pkcs11.CKA_ENCRYPT, value: true },
  ]);
});

afterAll(async () => {
  lib.C_Finalize();
  lib.close();
  await session.close();
  await tokens.close();
  rmSync(directory, { recursive: true, force: true });
});

function slotOf(label: string): Handle {
  const found = lib.C_GetSlotList(true).find((each) => lib.C_GetTokenInfo(each).label.trim() === label);
  if (found === undefined) throw new Error("the token is not listed");
  return found;
}

function find(from: Handle): Handle[] {
  lib.C_FindObjectsInit(from, [
    { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
    { type: pkcs11.CKA_TOKEN, value: true },
  ]);
  const found = lib.C_FindObjects(from, 10);
  lib.C_FindObjectsFinal(from);
  return found;
}

function read(attribute: number): Buffer {
  return lib.C_GetAttributeValue(outside, object, [{ type: attribute }])[0]?.value as Buffer;
}

const FLAGS: readonly [name: string, attribute: number, value: boolean][] = [
  ["token", pkcs11.CKA_TOKEN, true],
  ["private", pkcs11.CKA_PRIVATE, true],
  ["sensitive", pkcs11.CKA_SENSITIVE, true],
  ["always-sensitive", pkcs11.CKA_ALWAYS_SENSITIVE, true],
  ["extractable", pkcs11.CKA_EXTRACTABLE, false],
  ["never-extractable", pkcs11.CKA_NEVER_EXTRACTABLE, true],
  ["local", pkcs11.CKA_LOCAL, true],
  ["encrypt", pkcs11.CKA_ENCRYPT, true],
  ["decrypt", pkcs11.CKA_DECRYPT, true],
  ["wrap", pkcs11.CKA_WRAP, false],
  ["unwrap", pkcs11.CKA_UNWRAP, false],
  ["derive", pkcs11.CKA_DERIVE, false],
  ["sign", pkcs11.CKA_SIGN, false],
  ["verify", pkcs11.CKA_VERIFY, false],
  // Session copies need both.
  ["modifiable", pkcs11.CKA_MODIFIABLE, true],
  ["destroyable", CKA_DESTROYABLE, true],
];

function expectTemplate(): void {
  for (const [name, attribute, value] of FLAGS)
    expect([name, read(attribute)[0] === 1]).toEqual([name, value]);
  expect(read(pkcs11.CKA_ALLOWED_MECHANISMS).readBigUInt64LE(0)).toBe(BigInt(pkcs11.CKM_AES_GCM));
  expect(read(pkcs11.CKA_ALLOWED_MECHANISMS).length).toBe(8);
  expect(read(pkcs11.CKA_KEY_TYPE).readUInt32LE(0)).toBe(pkcs11.CKK_AES);
  expect(read(pkcs11.CKA_VALUE_LEN).readUInt32LE(0)).toBe(32);
  expect(read(pkcs11.CKA_ID)).toEqual(key.id);
  expect(read(pkcs11.CKA_LABEL)).toEqual(key.label);
}

test("the key has the template on the token, and generateKey reports it", () => {
  expectTemplate();
  expect(described).toMatchObject({ id: key.id.toString(), label: key.label.toString() });
  for (const [name, , value] of FLAGS) expect([name, described.attributes[name]]).toEqual([name, value]);
  expect(described.attributes).toMatchObject({
    "key-type": "aes",
    class: "secret-key",
    "key-length-bytes": 32,
  });
});

type Attempt = (key: Handle) => unknown;

const copy =
  (change: pkcs11.Template): Attempt =>
  (key) =>
    lib.C_CopyObject(outside, key, [...change, { type: pkcs11.CKA_TOKEN, value: false }]);
const set =
  (change: pkcs11.Template): Attempt =>
  (key) =>
    lib.C_SetAttributeValue(outside, key, change);
const wrap =
  (mechanism: pkcs11.Mechanism): Attempt =>
  (key) =>
    lib.C_WrapKey(outside, mechanism, wrapping, key, Buffer.alloc(512));
const mechanisms = (...allowed: number[]): Buffer => {
  const list = Buffer.alloc(8 * allowed.length);
  for (const [at, mechanism] of allowed.entries()) list.writeBigUInt64LE(BigInt(mechanism), 8 * at);
  return list;
};
const encrypt =
  (mechanism: pkcs11.Mechanism): Attempt =>
  (key) => {
    lib.C_EncryptInit(outside, mechanism, key);
    return lib.C_Encrypt(outside, Buffer.alloc(16), Buffer.alloc(32));
  };
const derive: Attempt = (key) =>
  lib.C_DeriveKey(
    outside,
    // CK_KEY_DERIVATION_STRING_DATA without data: what is refused here is refused before it is looked at.
    { mechanism: pkcs11.CKM_AES_ECB_ENCRYPT_DATA, parameter: Buffer.alloc(16) },
    key,
    [
      { type: pkcs11.CKA_CLASS, value: pkcs11.CKO_SECRET_KEY },
      { type: pkcs11.CKA_KEY_TYPE, value: pkcs11.CKK_GENERIC_SECRET },
      { type: pkcs11.CKA_VALUE_LEN, value: 16 },
      { type: pkcs11.CKA_SENSITIVE, value: false },
      { type: pkcs11.CKA_EXTRACTABLE, value: true },
    ],
  );

const sign: Attempt = (key) => {
  lib.C_SignInit(outside, { mechanism: pkcs11.CKM_AES_CMAC }, key);
  return lib.C_Sign(outside, Buffer.alloc(16), Buffer.alloc(64));
};

const READ_ONLY = "CKR_ATTRIBUTE_READ_ONLY";
const WITHOUT_PROTECTION = "succeeds on a key without protection";

const ATTEMPTS: readonly [name: string, attempt: Attempt, refusal: string, control?: string][] = [
  [
    "C_GetAttributeValue of CKA_VALUE",
    (key) => lib.C_GetAttributeValue(outside, key, [{ type: pkcs11.CKA_VALUE }]),
    "CKR_ATTRIBUTE_SENSITIVE",
    WITHOUT_PROTECTION,
  ],
  ["C_WrapKey", wrap({ mechanism: CKM_AES_KEY_WRAP_PAD }), "CKR_KEY_UNEXTRACTABLE", WITHOUT_PROTECTION],
  [
    "C_CopyObject to an extractable key",
    copy([{ type: pkcs11.CKA_EXTRACTABLE, value: true }]),
    READ_ONLY,
    WITHOUT_PROTECTION,
  ],
  [
    "C_CopyObject to an insensitive key",
    copy([{ type: pkcs11.CKA_SENSITIVE, value: false }]),
    READ_ONLY,
    WITHOUT_PROTECTION,
  ],
  [
    "C_CopyObject to a public object",
    copy([{ type: pkcs11.CKA_PRIVATE, value: false }]),
    "CKR_TEMPLATE_INCONSISTENT",
  ],
  [
    "C_SetAttributeValue extractable",
    set([{ type: pkcs11.CKA_EXTRACTABLE, value: true }]),
    READ_ONLY,
    WITHOUT_PROTECTION,
  ],
  [
    "C_SetAttributeValue insensitive",
    set([{ type: pkcs11.CKA_SENSITIVE, value: false }]),
    READ_ONLY,
    WITHOUT_PROTECTION,
  ],
  ["C_SetAttributeValue public", set([{ type: pkcs11.CKA_PRIVATE, value: false }]), READ_ONLY],
  [
    "C_SetAttributeValue of more mechanisms",
    set([{ type: pkcs11.CKA_ALLOWED_MECHANISMS, value: mechanisms(pkcs11.CKM_AES_GCM, pkcs11.CKM_AES_ECB) }]),
    READ_ONLY,
  ],
  [
    "C_Encrypt with AES-ECB",
    encrypt({ mechanism: pkcs11.CKM_AES_ECB }),
    "CKR_MECHANISM_INVALID",
    WITHOUT_PROTECTION,
  ],
  [
    "C_Encrypt with AES-CBC",
    encrypt({ mechanism: pkcs11.CKM_AES_CBC, parameter: Buffer.alloc(16) }),
    "CKR_MECHANISM_INVALID",
    WITHOUT_PROTECTION,
  ],
  ["C_DeriveKey by ECB", derive, "CKR_KEY_FUNCTION_NOT_PERMITTED"],
  ["C_Sign with AES-CMAC", sign, "CKR_KEY_FUNCTION_NOT_PERMITTED", WITHOUT_PROTECTION],
];

test.each(ATTEMPTS)("%s fails and changes nothing", async (_name, attempt, refusal) => {
  expect(() => attempt(object)).toThrow(refusal);
  expectTemplate();
  expect(await session.decrypt(key, AAD, sealed)).toEqual(SECRET);
});

test.each(ATTEMPTS.filter(([, , , control]) => control !== undefined))(
  "%s is a real attempt: it succeeds on a key without protection",
  (_name, attempt) => {
    const unprotected = lib.C_GenerateKey(outside, { mechanism: pkcs11.CKM_AES_KEY_GEN }, [
      { type: pkcs11.CKA_TOKEN, value: false },
      { type: pkcs11.CKA_VALUE_LEN, value: 32 },
      { type: pkcs11.CKA_SENSITIVE, value: false },
      { type: pkcs11.CKA_EXTRACTABLE, value: true },
      { type: pkcs11.CKA_ENCRYPT, value: true },
      { type: pkcs11.CKA_SIGN, value: true },
    ]);
    expect(() => attempt(unprotected)).not.toThrow();
  },
);

test("usages that kmsuser sets later are worth nothing, because the key is for AES-GCM only", async () => {
  for (const attribute of [pkcs11.CKA_WRAP, pkcs11.CKA_DERIVE, pkcs11.CKA_SIGN])
    lib.C_SetAttributeValue(outside, object, [{ type: attribute, value: true }]);
  const own = lib.C_GenerateKey(outside, { mechanism: pkcs11.CKM_AES_KEY_GEN }, [
    { type: pkcs11.CKA_TOKEN, value: false },
    { type: pkcs11.CKA_VALUE_LEN, value: 32 },
    { type: pkcs11.CKA_EXTRACTABLE, value: true },
  ]);
  const attempts = [
    () => derive(object),
    () => lib.C_WrapKey(outside, { mechanism: CKM_AES_KEY_WRAP_PAD }, object, own, Buffer.alloc(512)),
    () => sign(object),
  ];
  for (const attempt of attempts) expect(attempt).toThrow("CKR_MECHANISM_INVALID");
  expect(await session.decrypt(key, AAD, sealed)).toEqual(SECRET);
});

test("a copy that the token allows is as closed as the key", () => {
  const handle = lib.C_CopyObject(outside, object, [{ type: pkcs11.CKA_TOKEN, value: false }]);
  const value = (): unknown => lib.C_GetAttributeValue(outside, handle, [{ type: pkcs11.CKA_VALUE }]);
  expect(value).toThrow(/^CKR_/);
  expect(() => lib.C_EncryptInit(outside, { mechanism: pkcs11.CKM_AES_ECB }, handle)).toThrow(/^CKR_/);
});
