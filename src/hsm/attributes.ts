/**
 * Attributes of a key object by the names and in the order that the CloudHSM CLI prints
 * them with `key list --verbose` (reference: cloudhsm-v2 §9), read from the token.
 */
import pkcs11 from "pkcs11js";

type Read = (template: pkcs11.Template) => pkcs11.TemplateResult;

const FLAGS: readonly (readonly [name: string, attribute: number])[] = [
  ["encrypt", pkcs11.CKA_ENCRYPT],
  ["decrypt", pkcs11.CKA_DECRYPT],
  ["token", pkcs11.CKA_TOKEN],
  ["always-sensitive", pkcs11.CKA_ALWAYS_SENSITIVE],
  ["derive", pkcs11.CKA_DERIVE],
  // CKA_DESTROYABLE (PKCS#11 v2.40 §4.4); pkcs11js has no name for it.
  ["destroyable", 0x172],
  ["extractable", pkcs11.CKA_EXTRACTABLE],
  ["local", pkcs11.CKA_LOCAL],
  ["modifiable", pkcs11.CKA_MODIFIABLE],
  ["never-extractable", pkcs11.CKA_NEVER_EXTRACTABLE],
  ["private", pkcs11.CKA_PRIVATE],
  ["sensitive", pkcs11.CKA_SENSITIVE],
  ["sign", pkcs11.CKA_SIGN],
  ["trusted", pkcs11.CKA_TRUSTED],
  ["unwrap", pkcs11.CKA_UNWRAP],
  ["verify", pkcs11.CKA_VERIFY],
  ["wrap", pkcs11.CKA_WRAP],
  ["wrap-with-trusted", pkcs11.CKA_WRAP_WITH_TRUSTED],
];

/** CKA_ID and CKA_LABEL. */
export function identityOf(read: Read): { id: string; label: string } {
  const [id, label] = read([{ type: pkcs11.CKA_ID }, { type: pkcs11.CKA_LABEL }]);
  return { id: bytesOf(id).toString("latin1"), label: bytesOf(label).toString("utf8") };
}

export function attributesOf(read: Read): Record<string, string | number | boolean> {
  const [type, check, length] = [pkcs11.CKA_KEY_TYPE, pkcs11.CKA_CHECK_VALUE, pkcs11.CKA_VALUE_LEN].map(
    (attribute) => optional(read, attribute),
  );
  const flags = FLAGS.map(([name, attribute]) => [name, isTrue(optional(read, attribute))] as const);
  return {
    "key-type": type?.readUInt32LE(0) === pkcs11.CKK_AES ? "aes" : "generic-secret",
    "check-value": check === undefined ? "" : `0x${check.toString("hex")}`,
    class: "secret-key",
    ...Object.fromEntries(flags),
    "key-length-bytes": length === undefined ? 0 : length.readUInt32LE(0),
  };
}

/** A half-made key object lacks attributes; that must not hide the others. */
function optional(read: Read, attribute: number): Buffer | undefined {
  try {
    const bytes = bytesOf(read([{ type: attribute }])[0]);
    return bytes.length === 0 ? undefined : bytes;
  } catch {
    return undefined;
  }
}

function isTrue(value: Buffer | undefined): boolean {
  return value !== undefined && value.length > 0 && value[0] === 1;
}

function bytesOf(result: pkcs11.AttributeResult | undefined): Buffer {
  return Buffer.isBuffer(result?.value) ? result.value : Buffer.alloc(0);
}
