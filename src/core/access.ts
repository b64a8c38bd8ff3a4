/**
 * May this caller do this? The question a guard asks, and who answers it. Only `--auth iam`
 * has somebody to answer: without an authorizer a known caller may do everything in its
 * account, and no guard collects what a question consists of.
 */

/** Who asks. */
export interface Principal {
  /** 12 digits. */
  readonly account: string;
  /** The account's root, an IAM user or role, or a session of a role. */
  readonly arn: string;
  readonly accessKeyId: string;
}

/** Condition keys of a request, in lower case because AWS ignores their case, with their values. */
export type ConditionKeys = ReadonlyMap<string, readonly string[]>;

/** What of a grant decides; the members are those of the API. */
export interface GrantFacts {
  readonly GrantId: string;
  readonly GranteePrincipal: string;
  readonly RetiringPrincipal?: string | undefined;
  readonly Operations: readonly string[];
  readonly Constraints?: {
    readonly EncryptionContextSubset?: ReadonlyMap<string, string>;
    readonly EncryptionContextEquals?: ReadonlyMap<string, string>;
  };
}

export interface Ask {
  readonly caller: Principal;
  /** For example `kms:Encrypt`. */
  readonly action: string;
  /** An ARN, or `*` where the action has no resource. */
  readonly resource: string;
  readonly context: ConditionKeys;
  /** The encryption context of the request, or of the constraints that CreateGrant asks for. */
  readonly encryptionContext?: ReadonlyMap<string, string>;
  /** Of a KMS key; for everything else identity policies alone decide. */
  readonly keyPolicy?: string;
  readonly grants?: readonly GrantFacts[];
}

export interface Authorizer {
  /** @throws AwsError AccessDeniedException saying what was missing */
  check(ask: Ask): void;
}
