/**
 * The data-key verbs inside the HSM worker, over one of two backends with the same
 * behaviour: the C++ addon (one call = one complete operation), or graphene-pk11 as the
 * second opinion that the same test suite runs over.
 *
 * IV (12 bytes, from the token's own RNG) and tag (128 bits) are constants of the
 * backends; no ciphertext ever chooses them (design/reliability.md F5).
 */
import { createRequire } from "node:module";
import { CKR, Pkcs11Error, type Pkcs11ErrorKind } from "./errors.ts";
import type { KeyRef } from "./frames.ts";

/** Complete data-key operations on the token; sealed bytes are `iv ‖ ciphertext ‖ tag`. */
export interface DataKeyBackend {
  /** Index the token's AES keys by CKA_ID and CKA_LABEL. @returns how many there are */
  index(): number;
  encrypt(key: KeyRef, aad: Buffer, plaintext: Buffer): Buffer;
  /** @throws Pkcs11Error `tag` when the bytes do not authenticate */
  decrypt(key: KeyRef, aad: Buffer, sealed: Buffer): Buffer;
  /** @returns `bytes` bytes of plaintext followed by their sealed form */
  generateDataKey(key: KeyRef, aad: Buffer, bytes: number): Buffer;
  generateRandom(bytes: number): Buffer;
  forget(key: KeyRef): void;
}

interface NativeToken {
  index(): number;
  encrypt(id: Buffer, label: Buffer, aad: Buffer, plaintext: Buffer): Buffer;
  decrypt(id: Buffer, label: Buffer, aad: Buffer, sealed: Buffer): Buffer;
  generateDataKey(id: Buffer, label: Buffer, aad: Buffer, bytes: number): Buffer;
  random(bytes: number): Buffer;
  forget(id: Buffer, label: Buffer): void;
}
export interface NativeAddon {
  /** RLIMIT_AS of this process, in bytes; core dumps are switched off too. */
  limitMemory(bytes: number): void;
  readonly Token: new (modulePath: string, slotId: Buffer) => NativeToken;
}

/** The built addon; both `src/hsm` and `dist/hsm` lie two levels below the package. */
export function loadAddon(): NativeAddon {
  return createRequire(import.meta.url)("../../native/build/Release/keystead.node") as NativeAddon;
}

const KINDS: ReadonlySet<string> = new Set<Pkcs11ErrorKind>([
  "token",
  "tag",
  "missing",
  "ambiguous",
  "argument",
]);

function call<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    const { kind, rv, function: fn } = error as { kind?: string; rv?: number; function?: string };
    if (kind === undefined || !KINDS.has(kind)) throw error;
    // Bytes that are too short to hold IV and tag do not authenticate, whoever finds it out.
    if (kind === "argument" && rv === CKR.ENCRYPTED_DATA_LEN_RANGE)
      throw new Pkcs11Error("tag", rv, "C_Decrypt");
    throw new Pkcs11Error(kind as Pkcs11ErrorKind, rv ?? 0, fn ?? "native");
  }
}

/** The addon over the module that `TokenModule` initialised in this process: handles and login are shared. */
export function nativeBackend(addon: NativeAddon, modulePath: string, slotId: Buffer): DataKeyBackend {
  const token = call(() => new addon.Token(modulePath, slotId));
  return {
    index: () => call(() => token.index()),
    encrypt: (key, aad, plaintext) => call(() => token.encrypt(key.id, key.label, aad, plaintext)),
    decrypt: (key, aad, sealed) => call(() => token.decrypt(key.id, key.label, aad, sealed)),
    generateDataKey: (key, aad, bytes) => call(() => token.generateDataKey(key.id, key.label, aad, bytes)),
    generateRandom: (bytes) => call(() => token.random(bytes)),
    forget: (key) => call(() => token.forget(key.id, key.label)),
  };
}
