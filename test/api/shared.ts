/** One server with a connected key store for all tests of a file, which may restart it. */
import { beforeAll } from "vitest";
import { connectedStore, startKeystead, type Keystead } from "./harness.ts";

export interface SharedStore {
  readonly keystead: Keystead;
  readonly storeId: string;
  readonly keyArn: string;
  /** Stop the server and start it again on its data directory. */
  restart(): Promise<void>;
}

/** Made before the file's first test, gone after its last. */
export function sharedStore(): SharedStore {
  let keystead: Keystead | undefined;
  let store = { storeId: "", keyArn: "" };
  beforeAll(async () => {
    const ends: (() => Promise<void> | void)[] = [];
    keystead = await startKeystead({}, (end) => ends.push(end));
    store = await connectedStore(keystead);
    return async () => {
      await keystead?.server.close();
      for (const end of ends.toReversed()) await end();
    };
  }, 30_000);
  const current = (): Keystead => {
    if (keystead === undefined) throw new Error("the server has not started");
    return keystead;
  };
  return {
    get keystead() {
      return current();
    },
    get storeId() {
      return store.storeId;
    },
    get keyArn() {
      return store.keyArn;
    },
    restart: async () => {
      const { server, directory } = current();
      await server.close();
      keystead = await startKeystead({ dataDir: directory }, () => undefined);
    },
  };
}
