/** The configured credentials: who signs with them, and the identity policies of each. */
import { z } from "zod";
import type { Principal } from "../core/access.ts";
import { Refusal } from "../core/errors.ts";
import { identityPolicy } from "./policy.ts";
import { CALLER_ARN } from "./principals.ts";

const policy = z.unknown().transform((document, context) => {
  try {
    return identityPolicy(document);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    context.addIssue({ code: "custom", message: error.message });
    return z.NEVER;
  }
});

const credential = z.strictObject({
  accessKeyId: z.string().min(1).max(128),
  secretAccessKey: z.string().min(1),
  sessionToken: z.string().optional(),
  /** 12 digits; the account in the ARN, or else the configured one, when absent. */
  account: z
    .string()
    .regex(/^\d{12}$/, "must be 12 digits, in quotes")
    .optional(),
  /** An IAM user's name, which makes the ARN when none is given. */
  name: z
    .string()
    .regex(/^[\w+=,.@-]{1,64}$/, "must be the name of an IAM user")
    .optional(),
  /** The principal's ARN; without a name either, the account's root. */
  arn: z
    .string()
    .regex(CALLER_ARN, "must be the ARN of an account's root, a user, a role, or a session of a role")
    .optional(),
  /** Identity policies, as mappings or JSON text; they count with `auth: iam`. */
  policies: z.array(policy).default([]),
});

export const credentials = z.array(credential).min(1);

type Given = z.infer<typeof credential>;
export type Credential = Given & Principal;

/**
 * The credentials with account and ARN filled in.
 * @throws Refusal for an access key id given twice, or an ARN of another account
 */
export function resolveCredentials(given: readonly Given[], account: string): readonly Credential[] {
  const ids = new Set<string>();
  return given.map((one, index) => {
    if (ids.has(one.accessKeyId))
      throw new Refusal(
        `Configuration: credentials: two of them have the access key id ${one.accessKeyId}.`,
        2,
      );
    ids.add(one.accessKeyId);
    return resolve(one, account, `credentials.${index}`);
  });
}

function resolve(given: Given, usualAccount: string, where: string): Credential {
  const named = given.arn?.split(":")[4];
  const account = given.account ?? named ?? usualAccount;
  if (named !== undefined && named !== account)
    throw new Refusal(
      `Configuration: ${where}.arn: names the account ${named}, but account is ${account}.`,
      2,
    );
  const path = given.name === undefined ? "root" : `user/${given.name}`;
  return { ...given, account, arn: given.arn ?? `arn:aws:iam::${account}:${path}` };
}
