/**
 * An operation is one table entry (architecture, *An operation is one table entry*):
 * its input shape, whether it has an output shape, and what it does in a context.
 * Routing, validation, authentication, metrics and logs follow from the entry.
 */
import type { Authorizer, Principal } from "./access.ts";
import { structure, type Input, type Members, type Shape } from "./shape.ts";

/** The principal that signed the request. */
export interface Caller extends Principal {
  /** The Region the request was signed for. */
  readonly region: string;
}

/** What every operation of either service may know of its request. */
export interface Request {
  readonly requestId: string;
  readonly caller: Caller;
  /** The operation's name as AWS gives it, for example `Encrypt`; what permissions are called after. */
  readonly operation: string;
  /** The client's address; unknown in process. */
  readonly sourceIp?: string | undefined;
  /** Decides what the caller may do, with `--auth iam`; without one it may do everything. */
  readonly authorizer?: Authorizer | undefined;
}

/** One operation of a service; `C` is the service's own context (its stores, tokens, clock). */
export interface Operation<C> {
  readonly input: Shape<unknown>;
  /** "none": the model has no output shape, so the body is empty; "structure": a JSON object, `{}` when void. */
  readonly output: "none" | "structure";
  /** For docs/coverage.md: full, or the sentence saying why not. */
  readonly coverage: "full" | Coverage;
  run(input: unknown, context: C & Request): Promise<object | undefined>;
}
export interface Coverage {
  readonly kind: "partial" | "refused" | "later";
  readonly note: string;
}

/** A service: its operations, by the name AWS gives them. */
export type Service<C> = Readonly<Record<string, Operation<C>>>;

export interface Facts {
  readonly output?: "none" | "structure";
  readonly coverage?: "full" | Coverage;
}

/** Declare an operation; the service modules wrap this with their own guards (`onKey`, `onKeyStore`, `onCluster`). */
export function operation<C, const M extends Members>(
  facts: Facts,
  members: M,
  run: (input: Input<M>, context: C & Request) => Promise<object | undefined>,
): Operation<C> {
  return {
    input: structure(members),
    output: facts.output ?? "structure",
    coverage: facts.coverage ?? "full",
    // The pipeline passes what `input` has read, so the type is the shape's own.
    run: (input, context) => run(input as Input<M>, context),
  };
}
