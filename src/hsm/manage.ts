/**
 * The management verbs of an HSM worker and what they carry: the contract between
 * `worker.ts` (child) and `client.ts` (parent). PINs travel only here, over the inherited
 * socket; never by argv or environment (design/reliability.md T9).
 */

/** The two PKCS#11 user types keystead uses: the admin (CKU_SO) and kmsuser (CKU_USER). */
export type Role = "so" | "user";

/** A secret key object as the token describes it. */
export interface KeyObject {
  /** CKA_ID as Latin-1 text: the backing key id of a KMS key. */
  readonly id: string;
  /** CKA_LABEL: the key ARN of a KMS key. */
  readonly label: string;
  /** Attributes by the names the CloudHSM CLI prints (reference: cloudhsm-v2 §9). */
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
}

export interface ManageVerbs {
  /** Set SOFTHSM2_CONF: from its answer on the worker belongs to one cluster. */
  assign: { args: { conf: string }; result: null };
  /** C_Initialize; a damaged token file may end the process here. */
  initialize: { args: Record<string, never>; result: null };
  /** Find the token by label and serial, open the read/write session all management verbs use. */
  open: { args: { label: string; serial: string | null }; result: { serial: string } };
  initToken: { args: { label: string; soPin: string }; result: { serial: string } };
  login: { args: { role: Role; pin: string }; result: null };
  logout: { args: Record<string, never>; result: null };
  setPin: { args: { current: string; next: string }; result: null };
  initPin: { args: { pin: string }; result: null };
  /** Index the key objects and start serving data-key verbs. */
  index: { args: Record<string, never>; result: { keys: number } };
  generateKey: { args: { id: string; label: string }; result: KeyObject };
  listKeys: { args: Record<string, never>; result: readonly KeyObject[] };
  destroyKey: { args: { id: string; label: string }; result: null };
  /** Drop the working copy of a key. */
  forget: { args: { id: string; label: string }; result: null };
  /** C_GetTokenInfo: is the token still there. */
  probe: { args: Record<string, never>; result: null };
}
export type ManageVerb = keyof ManageVerbs;

/** What a worker is told once, by its environment, before it belongs to any cluster. */
export interface WorkerSettings {
  readonly modulePath: string;
  readonly backend: Backend;
  /** RLIMIT_AS in bytes. */
  readonly memoryLimit: number;
}
/** Who runs the data-key verbs: the C++ addon, or graphene-pk11 as the slower second opinion. */
export type Backend = "native" | "graphene";
