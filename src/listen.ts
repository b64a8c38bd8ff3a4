/** Opening and closing the one port, with a sentence for each way that fails. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Config } from "./config.ts";
import { Refusal } from "./core/errors.ts";

/** How long requests that were admitted may take to finish at the end, so that all of it takes less than 10 s. */
const DRAIN_MS = 8_000;
const IDLE_CHECK_MS = 50;

/** @returns the endpoint, `http://host:port` @throws Refusal exit 3 */
export function listen(front: Server, { host, port }: Config): Promise<string> {
  return new Promise((resolve, reject) => {
    front.once("error", (error: NodeJS.ErrnoException) => {
      const sentence: Readonly<Record<string, string>> = {
        EADDRINUSE: `Port ${port} is in use; stop what listens there or choose another with --port (0 picks a free one).`,
        EACCES: `Port ${port} needs more rights than this user has; choose another with --port.`,
        EADDRNOTAVAIL: `This machine has no address ${host}; check --host.`,
      };
      reject(
        new Refusal(sentence[error.code ?? ""] ?? `Cannot listen on ${host}:${port}: ${error.message}`, 3),
      );
    });
    front.listen(port, host, () => {
      const { port: chosen } = front.address() as AddressInfo;
      const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
      resolve(`http://${shown.includes(":") ? `[${shown}]` : shown}:${chosen}`);
    });
  });
}

/** Answer what was admitted, take nothing new. */
export async function drain(front: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => front.close(() => resolve()));
  front.closeIdleConnections();
  // A connection whose last request was in flight becomes idle later, and clients keep theirs open.
  const idle = setInterval(() => front.closeIdleConnections(), IDLE_CHECK_MS);
  const forced = setTimeout(() => front.closeAllConnections(), DRAIN_MS);
  await closed;
  clearInterval(idle);
  clearTimeout(forced);
}
