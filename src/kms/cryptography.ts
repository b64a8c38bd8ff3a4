/** Cryptographic operations; all of them run on the key store's token (reference: kms-keys §5). */
import { randomBytes } from "node:crypto";
import { AwsError } from "../core/errors.ts";
import type { Request, Service } from "../core/operation.ts";
import { optional } from "../core/shape.ts";
import { Pkcs11Error } from "../hsm/errors.ts";
import type { KmsSession } from "../hsm/session.ts";
import { associatedData, makeBlob, type EncryptionContext } from "./ciphertext.ts";
import { endDryRun } from "./dry-run.ts";
import { requireState, type Key } from "./key.ts";
import { ALGORITHM, requireSupported, type RequestOptions } from "./request-options.ts";
import {
  authorizeKey,
  findKey,
  findKeyStore,
  onAccount,
  onKey,
  requireArrow,
  requireKnownTokens,
  stateOf,
  type Kms,
  type KmsContext,
} from "./service.ts";
import * as shapes from "./shapes.ts";
import { sourceOf } from "./source.ts";
import { clusterUnreachable, cryptographicError, unusableKey } from "./token-errors.ts";

const KEY_SPEC_BYTES = { AES_256: 32, AES_128: 16 } as const;

/** The session that is logged in to the key's token. @throws AwsError KMSInvalidStateException when out of reach */
async function sessionOf(kms: Kms, key: Key): Promise<KmsSession> {
  kms.rates.cryptographic(key.CustomKeyStoreId);
  const keyStore = findKeyStore(kms, key.CustomKeyStoreId);
  const session = kms.sessions.get(key.CustomKeyStoreId);
  const usable = kms.standings.usable(keyStore.CloudHsmClusterId);
  if (session === undefined || !(typeof usable === "boolean" ? usable : await usable))
    throw clusterUnreachable();
  return session;
}

/** The token's key must be the one that was made there, or nothing is done with it. */
async function requireSound(kms: Kms, key: Key, session: KmsSession): Promise<void> {
  const known = kms.health.verdict(key);
  const verdict = known === "unchecked" ? await kms.health.check(key, session) : known;
  if (verdict !== "sound" && verdict !== "unchecked") throw unusableKey(key, verdict);
}

/** Run `act` on the key's token with AWS's exceptions for what the token answers. */
async function onToken<T>(kms: Kms, key: Key, act: (session: KmsSession) => Promise<T>): Promise<T> {
  try {
    const session = await sessionOf(kms, key);
    if (kms.health.verdict(key) !== "sound") await requireSound(kms, key, session);
    return await act(session);
  } catch (error) {
    throw cryptographicError(error, key);
  }
}

async function encrypt(kms: Kms, key: Key, plaintext: Buffer, context?: EncryptionContext): Promise<Buffer> {
  return onToken(kms, key, async (session) => {
    await kms.keys.countEncryption(key);
    const sealed = await session.encrypt(key.ref, associatedData(key.header, context), plaintext);
    return makeBlob(key.header, sealed);
  });
}

/** @throws AwsError InvalidCiphertextException, without a message as at AWS */
async function decrypt(kms: Kms, key: Key, sealed: Buffer, context?: EncryptionContext): Promise<Buffer> {
  return onToken(kms, key, async (session) => {
    try {
      return await session.decrypt(key.ref, associatedData(key.header, context), sealed);
    } catch (error) {
      if (!(error instanceof Pkcs11Error) || error.kind !== "tag") throw error;
      // SoftHSM answers alike for a bad ciphertext and for a damaged key: the canary tells which.
      const verdict = await kms.health.check(key, session);
      if (verdict !== "sound" && verdict !== "unchecked") throw unusableKey(key, verdict, error);
      throw new AwsError("InvalidCiphertextException");
    }
  });
}

interface DataKeyWish extends RequestOptions {
  readonly KeySpec?: keyof typeof KEY_SPEC_BYTES;
  readonly NumberOfBytes?: number;
  readonly EncryptionContext?: EncryptionContext;
}

interface DataKey {
  readonly plaintext: Buffer;
  readonly blob: Buffer;
}

