/**
 * Who may use the management API. A browser page of another origin never may (its Origin
 * header gives it away, and we send no CORS headers); on a non-loopback bind every call
 * but health and ready must carry the management token. Host names are checked by the
 * front, before a request comes here.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Request, RequestHandler } from "express";
import { HttpRefusal } from "./errors.ts";

export function refuseForeignOrigin(): RequestHandler {
  return (request, _response, next) => {
    const { origin, host } = request.headers;
    if (origin !== undefined && !sameOrigin(origin, host ?? ""))
      throw new HttpRefusal(403, `A page of ${origin} may not use this server's management API.`);
    next();
  };
}

function sameOrigin(origin: string, host: string): boolean {
  // "null" is what sandboxed and local pages send; it parses as no URL and is foreign.
  return URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

/** No token is asked for, or the request carries it. */
export function isTrusted({ headers }: Request, token: string | undefined): boolean {
  return token === undefined || carries(headers.authorization, token);
}

export function requireToken(token: string | undefined): RequestHandler {
  return (request, response, next) => {
    if (isTrusted(request, token)) return next();
    response.setHeader("WWW-Authenticate", 'Bearer realm="keystead"');
    throw new HttpRefusal(
      401,
      "This call needs the management token; set KEYSTEAD_MANAGEMENT_TOKEN or pass --token-file with the file the server named at its start.",
    );
  };
}

function carries(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer (\S+)$/i.exec(authorization ?? "")?.[1];
  // Digests are equally long whatever was sent, which timingSafeEqual demands.
  return given !== undefined && timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
