/**
 * Answers: what an operation returned, or threw, as AWS puts it on the wire
 * (reference: wire-protocol §2, §4.1). What is not an AwsError becomes a fixed sentence;
 * its stack belongs in the log only (reliability T24).
 */
import type { AwsError } from "../core/errors.ts";
import type { FrontService } from "./options.ts";

const JSON_TYPE = "application/x-amz-json-1.1";

/** A complete answer; the request id is added when it is sent. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** The sentence of the API models for an internal exception. */
export const INTERNAL_SENTENCE =
  "The request was rejected because an internal exception occurred. The request can be retried.";

/** Errors of the framework in front of the services; they spell `message` in lower case in both. */
const FRAMEWORK_ERRORS: ReadonlySet<string> = new Set([
  "ValidationException",
  "SerializationException",
  "UnknownOperationException",
  "InvalidSignatureException",
  "IncompleteSignatureException",
  "MissingAuthenticationTokenException",
  "UnrecognizedClientException",
  "ExpiredTokenException",
  "ThrottlingException",
  "MalformedHttpRequestException",
  "RequestEntityTooLargeException",
  "InternalFailure",
  "ServiceUnavailable",
]);

/** An output value as JSON.stringify should see it: bytes as base64, maps as objects, absent members left out. */
function wire(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  if (Array.isArray(value)) return value.map(wire);
  const entries = value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value);
  return Object.fromEntries(
    entries
      .filter(([, item]) => item !== undefined && item !== null)
      .map(([name, item]) => [name, wire(item)]),
  );
}

/** 200 with the operation's output; without an output shape the body is empty. */
export function success(kind: "none" | "structure", output: object | undefined): Answer {
  const body = kind === "none" ? "" : JSON.stringify(wire(output ?? {}));
  return { status: 200, contentType: JSON_TYPE, body };
}

function memberFor(code: string, service: FrontService | undefined): "message" | "Message" {
  if (code === "AccessDeniedException") return "Message";
  return service === undefined || FRAMEWORK_ERRORS.has(code) ? "message" : service.messageMember;
}

/** `{"__type", "message"}`; no message member at all when the error has no text. */
export function failure(error: AwsError, service?: FrontService, status = error.status): Answer {
  const body =
    error.message === ""
      ? { __type: error.code }
      : { __type: error.code, [memberFor(error.code, service)]: error.message };
  return { status, contentType: JSON_TYPE, body: JSON.stringify(body) };
}

/** What AWS answers to a content type that no protocol of its has. */
export const UNKNOWN_PROTOCOL: Answer = {
  status: 404,
  contentType: "application/xml",
  body: "<UnknownOperationException/>\n",
};