async function dataKey(kms: Kms, key: Key, wish: DataKeyWish): Promise<DataKey> {
  const { KeySpec, NumberOfBytes } = wish;
  if ((KeySpec === undefined) === (NumberOfBytes === undefined))
    throw new AwsError("ValidationException", "Please specify either number of bytes or key spec.");
  const bytes = NumberOfBytes ?? KEY_SPEC_BYTES[KeySpec ?? "AES_256"];
  requireSupported(wish);
  endDryRun(wish);
  return onToken(kms, key, async (session) => {
    await kms.keys.countEncryption(key);
    const aad = associatedData(key.header, wish.EncryptionContext);
    const both = await session.generateDataKey(key.ref, aad, bytes);
    return { plaintext: both.subarray(0, bytes), blob: makeBlob(key.header, both.subarray(bytes)) };
  });
}

/** ReEncrypt is two permissions, each with the encryption context of its side. */
function authorizeBoth(context: KmsContext & Request, input: object, source: Key, destination: Key): void {
  const sameKey = source === destination;
  const { kms } = context;
  authorizeKey(kms, context, source, "kms:ReEncryptFrom", { ...sideOf(input, "Source"), sameKey });
  authorizeKey(kms, context, destination, "kms:ReEncryptTo", { ...sideOf(input, "Destination"), sameKey });
}

/** One side of ReEncrypt under the names that members have elsewhere. */
function sideOf(input: object, side: "Source" | "Destination"): object {
  const given = input as Readonly<Record<string, unknown>>;
  const members = ["KeyId", "EncryptionContext", "EncryptionAlgorithm"];
  const ofSide = members.map((name) => [name, given[`${side}${name}`]] as const);
  return Object.fromEntries([...ofSide, ["GrantTokens", given["GrantTokens"]]]);
}

const cryptographic = { key: "KeyId", forms: "any", use: "cryptographic" } as const;

const WITHOUT_RECIPIENT = {
  kind: "partial",
  note: "Recipient is validated and then refused: an attestation document cannot be verified",
} as const;

const dataKeyMembers = {
  KeyId: shapes.keyId,
  EncryptionContext: optional(shapes.encryptionContext),
  NumberOfBytes: optional(shapes.numberOfBytes),
  KeySpec: optional(shapes.dataKeySpec),
  GrantTokens: optional(shapes.grantTokens),
  DryRun: optional(shapes.dryRun),
} as const;

