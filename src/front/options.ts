/** What the front needs from the composition root: who may call, which services answer, where the rest goes. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Authorizer } from "../core/access.ts";
import type { Logger } from "../core/logger.ts";
import type { Caller, Operation } from "../core/operation.ts";

/** The secret half of an access key and the principal it stands for. */
export interface Credential {
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** 12 digits. */
  readonly account: string;
  readonly arn: string;
}

/** One AWS JSON 1.1 service. */
export interface FrontService {
  /** The part of X-Amz-Target before the dot: TrentService, BaldrApiService. */
  readonly targetPrefix: string;
  /** The service name of the credential scope: kms, cloudhsm. */
  readonly signingName: string;
  /** How the service spells the text of its own exceptions (reference: wire-protocol §4.1). */
  readonly messageMember: "message" | "Message";
  readonly table: ReadonlyMap<string, Operation<unknown>>;
  /** The world of the caller's account and Region, given to every operation together with the request's id and caller. */
  readonly context: (caller: Caller) => object | Promise<object>;
  /** The 500 of this service: KMSInternalException, CloudHsmInternalFailureException. */
  readonly internalError: string;
}

/** One answered AWS request, for metrics and the request log; holds nothing of either body. */
export interface Observation {
  /** The signing name of the service, "unknown" when the target named none. */
  readonly service: string;
  /** The operation's name, "Unknown" for a target that does not exist, so that labels stay few. */
  readonly operation: string;
  /** "OK", or the `__type` of the error. */
  readonly code: string;
  readonly status: number;
  readonly seconds: number;
  readonly requestId: string;
  /** ARN of the caller, "-" when the request was refused before it was known. */
  readonly principal: string;
}

/** Limits of the HTTP listener, in milliseconds and bytes (reliability T20). */
export interface Limits {
  readonly headersTimeout: number;
  readonly requestTimeout: number;
  readonly connectionsCheckingInterval: number;
  readonly keepAliveTimeout: number;
  readonly maxHeaderSize: number;
  readonly maxBodySize: number;
  /** How long the rest of a refused body is still read, so that the client gets to see its 413. */
  readonly lingerTimeout: number;
  /** 0: as many as the process has file descriptors. */
  readonly maxConnections: number;
}

export interface FrontOptions {
  /** Assumed where no signature names one. */
  readonly region: string;
  /** Regions a signature may be scoped to. */
  readonly regions: ReadonlySet<string>;
  readonly account: string;
  /** "any" does not look at signatures: every caller is the account's root. "iam" also asks the authorizer. */
  readonly auth: "sigv4" | "iam" | "any";
  /** Handed to every operation with `auth: "iam"`. */
  readonly authorizer?: Authorizer;
  /** By access key id. */
  readonly credentials: ReadonlyMap<string, Credential>;
  /** Host names answered besides the loopback ones, without port. */
  readonly allowedHosts: readonly string[];
  readonly services: readonly FrontService[];
  /** Everything under /_keystead, /_localstack/health and /console. */
  readonly management: (request: IncomingMessage, response: ServerResponse) => void;
  readonly observe: (event: Observation) => void;
  readonly log: Logger;
  readonly limits?: Partial<Limits>;
}
