/** A listening front over a small fake service, and raw sockets to talk to it. */
import { once } from "node:events";
import { createConnection, type AddressInfo } from "node:net";
import { AwsError } from "../../src/core/errors.ts";
import { silent } from "../../src/core/logger.ts";
import { operation, type Operation, type Request, type Service } from "../../src/core/operation.ts";
import { blob, integer, list, map, optional, string, structure } from "../../src/core/shape.ts";
import type { FrontOptions, Observation } from "../../src/front/options.ts";
import { createFront } from "../../src/front/server.ts";

export const REGION = "us-east-1";
const ACCOUNT = "000000000000";
export const CREDENTIALS = { accessKeyId: "test", secretAccessKey: "test" };

interface Greeting {
  readonly greeting: string;
}

const keyId = string({ min: 1, max: 2048 });

/** What each operation does is in its name or its `KeyId`. */
const trent: Service<Greeting> = {
  DescribeKey: operation({}, { KeyId: keyId }, ({ KeyId }, { caller, greeting }) =>
    Promise.resolve({ KeyMetadata: { KeyId, Arn: caller.arn, Description: greeting, Nothing: undefined } }),
  ),
  Encrypt: operation({}, { KeyId: keyId, Plaintext: blob({ min: 1, max: 8, sensitive: true }) }, (input) =>
    Promise.resolve({ KeyId: input.KeyId, CiphertextBlob: input.Plaintext }),
  ),
  ListKeys: operation(
    {},
    {
      Limit: optional(integer({ min: 1, max: 1000 })),
      Names: optional(list(string())),
      Context: optional(map(string(), string())),
      Inner: optional(structure({ Name: string() })),
    },
    (input, { caller }: Greeting & Request) =>
      Promise.resolve({
        Keys: [{ Bytes: Buffer.from("hi") }],
        Map: input.Context,
        AccessKey: caller.accessKeyId,
      }),
  ),
  EnableKey: operation({ output: "none" }, { KeyId: keyId }, () => Promise.resolve(undefined)),
  ConnectCustomKeyStore: operation({}, {}, () => Promise.resolve(undefined)),
  Decrypt: operation({}, { KeyId: keyId }, ({ KeyId }) => {
    if (KeyId === "crash") throw new TypeError("/secret/path: SELECT * FROM keys");
    throw KeyId === "empty" ? new AwsError("InvalidCiphertextException") : new AwsError(KeyId, "the text");
  }),
};

const baldr: Service<Greeting> = {
  DeleteCluster: operation({}, { ClusterId: keyId }, ({ ClusterId }) => {
    if (ClusterId === "crash") throw new Error("boom");
    throw new AwsError(ClusterId, "the text");
  }),
};

function table(service: Service<Greeting>): ReadonlyMap<string, Operation<unknown>> {
  return new Map(Object.entries(service));
}

export interface Running extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly observed: Observation[];
}

/** Start a front on a free loopback port; `await using` closes it. */
export async function startFront(options: Partial<FrontOptions> = {}): Promise<Running> {
  const observed: Observation[] = [];
  const front = createFront({
    region: REGION,
    regions: new Set([REGION]),
    account: ACCOUNT,
    auth: "any",
    credentials: new Map([
      [
        CREDENTIALS.accessKeyId,
        { secretAccessKey: "test", account: ACCOUNT, arn: `arn:aws:iam::${ACCOUNT}:user/test` },
      ],
    ]),
    allowedHosts: [],
    services: [
      {
        targetPrefix: "TrentService",
        signingName: "kms",
        messageMember: "message",
        table: table(trent),
        context: () => ({ greeting: "hello" }),
        internalError: "KMSInternalException",
      },
      {
        targetPrefix: "BaldrApiService",
        signingName: "cloudhsm",
        messageMember: "Message",
        table: table(baldr),
        context: () => ({ greeting: "hello" }),
        internalError: "CloudHsmInternalFailureException",
      },
    ],
    management: (_request, response) => response.end("management"),
    observe: (event) => observed.push(event),
    log: silent,
    ...options,
  });
  front.listen(0, "127.0.0.1");
  await once(front, "listening");
  const { port } = front.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    observed,
    async [Symbol.asyncDispose]() {
      front.close();
      front.closeAllConnections();
      await once(front, "close");
    },
  };
}

/** Send bytes as they are and collect all that comes back until the server closes the connection. */
export async function raw(port: number, bytes: string | Buffer): Promise<string> {
  const socket = createConnection(port, "127.0.0.1");
  const received: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => received.push(chunk));
  socket.on("error", () => undefined);
  socket.write(bytes);
  await once(socket, "close");
  return Buffer.concat(received).toString("latin1");
}

/** The status code of a raw answer, 0 when the connection was cut without one. */
export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
}

/** POST `body` as AWS JSON 1.1 without a signature. */
export function call(
  server: Running,
  target: string,
  body: unknown,
  headers: object = {},
): Promise<Response> {
  return fetch(server.url, {
    method: "POST",
    headers: { "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target, ...headers },
    body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}
