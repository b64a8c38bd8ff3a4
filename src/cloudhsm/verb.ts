/** What an operator's verb is: who may run it, in which cluster states, and what it does. */
import type { ClusterRow } from "./clusters.ts";
import type { CloudHsm } from "./context.ts";
import type { Credentials, Operator } from "./login.ts";
import type { ClusterState } from "./machines.ts";
import { OperatorRefusal } from "./refusal.ts";

/** The flags of a command by their cloudhsm-cli names without dashes, for example `max-items`. */
export type Args = Readonly<Record<string, string>>;

export interface Call {
  readonly cloudhsm: CloudHsm;
  readonly cluster: ClusterRow;
  readonly args: Args;
  /** Present for verbs that need somebody logged in, and where somebody is. */
  readonly operator?: Operator;
}

/** `data` of the answer, and the token of a session that the verb opened. */
export interface Answer {
  readonly data: unknown;
  readonly session?: string;
}

export interface Verb {
  /** anyone: no login needed; operator: any user; admin: the role admin only. */
  readonly access: "anyone" | "operator" | "admin";
  /** Cluster states in which the HSMs answer this verb. */
  readonly states: readonly ClusterState[];
  run(call: Call): Promise<Answer>;
}

/** What a client of the operator's tool sends. */
export interface OperatorRequest {
  readonly clusterId: string;
  /** For example `user create`. */
  readonly command: string;
  readonly args: Args;
  /** Single-command mode: logs in, runs, logs out. */
  readonly credentials?: Credentials;
  /** The token that `login` answered. */
  readonly session?: string;
}

export function needed(args: Args, name: string): string {
  const value = args[name];
  if (value === undefined || value === "") throw new OperatorRefusal(`The option --${name} is required.`);
  return value;
}

export function requireOperator(call: Call): Operator {
  if (call.operator === undefined)
    throw new OperatorRefusal("Nobody is logged in; run login first, or set CLOUDHSM_ROLE and CLOUDHSM_PIN.");
  return call.operator;
}
