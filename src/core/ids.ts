/** Identifiers in the formats AWS uses (reference: wire-protocol §6, cloudhsm-v2 §1). */
import { randomBytes, randomInt, randomUUID } from "node:crypto";

const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";
const ALPHANUMERIC = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

function pick(alphabet: string, length: number): string {
  return Array.from({ length }, () => alphabet.charAt(randomInt(alphabet.length))).join("");
}

function hex(digits: number): string {
  return randomBytes(Math.ceil(digits / 2))
    .toString("hex")
    .slice(0, digits);
}

export const newClusterId = (): string => `cluster-${pick(BASE32, 11)}`;
export const newHsmId = (): string => `hsm-${pick(BASE32, 11)}`;
export const newBackupId = (): string => `backup-${pick(BASE32, 11)}`;
export const newKeyStoreId = (): string => `cks-${hex(17)}`;
export const newKeyId = (): string => randomUUID();
/** The backing key id: 64 lower-case hexadecimal characters; its ASCII bytes are the key's CKA_ID. */
export const newBackingKeyId = (): string => hex(64);
export const newSubnetId = (): string => `subnet-${hex(17)}`;
export const newVpcId = (): string => `vpc-${hex(17)}`;
export const newSecurityGroupId = (): string => `sg-${hex(17)}`;
export const newNetworkInterfaceId = (): string => `eni-${hex(17)}`;

/** 32 random alphanumeric characters, 190 bits: what KMS rotates kmsuser's password to. */
export const newKmsUserPassword = (): string => pick(ALPHANUMERIC, 32);

/** `arn:<partition>:<service>:<region>:<account>:<resource>`. */
export function arn(service: string, region: string, account: string, resource: string): string {
  return `arn:${partition(region)}:${service}:${region}:${account}:${resource}`;
}

function partition(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}
