/** The management API as a client sees it: JSON in, JSON out, one sentence when it does not work. */
import { readFileSync } from "node:fs";
import { reason, Refusal } from "../core/errors.ts";
import type { ManagementError } from "../manage/wire.ts";
import { SELF } from "./self.ts";

export const DEFAULT_ENDPOINT = "http://127.0.0.1:4599";

const ENVIRONMENT = 3;

export class ManagementClient {
  readonly endpoint: string;
  readonly #token: string | undefined;
  readonly #base: string;

  /**
   * @param token for servers that are not bound to a loopback address
   * @param world `account/region`; the server's configured one when absent
   */
  constructor(endpoint: string, token?: string, world?: string) {
    this.endpoint = endpoint.replace(/\/+$/, "");
    this.#token = token;
    this.#base = `${this.endpoint}/_keystead/${world === undefined ? "" : `worlds/${world}/`}`;
  }

  /** The answer of `GET /_keystead/<path>`; the caller names its shape (src/manage/wire.ts). */
  get<T>(path: string): Promise<T> {
    return this.#call<T>("GET", path);
  }
  post<T>(path: string, body: object = {}): Promise<T> {
    return this.#call<T>("POST", path, body);
  }
  put<T>(path: string, body: object): Promise<T> {
    return this.#call<T>("PUT", path, body);
  }
  delete<T>(path: string): Promise<T> {
    return this.#call<T>("DELETE", path);
  }

  async #call<T>(method: string, path: string, body?: object): Promise<T> {
    const response = await this.#send(method, path, body);
    const answer: unknown = await response.json().catch(() => undefined);
    // Readiness answers 503 with its reasons; they are the answer, not an error.
    if (response.ok || (path === "ready" && response.status === 503)) return answer as T;
    const { error, code } = (answer ?? {}) as Partial<ManagementError>;
    const sentence = error ?? `${this.endpoint} answered ${response.status}; is it a keystead server?`;
    throw new Refusal(code === undefined ? sentence : `${code}: ${sentence}`);
  }

  async #send(method: string, path: string, body?: object): Promise<Response> {
    const headers: Record<string, string> = {};
    if (this.#token !== undefined) headers["Authorization"] = `Bearer ${this.#token}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const init = body === undefined ? { method, headers } : { method, headers, body: JSON.stringify(body) };
    try {
      return await fetch(`${this.#base}${path}`, init);
    } catch (error) {
      throw new Refusal(
        `No keystead server answers at ${this.endpoint}; start one with "make run" or "${SELF} dev", or name yours with --endpoint.`,
        ENVIRONMENT,
        { cause: error },
      );
    }
  }
}

/** The management token from its file or the environment. @throws Refusal for a file that cannot be read */
export function managementToken(file: string | undefined, env: NodeJS.ProcessEnv): string | undefined {
  if (file === undefined) return env["KEYSTEAD_MANAGEMENT_TOKEN"];
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new Refusal(
      `The token file cannot be read (${reason(error)}); name the file the server printed.`,
      3,
      {
        cause: error,
      },
    );
  }
}
