/** Errors of the management API: JSON with one sentence, and the AWS exception where one is behind it. */
import type { ErrorRequestHandler, Request, Response } from "express";
import type { z } from "zod";
import { AwsError, reason, Refusal } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";
import type { ManagementError } from "./wire.ts";

/** A Refusal with the HTTP status it stands for. */
export class HttpRefusal extends Refusal {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The body as the schema reads it. @throws HttpRefusal 400 naming the first member that is wrong */
export function readBody<S extends z.ZodType>(schema: S, request: Request): z.output<S> {
  // Express leaves the body undefined when the request has none; the schemas want an object.
  const result = schema.safeParse(request.body ?? {});
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const member = issue === undefined || issue.path.length === 0 ? "the body" : `"${issue.path.join(".")}"`;
  throw new HttpRefusal(400, `Send JSON in which ${member} is right: ${issue?.message ?? "it is not"}.`);
}

function awsStatus(error: AwsError): number {
  if (error.status >= 500) return error.status;
  if (/NotFound/.test(error.code)) return 404;
  return /InvalidState|InUse|NotActive/.test(error.code) ? 409 : 400;
}

/** Express's own errors (bad JSON, body too large) carry `status` and may be told to the client. */
function clientFault(error: unknown): { status: number; sentence: string } | undefined {
  if (!(error instanceof Error) || !("status" in error) || typeof error.status !== "number") return undefined;
  if (error.status === 413)
    return { status: 413, sentence: "The request body is larger than 64 KiB; send less." };
  if (error.status >= 500) return undefined;
  return { status: error.status, sentence: "The request body is not JSON; send an object." };
}

function describe(error: unknown): { status: number; body: ManagementError } | undefined {
  if (error instanceof HttpRefusal) return { status: error.status, body: { error: error.message } };
  if (error instanceof Refusal) return { status: 400, body: { error: error.message } };
  if (error instanceof AwsError)
    return { status: awsStatus(error), body: { error: reason(error), code: error.code } };
  const fault = clientFault(error);
  return fault === undefined ? undefined : { status: fault.status, body: { error: fault.sentence } };
}

/** Express recognises an error handler by its four parameters. */
export function errorHandler(log: Logger): ErrorRequestHandler {
  return (error: unknown, request: Request, response: Response, next): void => {
    if (response.headersSent) return next(error);
    const known = describe(error);
    if (known !== undefined) {
      response.status(known.status).json(known.body);
      return;
    }
    log.error(
      { operation: `${request.method} ${request.path}`, reason: reason(error) },
      "a management request failed unexpectedly",
    );
    response.status(500).json({ error: "The server failed unexpectedly; its log says why." });
  };
}
