/**
 * Data-key verbs through graphene-pk11: slower than the addon, with the same behaviour
 * and the same sealed bytes. It exists so that one suite runs over two implementations.
 */
import graphene from "graphene-pk11";
import { CKR, Pkcs11Error, isCkr } from "./errors.ts";
import type { DataKeyBackend } from "./crypto.ts";
import type { KeyRef } from "./frames.ts";
import { pkcs11Call } from "./token.ts";

const IV_BYTES = 12;
const TAG_BYTES = 16;
const TAG_BITS = 128;

/** What SoftHSM answers for a ciphertext that does not authenticate: 2.6.1 the first, later ones the second. */
const TAG_FAILURES = [CKR.GENERAL_ERROR, CKR.ENCRYPTED_DATA_INVALID, CKR.ENCRYPTED_DATA_LEN_RANGE] as const;

type SecretKey = graphene.SecretKey;

class GrapheneBackend implements DataKeyBackend {
  readonly #slot: graphene.Slot;
  /** Holds the working copies; never closed while the backend lives. */
  readonly #anchor: graphene.Session;
  #session: graphene.Session;
  readonly #copies = new Map<string, SecretKey>();

  constructor(slot: graphene.Slot) {
    this.#slot = slot;
    this.#anchor = this.#openSession();
    this.#session = this.#openSession();
  }

  index(): number {
    this.#copies.clear();
    const all = { class: graphene.ObjectClass.SECRET_KEY, keyType: graphene.KeyType.AES, token: true };
    return pkcs11Call("C_FindObjects", () => this.#anchor.find(all)).length;
  }

  encrypt(key: KeyRef, aad: Buffer, plaintext: Buffer): Buffer {
    // pkcs11js hands an empty Buffer over as a NULL pointer, which ends in CKR_ARGUMENTS_BAD.
    if (plaintext.length === 0) throw new Pkcs11Error("argument", 0, "C_Encrypt of nothing");
    const iv = this.generateRandom(IV_BYTES);
    const body = this.#operation("C_Encrypt", () => {
      const cipher = this.#session.createCipher(gcm(iv, aad), this.#copyOf(key));
      return cipher.once(plaintext, Buffer.alloc(plaintext.length + TAG_BYTES));
    });
    return Buffer.concat([iv, body]);
  }

  decrypt(key: KeyRef, aad: Buffer, sealed: Buffer): Buffer {
    if (sealed.length < IV_BYTES + TAG_BYTES)
      throw new Pkcs11Error("tag", CKR.ENCRYPTED_DATA_LEN_RANGE, "C_Decrypt");
    const copy = this.#copyOf(key);
    const body = sealed.subarray(IV_BYTES);
    return this.#operation("C_Decrypt", () => {
      const decipher = this.#session.createDecipher(gcm(sealed.subarray(0, IV_BYTES), aad), copy);
      return decipher.once(body, Buffer.alloc(body.length));
    });
  }

  generateDataKey(key: KeyRef, aad: Buffer, bytes: number): Buffer {
    const plaintext = this.generateRandom(bytes);
    const out = Buffer.concat([plaintext, this.encrypt(key, aad, plaintext)]);
    plaintext.fill(0);
    return out;
  }

  generateRandom(bytes: number): Buffer {
    return pkcs11Call("C_GenerateRandom", () => this.#session.generateRandom(bytes));
  }

  forget(key: KeyRef): void {
    this.#copies.delete(nameOf(key));
  }

  /** Any error but a clean tag failure leaves the operation active: the session is replaced. */
  #operation(fn: string, body: () => Buffer): Buffer {
    try {
      return pkcs11Call(fn, body);
    } catch (error) {
      if (fn === "C_Decrypt" && isCkr(error, ...TAG_FAILURES))
        throw new Pkcs11Error("tag", CKR.GENERAL_ERROR, fn);
      this.#session.close();
      this.#session = this.#openSession();
      throw error;
    }
  }

  #copyOf(key: KeyRef): SecretKey {
    const name = nameOf(key);
    const cached = this.#copies.get(name);
    if (cached !== undefined) return cached;
    const found = pkcs11Call("C_FindObjects", () =>
      this.#anchor.find({
        class: graphene.ObjectClass.SECRET_KEY,
        keyType: graphene.KeyType.AES,
        token: true,
        id: key.id,
        label: key.label.toString("utf8"),
      }),
    );
    if (found.length === 0) throw new Pkcs11Error("missing", 0, "C_FindObjects");
    if (found.length > 1) throw new Pkcs11Error("ambiguous", 0, "C_FindObjects");
    const copy = pkcs11Call("C_CopyObject", () => this.#anchor.copy(found.items(0), { token: false }));
    const secret = copy.toType<SecretKey>();
    this.#copies.set(name, secret);
    return secret;
  }

  #openSession(): graphene.Session {
    return pkcs11Call("C_OpenSession", () => this.#slot.open(graphene.SessionFlag.SERIAL_SESSION));
  }
}

function gcm(iv: Buffer, aad: Buffer): graphene.MechanismType {
  return { name: "AES_GCM", params: new graphene.AesGcm240Params(iv, aad, TAG_BITS) };
}

function nameOf(key: KeyRef): string {
  return `${key.id.toString("latin1")} ${key.label.toString("latin1")}`;
}

export function grapheneBackend(slot: graphene.Slot): DataKeyBackend {
  return new GrapheneBackend(slot);
}
