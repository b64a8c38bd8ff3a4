/**
 * The HTTP listener of keystead: AWS JSON 1.1 on node:http, because an Express handler
 * answers about a third of the requests per second (architecture, *Hot path*). It screens
 * every request (one Host, a path as target, the allow-list, the body cap), hands the
 * management paths to Express and everything else to the pipeline.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { AwsError, reason } from "../core/errors.ts";
import { failure, UNKNOWN_PROTOCOL, type Answer } from "./answer.ts";
import { readBody } from "./body.ts";
import { headerMap } from "./canonical.ts";
import { hostAllowList } from "./hosts.ts";
import type { FrontOptions, Limits } from "./options.ts";
import { Pipeline, REFUSED_HOST } from "./pipeline.ts";
import { isManagement } from "./routing.ts";

const LIMITS: Limits = {
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 1_000,
  // Longer than the keep-alive of the AWS SDKs, so that it is the client that lets go first.
  keepAliveTimeout: 65_000,
  maxHeaderSize: 16 * 1024,
  maxBodySize: 1024 * 1024,
  lingerTimeout: 1_000,
  maxConnections: 0,
};

const GREETING: Answer = {
  status: 404,
  contentType: "text/plain; charset=utf-8",
  body: "keystead answers AWS KMS and AWS CloudHSM requests here (POST / with X-Amz-Target).\nIts health: /_keystead/health\n",
};

const TOO_LARGE = failure(
  new AwsError("RequestEntityTooLargeException", "The request body is larger than keystead accepts."),
  undefined,
  413,
);

function malformed(text: string): Answer {
  return failure(new AwsError("MalformedHttpRequestException", text));
}

/** Everything `handle` needs besides the request. */
interface Front {
  readonly options: FrontOptions;
  readonly limits: Limits;
  readonly pipeline: Pipeline;
  readonly isAllowedHost: (header: string) => boolean;
}

function writeHead(
  response: ServerResponse,
  answer: Answer,
  id: string,
  connection: readonly string[] = [],
): void {
  const length = String(Buffer.byteLength(answer.body));
  const head = ["x-amzn-RequestId", id, "Content-Type", answer.contentType, "Content-Length", length];
  response.writeHead(answer.status, [...head, ...connection]);
}

/** Send a refusal while the body may still be coming: closing at once would make the client's kernel drop the answer. */
function refuse(
  front: Front,
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  id: string,
): void {
  writeHead(response, answer, id, ["Connection", "close"]);
  response.write(answer.body);
  const timer = setTimeout(() => request.socket.destroy(), front.limits.lingerTimeout);
  request.once("end", () => response.end());
  request.once("close", () => clearTimeout(timer));
  request.resume();
}

/** Why a request is refused for its outer form; Node itself accepts two Hosts and absolute-form targets (T3). */
function misshapen(request: IncomingMessage): Answer | undefined {
  const hosts = request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === "host");
  if (hosts.length !== 1) return malformed("A request must have exactly one Host header.");
  if (request.url?.startsWith("/") !== true) return malformed("The request target must be a path.");
  return undefined;
}

/** An IPv4 client of a dual-stack listener comes as `::ffff:192.0.2.1`. */
function addressOf({ socket }: IncomingMessage): string {
  return (socket.remoteAddress ?? "").replace(/^::ffff:(?=\d+\.)/, "");
}

async function answerAws(
  front: Front,
  request: IncomingMessage,
  response: ServerResponse,
  id: string,
): Promise<void> {
  const started = performance.now();
  const body = await readBody(request, front.limits.maxBodySize);
  if (body === undefined) {
    refuse(front, request, response, TOO_LARGE, id);
    return;
  }
  const { answer, ...seen } = await front.pipeline.answer({
    method: "POST",
    target: request.url ?? "/",
    headers: headerMap(request.rawHeaders),
    body,
    requestId: id,
    sourceIp: addressOf(request),
    hostAllowed: front.isAllowedHost(request.headers.host ?? ""),
  });
  writeHead(response, answer, id);
  response.end(answer.body);
  const seconds = (performance.now() - started) / 1000;
  front.options.observe({ ...seen, status: answer.status, seconds, requestId: id });
}

/** What is answered without looking at a body; undefined for an AWS request that may go on. */
function screen(front: Front, request: IncomingMessage, path: string): Answer | undefined {
  const refused = misshapen(request);
  if (refused !== undefined) return refused;
  const isAws = request.method === "POST" && path === "/";
  const mayBeSigned = isAws && request.headers.authorization !== undefined;
  if (!mayBeSigned && !front.isAllowedHost(request.headers.host ?? "")) return REFUSED_HOST;
  if (isAws || isManagement(path)) return undefined;
  return path === "/" && (request.method === "GET" || request.method === "HEAD")
    ? GREETING
    : UNKNOWN_PROTOCOL;
}

function isOversized(front: Front, request: IncomingMessage): boolean {
  return Number(request.headers["content-length"] ?? 0) > front.limits.maxBodySize;
}

async function handle(front: Front, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const id = randomUUID();
  const path = request.url?.split("?", 1)[0] ?? "";
  const refused = isOversized(front, request) ? TOO_LARGE : screen(front, request, path);
  if (refused !== undefined) refuse(front, request, response, refused, id);
  else if (isManagement(path)) front.options.management(request, response.setHeader("x-amzn-RequestId", id));
  else await answerAws(front, request, response, id);
}

/** The server of keystead's one port, not yet listening. */
export function createFront(options: FrontOptions): Server {
  const limits: Limits = { ...LIMITS, ...options.limits };
  const front: Front = {
    options,
    limits,
    pipeline: new Pipeline(options),
    isAllowedHost: hostAllowList(options.allowedHosts),
  };
  const take = (request: IncomingMessage, response: ServerResponse): void => {
    handle(front, request, response).catch((error: unknown) => {
      options.log.debug({ reason: reason(error) }, "a request ended before its answer");
      request.socket.destroy();
    });
  };
  // The missing Host is refused here, with a request id, instead of by Node.
  const { headersTimeout, requestTimeout, connectionsCheckingInterval, keepAliveTimeout, maxHeaderSize } =
    limits;
  const server = createServer(
    {
      headersTimeout,
      requestTimeout,
      connectionsCheckingInterval,
      keepAliveTimeout,
      maxHeaderSize,
      requireHostHeader: false,
    },
    take,
  );
  if (limits.maxConnections > 0) server.maxConnections = limits.maxConnections;
  // With end() alone, thousands of slow sockets were still open after 40 s (reliability T20).
  server.on("clientError", (_error, socket) => socket.destroy());
  // "Expect: 100-continue": a body that is too large is never asked for.
  server.on("checkContinue", (request, response) => {
    if (!isOversized(front, request)) response.writeContinue();
    take(request, response);
  });
  server.on("upgrade", (_request, socket) => socket.destroy());
  server.on("connect", (_request, socket) => socket.destroy());
  return server;
}
