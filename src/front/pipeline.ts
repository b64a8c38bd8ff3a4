/**
 * The one way every AWS request goes (reference: wire-protocol §4.3): content type →
 * target → authentication → body → validation → operation → answer. Knows nothing of
 * sockets; the server hands it a complete request and sends what it returns.
 */
import { AwsError, reason } from "../core/errors.ts";
import type { Caller } from "../core/operation.ts";
import { validate } from "../core/shape.ts";
import { failure, INTERNAL_SENTENCE, success, UNKNOWN_PROTOCOL, type Answer } from "./answer.ts";
import { parseBody } from "./body.ts";
import type { SignedRequest } from "./canonical.ts";
import type { FrontOptions, FrontService } from "./options.ts";
import { protocolOf, routes, type Route } from "./routing.ts";
import { namedAccessKey, SignatureVerifier } from "./sigv4.ts";
import { actionOf, answerSts, STS_GLOBAL_REGION, STS_SIGNING_NAME, stsFailure } from "./sts.ts";

/** A complete request to the AWS side. */
export interface AwsRequest extends SignedRequest {
  readonly body: Buffer;
  readonly requestId: string;
  readonly sourceIp?: string;
  /** False: only a correct signature lets this request in. */
  readonly hostAllowed: boolean;
}

/** The answer with what metrics and the request log want to know of it. */
export interface Outcome {
  readonly answer: Answer;
  readonly service: string;
  readonly operation: string;
  readonly code: string;
  readonly principal: string;
}

/** The refusal of a Host that is neither on the allow-list nor under a correct signature (reliability T3). */
const HOST_REFUSED = new AwsError(
  "AccessDeniedException",
  "keystead does not answer to the name in the Host header; add it with --allowed-host, or sign the request.",
);

/** 403 for a refused Host, which is no answer of AWS's; the status of the exception for all others. */
function refusal(error: AwsError, service?: FrontService): Answer {
  return failure(error, service, error === HOST_REFUSED ? 403 : error.status);
}

export const REFUSED_HOST: Answer = refusal(HOST_REFUSED);

/** Progress of one request, kept for the outcome however it ends. */
interface Trace {
  service: string;
  operation: string;
  principal: string;
}

function codeOf(error: unknown): string {
  return error instanceof AwsError ? error.code : "InternalFailure";
}

export class Pipeline {
  readonly #options: FrontOptions;
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #verifier: SignatureVerifier;
  readonly #root: string;

  constructor(options: FrontOptions) {
    this.#options = options;
    this.#routes = routes(options.services);
    this.#verifier = new SignatureVerifier(options);
    this.#root = `arn:aws:iam::${options.account}:root`;
  }

  /** Answer `request`; never throws. */
  async answer(request: AwsRequest): Promise<Outcome> {
    const trace: Trace = { service: "unknown", operation: "Unknown", principal: "-" };
    const protocol = protocolOf(request.headers.get("content-type"));
    if (protocol === "form") return this.#answerSts(request, trace);
    if (protocol === undefined)
      return { ...trace, answer: UNKNOWN_PROTOCOL, code: "UnknownOperationException" };
    const route = this.#routes.get(request.headers.get("x-amz-target") ?? "");
    if (route === undefined) {
      const unknown = new AwsError("UnknownOperationException");
      return { ...trace, answer: failure(unknown), code: unknown.code };
    }
    trace.service = route.service.signingName;
    trace.operation = route.name;
    try {
      return { answer: await this.#run(route, request, trace), code: "OK", ...trace };
    } catch (error) {
      const known = this.#known(error, route, request.requestId);
      return { answer: refusal(known, route.service), code: known.code, ...trace };
    }
  }

  async #run(route: Route, request: AwsRequest, trace: Trace): Promise<Answer> {
    const caller = this.#authenticate(request, route.service.signingName);
    trace.principal = caller.arn;
    const input = validate(route.operation.input, parseBody(request.body));
    const world = route.service.context(caller);
    const { requestId, sourceIp } = request;
    const { authorizer } = this.#options;
    const known = { requestId, caller, operation: route.name, sourceIp, authorizer };
    const context = { ...(world instanceof Promise ? await world : world), ...known };
    return success(route.operation.output, await route.operation.run(input, context));
  }

  #answerSts(request: AwsRequest, trace: Trace): Outcome {
    trace.service = STS_SIGNING_NAME;
    const action = actionOf(request.body);
    if (action === "GetCallerIdentity") trace.operation = action;
    try {
      const caller = this.#authenticate(request, STS_SIGNING_NAME, STS_GLOBAL_REGION);
      trace.principal = caller.arn;
      const answer = answerSts(action, caller, request.requestId);
      return { answer, code: answer.status === 200 ? "OK" : "NotImplemented", ...trace };
    } catch (error) {
      const refused = error instanceof AwsError ? error : new AwsError("InternalFailure", INTERNAL_SENTENCE);
      return { answer: stsFailure(refused, request.requestId), code: codeOf(error), ...trace };
    }
  }

  #authenticate(request: AwsRequest, service: string, globalRegion?: string): Caller {
    if (this.#options.auth === "any" && request.hostAllowed)
      return {
        account: this.#options.account,
        arn: this.#root,
        accessKeyId: namedAccessKey(request.headers),
        region: this.#namedRegion(request.headers),
      };
    try {
      return this.#verifier.verify(request, service, globalRegion);
    } catch (error) {
      throw request.hostAllowed ? error : HOST_REFUSED;
    }
  }

  /** The Region a request names in a signature that nobody checks. */
  #namedRegion(headers: ReadonlyMap<string, string>): string {
    const { region, regions } = this.#options;
    const named = /Credential=[^/,]*\/\d{8}\/([a-z0-9-]+)\//.exec(headers.get("authorization") ?? "")?.[1];
    return named !== undefined && regions.has(named) ? named : region;
  }

  /** An AwsError as it is; anything else is logged with its stack and becomes the service's internal error. */
  #known(error: unknown, route: Route, requestId: string): AwsError {
    if (error instanceof AwsError) {
      // The client gets a fixed sentence; what the token or a dependency said is in the log only.
      if (error.status >= 500)
        this.#options.log.warn(
          { requestId, operation: route.name, code: error.code, reason: reason(error.cause ?? error) },
          "an operation failed for a reason of ours",
        );
      return error;
    }
    const stack = error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {};
    this.#options.log.error(
      { requestId, operation: route.name, reason: reason(error), ...stack },
      "an operation failed with an unexpected error",
    );
    return new AwsError(route.service.internalError, INTERNAL_SENTENCE, { cause: error });
  }
}
