/** Rules for names and passwords of HSM users, and the hash of those the token does not keep (reference: cloudhsm-v2 §7). */
import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { OperatorRefusal } from "./refusal.ts";

const LONGEST_NAME = 31;
const PASSWORD_LENGTH = { min: 7, max: 32 };
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** kmsuser is the one crypto user that KMS logs in as; AWS allows it letters and digits only. */
export const KMS_USER = "kmsuser";

/** The user name as CloudHSM keeps it, in lower case. @throws OperatorRefusal */
export function checkUsername(username: string): string {
  if (!/^[A-Za-z0-9_]+$/.test(username) || username.length > LONGEST_NAME)
    throw new OperatorRefusal(`The user name must be 1 to ${LONGEST_NAME} letters, digits or underscores.`);
  return username.toLowerCase();
}

/** @throws OperatorRefusal naming the rule, never the password */
export function checkPassword(username: string, password: string): void {
  if (password.length < PASSWORD_LENGTH.min || password.length > PASSWORD_LENGTH.max)
    throw new OperatorRefusal(
      `The password must have ${PASSWORD_LENGTH.min} to ${PASSWORD_LENGTH.max} characters.`,
    );
  if (password.includes(":")) throw new OperatorRefusal("The password must not contain a colon.");
  if (username === KMS_USER && !/^[A-Za-z0-9]+$/.test(password))
    throw new OperatorRefusal("The password of kmsuser must contain only letters and digits.");
}

function derive(password: string, salt: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, HASH_BYTES, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

/** `scrypt:<salt>:<hash>`, both base64, with Node's default cost. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  return ["scrypt", salt.toString("base64"), (await derive(password, salt)).toString("base64")].join(":");
}

export async function passwordMatches(password: string, stored: string): Promise<boolean> {
  const [, salt = "", hash = ""] = stored.split(":");
  return timingSafeEqual(await derive(password, Buffer.from(salt, "base64")), Buffer.from(hash, "base64"));
}
