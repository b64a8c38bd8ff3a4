/**
 * Worlds: what one account has in one Region. Each is a set of services with a database and
 * tokens of its own; nothing in it can see another. They share the process, the clock, the
 * warm HSM workers and the vault.
 *
 * The configured account and Region are the home world, whose state is the data directory
 * itself; any other world is made when a request first asks for it, below `worlds/`.
 */
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { AwsError } from "./core/errors.ts";

/** A world is a database and two descriptors; more than this is a mistake or a flood. */
const MOST_WORLDS = 100;
const NAME = /^(\d{12})-([a-z]{2}(?:-[a-z]+)+-\d)$/;

export interface WorldName {
  readonly account: string;
  readonly region: string;
}

export interface Worlds<W> {
  readonly home: W;
  /** The world of an account and Region, made when it is not there yet. */
  of(name: WorldName): W | Promise<W>;
  /** All worlds that are open. */
  all(): W[];
}

/** Open the home world and every other one that an earlier run made. */
export async function openWorlds<W>(
  directory: string,
  home: WorldName,
  open: (name: WorldName, directory: string) => Promise<W>,
): Promise<Worlds<W>> {
  const key = ({ account, region }: WorldName): string => `${account}-${region}`;
  const parent = join(directory, "worlds");
  const opened = new Map<string, W>();
  const opening = new Map<string, Promise<W>>();
  const enter = (name: WorldName): Promise<W> => {
    const place = join(parent, key(name));
    mkdirSync(place, { recursive: true, mode: 0o700 });
    const entering = open(name, place)
      .then((world) => {
        opened.set(key(name), world);
        return world;
      })
      .finally(() => opening.delete(key(name)));
    opening.set(key(name), entering);
    return entering;
  };
  const first = await open(home, directory);
  opened.set(key(home), first);
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    const [, account, region] = NAME.exec(name) ?? [];
    if (account !== undefined && region !== undefined) await enter({ account, region });
  }
  return {
    home: first,
    of: (name) => {
      const world = opened.get(key(name)) ?? opening.get(key(name));
      if (world !== undefined) return world;
      if (opened.size + opening.size >= MOST_WORLDS)
        throw new AwsError(
          "LimitExceededException",
          `keystead keeps at most ${MOST_WORLDS} accounts and Regions.`,
        );
      return enter(name);
    },
    all: () => [...opened.values()],
  };
}
