/** PIN changes that are not proven yet: the side copy keeps the header from before, across a restart too. */
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ClusterToken } from "../../src/hsm/cluster-token.ts";
import { Pkcs11Error } from "../../src/hsm/errors.ts";
import type { Role } from "../../src/hsm/manage.ts";
import type { Spares } from "../../src/hsm/spares.ts";
import { Tokens, warmSpares } from "../../src/hsm/tokens.ts";
import { CLUSTER, MODULE, SO_PIN, USER_PIN, headerPath, kindOf, makeToken, sideCopyPath } from "./harness.ts";

const NEXT = "another1234";

let directory: string;
let spares: Spares;
let token: ClusterToken;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "keystead-test-"));
  spares = warmSpares({ modulePath: MODULE, backend: "native" });
  token = await makeToken(restarted());
});
afterEach(async () => {
  vi.restoreAllMocks();
  await spares.close();
  rmSync(directory, { recursive: true, force: true });
});

/** The tokens as a server that was started anew has them. */
function restarted(): Tokens {
  return new Tokens({ directory, modulePath: MODULE, backend: "native", spares });
}

function marked(role: Role): boolean {
  return existsSync(join(token.directory, `pin-change.${role}`));
}

/** True when the side copy is the header as it is now. */
function fresh(): boolean {
  return readFileSync(sideCopyPath(token)).equals(readFileSync(headerPath(token)));
}

/** Let the login that would prove a change fail; the one before it has its worker. */
async function unproven(change: () => Promise<void>): Promise<void> {
  const take = spares.take.bind(spares);
  const spy = vi
    .spyOn(spares, "take")
    .mockImplementationOnce(take)
    .mockRejectedValueOnce(new Pkcs11Error("start", 0, "no worker"));
  expect(await kindOf(change())).toBe("start");
  expect(spy).toHaveBeenCalledTimes(2);
  spy.mockRestore();
}

async function served(pins: readonly string[]): Promise<string> {
  const { worker, accepted } = await token.serve(pins);
  await worker.close();
  return accepted;
}

async function rotate(): Promise<void> {
  const attempt = await token.beginLogin(new AbortController().signal);
  const nothing = (): Promise<void> => Promise.resolve();
  try {
    const accepted = await attempt.login([USER_PIN]);
    await (await attempt.rotate(accepted, NEXT, { pending: nothing, commit: nothing })).close();
  } finally {
    await attempt.end();
  }
}

test.each([
  ["changePin", () => token.changePin("user", USER_PIN, NEXT)],
  ["initUserPin", () => token.initUserPin(SO_PIN, NEXT)],
  ["a rotation", rotate],
])(
  "%s: a login of the other role proves nothing, nor does a restart; one of the same role does",
  async (_name, change) => {
    await unproven(change);
    const copy = readFileSync(sideCopyPath(token));
    for (const again of [token, restarted().of(CLUSTER)]) {
      token = again;
      await token.verify("so", SO_PIN);
      expect(await kindOf(token.verify("user", "wrongWrong"))).toBe("token");
      expect([marked("user"), fresh()]).toEqual([true, false]);
      expect(readFileSync(sideCopyPath(token))).toEqual(copy);
    }
    // As a connect tries them: the pending password, then the current one.
    expect(await served([NEXT, USER_PIN])).toBe(NEXT);
    expect([marked("user"), fresh()]).toEqual([false, true]);
  },
);

test("an unproven header that is torn goes back to the one before, which the current PIN opens", async () => {
  await unproven(() => token.changePin("user", USER_PIN, NEXT));
  token = restarted().of(CLUSTER);
  truncateSync(headerPath(token), 0);
  expect(await served([NEXT, USER_PIN])).toBe(USER_PIN);
  expect([marked("user"), fresh()]).toEqual([false, true]);
});

test("the copy is refreshed when both roles are proven", async () => {
  await unproven(() => token.changePin("user", USER_PIN, NEXT));
  await unproven(() => token.changePin("so", SO_PIN, "An0therAdmin"));
  expect([marked("so"), marked("user"), fresh()]).toEqual([true, true, false]);
  await token.verify("so", "An0therAdmin");
  expect([marked("so"), marked("user"), fresh()]).toEqual([false, true, false]);
  await token.verify("user", NEXT);
  expect([marked("so"), marked("user"), fresh()]).toEqual([false, false, true]);
});

test("a change that is proven, or that the token refuses, leaves no mark", async () => {
  await token.changePin("user", USER_PIN, NEXT);
  expect([marked("user"), fresh()]).toEqual([false, true]);
  expect(await kindOf(token.changePin("user", NEXT, "x"))).toBe("token");
  expect(await kindOf(token.initUserPin(SO_PIN, "x"))).toBe("token");
  expect([marked("user"), fresh()]).toEqual([false, true]);
  await token.verify("user", NEXT);
});
