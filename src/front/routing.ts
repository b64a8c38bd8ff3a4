/**
 * Which operation a request asks for: by content type and X-Amz-Target, looked up in a
 * Map so that `constructor` is no operation (reliability T18). A browser cannot send the
 * accepted content types to another origin without a preflight, which is never answered (T4).
 */
import type { Operation } from "../core/operation.ts";
import type { FrontService } from "./options.ts";

const UTF8_PARAMETER = String.raw`(?:\s*;\s*charset\s*=\s*(?:utf-8|"utf-8")\s*)?;?\s*$`;
const JSON_BODY = new RegExp(String.raw`^application/(?:x-amz-json-1\.1|json)${UTF8_PARAMETER}`, "i");
const FORM_BODY = new RegExp(String.raw`^application/x-www-form-urlencoded${UTF8_PARAMETER}`, "i");

/** "json" for KMS and CloudHSM, "form" for STS, undefined for what AWS answers with 404. */
export function protocolOf(contentType: string | undefined): "json" | "form" | undefined {
  if (contentType === undefined) return undefined;
  if (JSON_BODY.test(contentType)) return "json";
  return FORM_BODY.test(contentType) ? "form" : undefined;
}

/** An operation with its name and the service it belongs to. */
export interface Route {
  readonly service: FrontService;
  readonly name: string;
  readonly operation: Operation<unknown>;
}

/** All operations by their whole X-Amz-Target, for example `TrentService.Encrypt`. */
export function routes(services: readonly FrontService[]): ReadonlyMap<string, Route> {
  const table = new Map<string, Route>();
  for (const service of services)
    for (const [name, operation] of service.table)
      table.set(`${service.targetPrefix}.${name}`, { service, name, operation });
  return table;
}

/** True for the paths of the management API, the console and LocalStack's health path. */
export function isManagement(path: string): boolean {
  return /^\/(?:_keystead|console)(?:\/|$)/.test(path) || path === "/_localstack/health";
}
