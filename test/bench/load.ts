/** A keep-alive HTTP load of a fixed number of requests over a fixed number of connections. */
import { Agent, request } from "node:http";

export interface Load {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  readonly requests: number;
}

function send(agent: Agent, load: Load): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request(load.url, { method: "POST", agent, headers: load.headers }, (response) => {
      response.resume();
      response.on("end", () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)),
      );
    });
    call.on("error", reject);
    call.end(load.body);
  });
}

/** @returns requests per second */
export async function run(load: Load): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: load.connections });
  let left = load.requests;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await send(agent, load);
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: load.connections }, one));
  const seconds = (performance.now() - started) / 1000;
  agent.destroy();
  return load.requests / seconds;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