export const cryptography: Service<KmsContext> = {
  Encrypt: onKey(
    cryptographic,
    {
      KeyId: shapes.keyId,
      Plaintext: shapes.plaintext,
      EncryptionContext: optional(shapes.encryptionContext),
      GrantTokens: optional(shapes.grantTokens),
      EncryptionAlgorithm: optional(shapes.encryptionAlgorithm),
      DryRun: optional(shapes.dryRun),
    },
    async (input, context) => {
      const { kms, key } = context;
      requireSupported({ algorithms: [input.EncryptionAlgorithm] });
      endDryRun(input);
      const CiphertextBlob = await encrypt(kms, key, input.Plaintext, input.EncryptionContext);
      kms.usage.note(key, context, kms.clock.now());
      return { CiphertextBlob, KeyId: key.Arn, EncryptionAlgorithm: ALGORITHM };
    },
  ),

  Decrypt: onAccount(
    { authorized: "inside", coverage: WITHOUT_RECIPIENT },
    {
      CiphertextBlob: optional(shapes.ciphertext),
      EncryptionContext: optional(shapes.encryptionContext),
      GrantTokens: optional(shapes.grantTokens),
      KeyId: optional(shapes.keyId),
      EncryptionAlgorithm: optional(shapes.encryptionAlgorithm),
      Recipient: optional(shapes.recipient),
      DryRun: optional(shapes.dryRun),
      DryRunModifiers: optional(shapes.dryRunModifiers),
    },
    async (input, context) => {
      const { kms } = context;
      const { key, sealed } = sourceOf(kms, { ...input, given: input.KeyId });
      authorizeKey(kms, context, key, "kms:Decrypt", input);
      requireKnownTokens(kms, input);
      requireState(key, stateOf(kms, key), "cryptographic");
      requireSupported({ ...input, algorithms: [input.EncryptionAlgorithm] });
      endDryRun(input);
      const Plaintext = await decrypt(kms, key, sealed, input.EncryptionContext);
      kms.usage.note(key, context, kms.clock.now());
      return { KeyId: key.Arn, Plaintext, EncryptionAlgorithm: ALGORITHM };
    },
  ),

  ReEncrypt: onAccount(
    { authorized: "inside" },
    {
      CiphertextBlob: optional(shapes.ciphertext),
      SourceEncryptionContext: optional(shapes.encryptionContext),
      SourceKeyId: optional(shapes.keyId),
      DestinationKeyId: shapes.keyId,
      DestinationEncryptionContext: optional(shapes.encryptionContext),
      SourceEncryptionAlgorithm: optional(shapes.encryptionAlgorithm),
      DestinationEncryptionAlgorithm: optional(shapes.encryptionAlgorithm),
      GrantTokens: optional(shapes.grantTokens),
      DryRun: optional(shapes.dryRun),
      DryRunModifiers: optional(shapes.dryRunModifiers),
    },
    async (input, context) => {
      const { kms } = context;
      const destination = findKey(kms, input.DestinationKeyId, "any");
      const source = sourceOf(kms, { ...input, given: input.SourceKeyId });
      if (context.authorizer !== undefined) authorizeBoth(context, input, source.key, destination);
      requireKnownTokens(kms, input);
      requireState(source.key, stateOf(kms, source.key), "cryptographic");
      requireState(destination, stateOf(kms, destination), "cryptographic");
      requireSupported({
        algorithms: [input.SourceEncryptionAlgorithm, input.DestinationEncryptionAlgorithm],
      });
      endDryRun(input);
      const plaintext = await decrypt(kms, source.key, source.sealed, input.SourceEncryptionContext);
      try {
        const CiphertextBlob = await encrypt(kms, destination, plaintext, input.DestinationEncryptionContext);
        for (const key of [source.key, destination]) kms.usage.note(key, context, kms.clock.now());
        return {
          CiphertextBlob,
          SourceKeyId: source.key.Arn,
          KeyId: destination.Arn,
          SourceEncryptionAlgorithm: ALGORITHM,
          DestinationEncryptionAlgorithm: ALGORITHM,
        };
      } finally {
        plaintext.fill(0);
      }
    },
  ),

  GenerateDataKey: onKey(
    { ...cryptographic, coverage: WITHOUT_RECIPIENT },
    { ...dataKeyMembers, Recipient: optional(shapes.recipient) },
    async (input, context) => {
      const { kms, key } = context;
      const made = await dataKey(kms, key, input);
      kms.usage.note(key, context, kms.clock.now());
      return { CiphertextBlob: made.blob, Plaintext: made.plaintext, KeyId: key.Arn };
    },
  ),

  GenerateDataKeyWithoutPlaintext: onKey(cryptographic, dataKeyMembers, async (input, context) => {
    const { kms, key } = context;
    const made = await dataKey(kms, key, input);
    kms.usage.note(key, context, kms.clock.now());
    made.plaintext.fill(0);
    return { CiphertextBlob: made.blob, KeyId: key.Arn };
  }),

  GenerateRandom: onAccount(
    { coverage: WITHOUT_RECIPIENT },
    {
      NumberOfBytes: optional(shapes.numberOfBytes),
      CustomKeyStoreId: optional(shapes.customKeyStoreId),
      Recipient: optional(shapes.recipient),
    },
    async (input, { kms }) => {
      if (input.NumberOfBytes === undefined)
        throw new AwsError("ValidationException", "NumberOfBytes is required.");
      requireSupported(input);
      // Without a key store the bytes come from KMS's own HSMs at AWS, here from the operating system.
      if (input.CustomKeyStoreId === undefined) return { Plaintext: randomBytes(input.NumberOfBytes) };
      return { Plaintext: await randomOfStore(kms, input.CustomKeyStoreId, input.NumberOfBytes) };
    },
  ),
};

async function randomOfStore(kms: Kms, keyStoreId: string, bytes: number): Promise<Buffer> {
  const keyStore = findKeyStore(kms, keyStoreId);
  requireArrow(keyStore, "use");
  kms.rates.cryptographic(keyStoreId);
  const session = kms.sessions.get(keyStoreId);
  if (session === undefined || !(await kms.standings.usable(keyStore.CloudHsmClusterId)))
    throw clusterUnreachable();
  try {
    return await session.generateRandom(bytes);
  } catch (error) {
    throw cryptographicError(error);
  }
}
