/**
 * The management API of each world: `/_keystead/…` is the home world's,
 * `/_keystead/worlds/<account>/<region>/…` the same paths of another one.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { AwsError } from "../core/errors.ts";
import { REGIONS } from "../core/regions.ts";
import { createManagement } from "./app.ts";
import type { ManageServices } from "./services.ts";

interface Worlds<W> {
  readonly home: W;
  of(name: { readonly account: string; readonly region: string }): W | Promise<W>;
}

const OTHER_WORLD = /^\/_keystead\/worlds\/(\d{12})\/([a-z0-9-]+)(\/.*)$/;

/** @param servicesOf what the management API works on in a world */
export function managementOf<W extends object>(
  worlds: Worlds<W>,
  servicesOf: (world: W) => ManageServices,
): (request: IncomingMessage, response: ServerResponse) => void {
  const apps = new WeakMap<W, ReturnType<typeof createManagement>>();
  const enter = (world: W, request: IncomingMessage, response: ServerResponse): void => {
    const app = apps.get(world) ?? createManagement(servicesOf(world));
    apps.set(world, app);
    app(request, response);
  };
  return (request, response) => {
    const [, account, region, rest] = OTHER_WORLD.exec(request.url ?? "") ?? [];
    if (account === undefined || region === undefined || rest === undefined || !REGIONS.has(region)) {
      enter(worlds.home, request, response);
      return;
    }
    request.url = `/_keystead${rest}`;
    Promise.resolve()
      .then(() => worlds.of({ account, region }))
      .then(
        (world) => enter(world, request, response),
        (error: unknown) => {
          const known = error instanceof AwsError;
          response.writeHead(known ? error.status : 500, { "content-type": "application/json" });
          response.end(
            JSON.stringify({ error: known ? error.message : "That account or Region could not be opened." }),
          );
        },
      );
  };
}
