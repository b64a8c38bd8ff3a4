/** The operator's verbs over tokens in memory: users, lock-out, sessions, keys, and what a crash leaves. */
import { describe, expect, test } from "vitest";
import { CKR, Pkcs11Error } from "../../src/hsm/errors.ts";
import { findCluster } from "../../src/cloudhsm/clusters.ts";
import { adoptKmsuser, countFailedLogin, kmsuserStanding } from "../../src/cloudhsm/users.ts";
import { ADMIN, ADMIN_PASSWORD, bench, KMSUSER, KMSUSER_PASSWORD, type Bench } from "./harness.ts";

const asAdmin = { credentials: ADMIN };
const asKmsuser = { credentials: KMSUSER };
const kmsuser = { username: "kmsuser", role: "crypto-user" };
const done = (data: unknown) => ({ error_code: 0, data });
const refusal = (sentence: RegExp) => ({ error_code: 1, data: expect.stringMatching(sentence) });

async function readied(): Promise<{ b: Bench; id: string }> {
  const b = await bench();
  return { b, id: await b.ready() };
}
async function login(b: Bench, id: string, who: typeof ADMIN): Promise<{ session: string }> {
  const reply = await b.hsm(id, "login", who);
  expect(reply).toMatchObject(done({ username: who.username, role: who.role }));
  return { session: reply.session! };
}

describe("before there is anything to operate", () => {
  test.each([
    ["cluster-aaaaaaaaaaa", "user list", /does not exist/],
    ["cluster-aaaaaaaaaaa", "user make", /no command user make/],
    ["cluster-aaaaaaaaaaa", "constructor", /no command constructor/],
    ["cluster-aaaaaaaaaaa", "user change-mfa token-sign", /not supported by the simulator/],
    ["cluster-aaaaaaaaaaa", "quorum token-sign list", /not supported by the simulator/],
  ])("%s: %s", async (id, command, sentence) => {
    const b = await bench();
    expect(await b.hsm(id, command)).toEqual(refusal(sentence));
  });
});

test("an ACTIVE cluster: hsm-info and user list need no login", async () => {
  const { b, id } = await readied();
  expect(await b.hsm(id, "cluster hsm-info")).toMatchObject(
    done({ hsms: [{ "serial-number": expect.stringMatching(/^hsm-/) }] }),
  );
  const user = (username: string, role: string) => ({
    username,
    role,
    locked: "false",
    mfa: [],
    "cluster-coverage": "full",
  });
  expect(await b.hsm(id, "user list")).toEqual(
    done({
      users: [
        user("admin", "admin"),
        user("kmsuser", "crypto-user"),
        user("app_user", "internal(APPLIANCE_USER)"),
      ],
    }),
  );
  expect(await b.hsm(id, "cluster activate", { password: ADMIN_PASSWORD })).toEqual(
    refusal(/active already/),
  );
});

describe("users", () => {
  test.each([
    ["a colon", { username: "u", password: "pass:word1" }, /colon/],
    ["a short password", { username: "u", password: "short1" }, /7 to 32/],
    ["a long password", { username: "u", password: "x".repeat(33) }, /7 to 32/],
    ["a name of 32", { username: "u".repeat(32), password: "passw0rd" }, /1 to 31/],
    ["a hyphen", { username: "a-b", password: "passw0rd" }, /letters, digits or underscores/],
    ["a taken name in capitals", { username: "KMSUSER", password: "passw0rd" }, /a user kmsuser already/],
    ["app_user", { username: "app_user", password: "passw0rd" }, /already/],
    ["another role", { username: "u", password: "passw0rd", role: "root" }, /not one of admin, crypto-user/],
    ["no name", { password: "passw0rd" }, /--username is required/],
    ["no password", { username: "u" }, /--password is required/],
  ])("user create refuses %s", async (_name, args, sentence) => {
    const { b, id } = await readied();
    expect(await b.hsm(id, "user create", { role: "crypto-user", ...args }, asAdmin)).toEqual(
      refusal(sentence),
    );
  });

  test("kmsuser's password is alphanumeric", async () => {
    const { b, id } = await readied();
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "pass_word" }, asAdmin)).toEqual(
      refusal(/letters and digits/),
    );
  });

  test.each([
    ["user create", { username: "u", role: "crypto-user", password: "passw0rd" }],
    ["user delete", kmsuser],
  ])("%s is for admins", async (command, args) => {
    const { b, id } = await readied();
    expect(await b.hsm(id, command, args)).toEqual(refusal(/Nobody is logged in/));
    expect(await b.hsm(id, command, args, asKmsuser)).toEqual(refusal(/role admin/));
  });

  test("other users are records with a hash: created, used, changed by themselves, deleted", async () => {
    const { b, id } = await readied();
    const ops = { username: "Ops_1", role: "admin", password: "passw0rd!" };
    expect(await b.hsm(id, "user create", ops, asAdmin)).toEqual(done({ username: "ops_1", role: "admin" }));
    const row = await b.cloudhsm.store.db
      .selectFrom("hsm_users")
      .selectAll()
      .where("Username", "=", "ops_1")
      .executeTakeFirst();
    expect(row?.PasswordHash).toMatch(/^scrypt:/);
    expect(row?.PasswordHash).not.toContain(ops.password);
    expect(
      await b.hsm(id, "user change-password", { ...ops, password: "other!!!" }, { credentials: ops }),
    ).toMatchObject({ error_code: 0 });
    expect(await b.hsm(id, "key list", {}, { credentials: ops })).toEqual(
      refusal(/password of ops_1 is not correct/),
    );
    // A record-only admin works with the sealed SO PIN.
    const changed = { credentials: { ...ops, password: "other!!!" } };
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, changed)).toEqual(
      done(kmsuser),
    );
    expect(b.tokens.of(id).pins.get("user")).toBe("newpass1");
    expect(await b.hsm(id, "user delete", ops, changed)).toEqual(refusal(/cannot delete themselves/));
    expect(await b.hsm(id, "user delete", ops, asAdmin)).toEqual(done({ username: "ops_1", role: "admin" }));
    expect(await b.hsm(id, "login", ops)).toEqual(refusal(/no user ops_1/));
  });

  test("a crypto user changes only its own password, and owns no keys of the token", async () => {
    const { b, id } = await readied();
    const cu = { username: "cu", role: "crypto-user", password: "passw0rd" };
    await b.hsm(id, "user create", cu, asAdmin);
    const as = { credentials: cu };
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, as)).toEqual(
      refusal(/Only an admin/),
    );
    expect(await b.hsm(id, "key list", {}, as)).toEqual(
      done({ matched_keys: [], total_key_count: 0, returned_key_count: 0 }),
    );
  });

  test("the admin changes its own password by C_SetPIN; the old one is refused", async () => {
    const { b, id } = await readied();
    const args = { username: "admin", role: "admin", password: "N3wAdmin" };
    expect(await b.hsm(id, "user change-password", args, asAdmin)).toEqual(
      done({ username: "admin", role: "admin" }),
    );
    expect(b.tokens.of(id).pins.get("so")).toBe("N3wAdmin");
    expect(await b.hsm(id, "login", ADMIN)).toEqual(refusal(/not correct/));
    await login(b, id, { ...ADMIN, password: "N3wAdmin" });
    expect(
      await b.hsm(
        id,
        "user delete",
        { username: "admin", role: "admin" },
        { credentials: { ...ADMIN, password: "N3wAdmin" } },
      ),
    ).toEqual(refusal(/logged in|security officer/));
  });

  test("kmsuser: own change by C_SetPIN, deletion as a record with a random PIN, creation anew", async () => {
    const { b, id } = await readied();
    const token = b.tokens.of(id);
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "0wnchange" }, asKmsuser)).toEqual(
      done(kmsuser),
    );
    expect(token.pins.get("user")).toBe("0wnchange");
    b.register.push({ id: "a".repeat(64), label: "arn" });
    expect(await b.hsm(id, "user delete", kmsuser, asAdmin)).toEqual(refusal(/owns 1 key/));
    b.register.length = 0;
    expect(await b.hsm(id, "user delete", kmsuser, asAdmin)).toEqual(done(kmsuser));
    expect(token.pins.get("user")).toMatch(/^[A-Za-z0-9]{32}$/);
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ record: "deleted" });
    expect((await b.hsm(id, "user list")).data.users).toHaveLength(2);
    expect(await b.hsm(id, "login", { ...KMSUSER, password: "0wnchange" })).toEqual(
      refusal(/no user kmsuser/),
    );
    expect(await b.hsm(id, "user create", { ...kmsuser, password: "again123" }, asAdmin)).toEqual(
      done(kmsuser),
    );
    expect(await kmsuserStanding(b.cloudhsm, id)).toEqual({
      record: "present",
      locked: false,
      operatorLoggedIn: false,
    });
    await login(b, id, { ...KMSUSER, password: "again123" });
  });

  test("kmsuser as an admin's name is no crypto user for KMS", async () => {
    const { b, id } = await readied();
    await b.hsm(id, "user delete", kmsuser, asAdmin);
    await b.hsm(id, "user create", { username: "kmsuser", role: "admin", password: "passw0rd" }, asAdmin);
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ record: "deleted" });
  });

  test("a kmsuser that the token knows and the records do not is adopted", async () => {
    const { b, id } = await readied();
    await b.cloudhsm.store.db.deleteFrom("hsm_users").where("Username", "=", "kmsuser").execute();
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ record: "absent" });
    await adoptKmsuser(b.cloudhsm, id);
    await adoptKmsuser(b.cloudhsm, id);
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ record: "present" });
  });
});

describe("lock-out", () => {
  test("five failures lock kmsuser; the token is not asked; an admin's change unlocks", async () => {
    const { b, id } = await readied();
    const wrong = { ...KMSUSER, password: "wrong123" };
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      const reply = await b.hsm(id, "login", wrong);
      expect(reply).toEqual(refusal(attempt < 5 ? /is not correct\.$/ : /locked out now/));
      expect(JSON.stringify(reply)).not.toContain("wrong123");
    }
    const asked = b.tokens.of(id).calls.length;
    expect(await b.hsm(id, "login", KMSUSER)).toEqual(refusal(/is locked out; an admin/));
    expect(b.tokens.of(id).calls).toHaveLength(asked);
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ locked: true });
    expect((await b.hsm(id, "user list")).data.users).toContainEqual(
      expect.objectContaining({ username: "kmsuser", locked: "true" }),
    );
    await b.hsm(id, "user change-password", { ...kmsuser, password: KMSUSER_PASSWORD }, asAdmin);
    await login(b, id, KMSUSER);
  });

  test("a good login starts the count again; KMS's failures count with the operator's", async () => {
    const { b, id } = await readied();
    for (let attempt = 0; attempt < 4; attempt += 1) await countFailedLogin(b.cloudhsm, id, "kmsuser");
    const { session } = await login(b, id, KMSUSER);
    await b.hsm(id, "logout", {}, { session });
    for (let attempt = 0; attempt < 4; attempt += 1) await countFailedLogin(b.cloudhsm, id, "kmsuser");
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ locked: false });
    expect(await b.hsm(id, "login", { ...KMSUSER, password: "wrong123" })).toEqual(refusal(/locked out now/));
  });

  test("a kmsuser without a record locks out as well", async () => {
    const { b, id } = await readied();
    await b.cloudhsm.store.db.deleteFrom("hsm_users").where("Username", "=", "kmsuser").execute();
    for (let attempt = 0; attempt < 5; attempt += 1) await countFailedLogin(b.cloudhsm, id, "kmsuser");
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ record: "present", locked: true });
  });

  test("the admin too; the management API's way out sets a new password and unlocks", async () => {
    const { b, id } = await readied();
    for (let attempt = 0; attempt < 5; attempt += 1)
      await b.hsm(id, "login", { ...ADMIN, password: "wrong123" });
    expect(await b.hsm(id, "login", ADMIN)).toEqual(refusal(/locked out/));
    expect(await b.hsm(id, "cluster reset-admin-password", { password: "bad:pass" })).toEqual(
      refusal(/colon/),
    );
    expect(await b.hsm(id, "cluster reset-admin-password", { password: "Fr3shPwd" })).toMatchObject({
      error_code: 0,
    });
    expect(b.tokens.of(id).pins.get("so")).toBe("Fr3shPwd");
    await login(b, id, { ...ADMIN, password: "Fr3shPwd" });
  });

  test("a token that cannot be asked is no failed login", async () => {
    const { b, id } = await readied();
    b.tokens.of(id).fault = {
      verb: "verify",
      when: "before",
      error: new Pkcs11Error("token", CKR.GENERAL_ERROR, "C_Login"),
    };
    expect(await b.hsm(id, "login", KMSUSER)).toEqual(refusal(/C_Login: CKR_GENERAL_ERROR/));
    expect((await b.hsm(id, "user list")).data.users.every((user) => user.locked === "false")).toBe(true);
    const row = await b.cloudhsm.store.db
      .selectFrom("hsm_users")
      .selectAll()
      .where("Username", "=", "kmsuser")
      .executeTakeFirst();
    expect(row?.FailedLogins).toBe(0);
  });
});

describe("sessions", () => {
  test("login, use, list, logout; the token is kept nowhere", async () => {
    const { b, id } = await readied();
    const { session } = await login(b, id, ADMIN);
    expect(await b.hsm(id, "login", KMSUSER, { session })).toEqual(refusal(/admin is logged in already/));
    expect((await b.hsm(id, "key list", {}, { session })).error_code).toBe(0);
    const rows = await b.cloudhsm.store.db.selectFrom("operator_sessions").selectAll().execute();
    expect(JSON.stringify(rows)).not.toContain(session);
    expect(await b.hsm(id, "session list")).toEqual(
      done({
        sessions: [{ "session-id": rows[0]!.SessionId, username: "admin", role: "admin", "idle-seconds": 0 }],
      }),
    );
    expect(await b.hsm(id, "logout", {}, { session })).toEqual(done("Logout successful"));
    expect(await b.hsm(id, "logout", {}, { session })).toEqual(done("Logout successful"));
    expect(await b.hsm(id, "key list", {}, { session })).toEqual(refusal(/session has ended/));
  });

  test("ten idle minutes of virtual time end a session, use prolongs it", async () => {
    const { b, id } = await readied();
    const { session } = await login(b, id, KMSUSER);
    for (let i = 0; i < 3; i += 1) {
      b.clock.advance(9 * 60_000);
      expect((await b.hsm(id, "key list", {}, { session })).error_code).toBe(0);
    }
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ operatorLoggedIn: true });
    b.clock.advance(10 * 60_000 + 1000);
    expect(await kmsuserStanding(b.cloudhsm, id)).toMatchObject({ operatorLoggedIn: false });
    expect(await b.hsm(id, "key list", {}, { session })).toEqual(refusal(/session has ended/));
  });

  test("a session of another cluster is nobody here", async () => {
    const { b, id } = await readied();
    const other = await b.ready();
    const { session } = await login(b, other, ADMIN);
    expect(await b.hsm(id, "key list", {}, { session })).toEqual(refusal(/session has ended/));
    expect(await b.hsm(id, "key list", {}, { session: "x" })).toEqual(refusal(/session has ended/));
  });

  test("a logged-in user is neither changed nor deleted; an admin closes the session", async () => {
    const { b, id } = await readied();
    const { session } = await login(b, id, KMSUSER);
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, asAdmin)).toEqual(
      refusal(/is logged in/),
    );
    expect(await b.hsm(id, "user delete", kmsuser, asAdmin)).toEqual(refusal(/is logged in/));
    const one = (await b.hsm(id, "session list")).data.sessions[0]!;
    expect(await b.hsm(id, "session close", { "session-id": one["session-id"] })).toEqual(
      refusal(/Nobody is logged in/),
    );
    expect(await b.hsm(id, "session close", { "session-id": "x" }, asAdmin)).toEqual(refusal(/no session x/));
    expect(await b.hsm(id, "session close", { "session-id": one["session-id"] }, asAdmin)).toMatchObject({
      error_code: 0,
    });
    expect(await b.hsm(id, "key list", {}, { session })).toEqual(refusal(/session has ended/));
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, asAdmin)).toEqual(
      done(kmsuser),
    );
  });

  test("its own session may change the password and goes on with the new one", async () => {
    const { b, id } = await readied();
    const { session } = await login(b, id, KMSUSER);
    expect(
      await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, { session }),
    ).toEqual(done(kmsuser));
    expect((await b.hsm(id, "key list", {}, { session })).error_code).toBe(0);
    const one = (await b.hsm(id, "session list")).data.sessions[0]!;
    expect(await b.hsm(id, "session close", { "session-id": one["session-id"] }, { session })).toMatchObject({
      error_code: 0,
    });
  });

  test("while KMS is connected nobody else is kmsuser", async () => {
    const { b, id } = await readied();
    b.kmsLogins.set(id, "cks-1234567890abcdef0");
    expect(await b.hsm(id, "login", KMSUSER)).toEqual(
      refusal(/logged in by AWS KMS for the custom key store cks-1234567890abcdef0/),
    );
    expect(await b.hsm(id, "key list", {}, asKmsuser)).toEqual(refusal(/AWS KMS/));
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, asAdmin)).toEqual(
      refusal(/AWS KMS/),
    );
    expect(await b.hsm(id, "user delete", kmsuser, asAdmin)).toEqual(refusal(/AWS KMS/));
    b.kmsLogins.delete(id);
    await login(b, id, KMSUSER);
  });
});

describe("keys", () => {
  const key = (index: number) => ({
    id: index.toString(16).padStart(64, "0"),
    label: `arn:aws:kms:us-east-1:000000000000:key/${index}`,
    attributes: {
      "key-type": "aes",
      class: "secret-key",
      sensitive: true,
      "key-length-bytes": 32,
      encrypt: true,
    },
  });

  test("kmsuser pages through real objects; references are stable while keys come and go", async () => {
    const { b, id } = await readied();
    const token = b.tokens.of(id);
    token.keys = Array.from({ length: 12 }, (_, i) => key(i));
    const first = await b.hsm(id, "key list", {}, asKmsuser);
    expect(first.data).toMatchObject({ total_key_count: 12, returned_key_count: 10, next_token: "10" });
    const rest = await b.hsm(id, "key list", { "starting-token": "10", "max-items": "5" }, asKmsuser);
    expect(rest.data).toMatchObject({ returned_key_count: 2 });
    expect(rest.data).not.toHaveProperty("next_token");
    const last = rest.data.matched_keys[1]!;
    expect(last).toEqual({
      "key-reference": expect.stringMatching(/^0x[0-9a-f]{16}$/),
      attributes: { label: key(11).label },
    });
    token.keys = token.keys.slice(6);
    const again = await b.hsm(
      id,
      "key list",
      { filter: `key-reference=${last["key-reference"]}` },
      asKmsuser,
    );
    expect(again.data.matched_keys).toEqual([last]);
  });

  test.each([
    ["label", `attr.label=${key(3).label}`, 1],
    ["quoted label", `attr.label="${key(3).label}"`, 1],
    ["the id itself", `attr.id=0x${key(3).id}`, 1],
    ["hex of the id's bytes", `attr.id=0x${Buffer.from(key(3).id).toString("hex")}`, 1],
    ["two that agree", `attr.id=0x${key(3).id} attr.label=${key(3).label}`, 1],
    ["two that do not", `attr.id=0x${key(3).id} attr.label=${key(4).label}`, 0],
    ["nothing", "", 5],
  ])("filter by %s", async (_name, filter, count) => {
    const { b, id } = await readied();
    b.tokens.of(id).keys = Array.from({ length: 5 }, (_, i) => key(i));
    expect((await b.hsm(id, "key list", { filter }, asKmsuser)).data.total_key_count).toBe(count);
  });

  test("verbose prints all attributes in cloudhsm-cli's order", async () => {
    const { b, id } = await readied();
    b.tokens.of(id).keys = [key(1)];
    const listed = (await b.hsm(id, "key list", { verbose: "true" }, asKmsuser)).data.matched_keys[0]!;
    expect(Object.keys(listed.attributes)).toEqual([
      "key-type",
      "label",
      "id",
      "class",
      "encrypt",
      "sensitive",
      "key-length-bytes",
    ]);
    expect(listed.attributes["id"]).toBe(`0x${Buffer.from(key(1).id).toString("hex")}`);
    expect(listed["key-info"]["key-owners"]).toEqual([{ username: "kmsuser", "key-coverage": "full" }]);
  });

  test("an admin sees the register's labels and no attributes, and deletes nothing", async () => {
    const { b, id } = await readied();
    b.register.push({ id: key(1).id, label: key(1).label });
    const reply = await b.hsm(id, "key list", { verbose: "true" }, asAdmin);
    expect(reply.data.matched_keys[0]?.attributes).toEqual({ label: key(1).label });
    expect(await b.hsm(id, "key delete", { filter: `attr.label=${key(1).label}` }, asAdmin)).toEqual(
      refusal(/Only the crypto user/),
    );
  });

  test("key delete wants exactly one match", async () => {
    const { b, id } = await readied();
    b.tokens.of(id).keys = [key(1), { ...key(2), label: key(1).label }];
    const remove = (filter: string) => b.hsm(id, "key delete", { filter }, asKmsuser);
    expect(await remove("attr.label=none")).toEqual(refusal(/No key matches/));
    expect(await remove(`attr.label=${key(1).label}`)).toEqual(refusal(/2 keys match/));
    expect(await remove("label=x")).toEqual(refusal(/is not attr.label/));
    expect(await b.hsm(id, "key delete", {}, asKmsuser)).toEqual(refusal(/--filter is required/));
    expect(await remove(`attr.id=0x${key(2).id}`)).toEqual(done({ message: "Key deleted successfully" }));
    expect(b.tokens.of(id).keys).toHaveLength(1);
  });
});

describe("the SO PIN survives a crash at any line", () => {
  const change = { username: "admin", role: "admin", password: "N3wAdmin" };

  test.each([
    ["before", ADMIN_PASSWORD],
    ["after", "N3wAdmin"],
  ] as const)("interrupted %s C_SetPIN acted: the next use settles it", async (when, truth) => {
    const { b, id } = await readied();
    const token = b.tokens.of(id);
    token.fault = { verb: "changePin", when, error: new Pkcs11Error("deadline", 0, "C_SetPIN") };
    expect(await b.hsm(id, "user change-password", change, asAdmin)).toEqual(refusal(/C_SetPIN: deadline/));
    expect((await findCluster(b.cloudhsm.store.db, id))?.PendingPinSealed).not.toBeNull();
    await b.hsm(
      id,
      "user create",
      { username: "ops", role: "admin", password: "passw0rd" },
      { credentials: { ...ADMIN, password: truth } },
    );
    const byRecord = { credentials: { username: "ops", role: "admin", password: "passw0rd" } };
    expect(await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, byRecord)).toEqual(
      done(kmsuser),
    );
    const row = await findCluster(b.cloudhsm.store.db, id);
    expect(row).toMatchObject({ PendingPinSealed: null, PendingPinRole: null });
    expect(b.cloudhsm.vault.open(row!.SoPinSealed!, id, "so")).toBe(truth);
  });

  test("the next use by a record-only admin settles it too", async () => {
    const { b, id } = await readied();
    const ops = { username: "ops", role: "admin", password: "passw0rd" };
    await b.hsm(id, "user create", ops, asAdmin);
    b.tokens.of(id).fault = {
      verb: "changePin",
      when: "after",
      error: new Pkcs11Error("worker", 0, "C_SetPIN"),
    };
    await b.hsm(id, "user change-password", change, { credentials: ops });
    expect(
      await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, { credentials: ops }),
    ).toEqual(done(kmsuser));
    expect((await findCluster(b.cloudhsm.store.db, id))?.PendingPinSealed).toBeNull();
  });

  test("neither value accepted: both are kept and the failure is told", async () => {
    const { b, id } = await readied();
    const ops = { username: "ops", role: "admin", password: "passw0rd" };
    await b.hsm(id, "user create", ops, asAdmin);
    b.tokens.of(id).fault = {
      verb: "changePin",
      when: "before",
      error: new Pkcs11Error("worker", 0, "C_SetPIN"),
    };
    await b.hsm(id, "user change-password", change, { credentials: ops });
    b.tokens.of(id).pins.set("so", "outside1");
    expect(
      await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, { credentials: ops }),
    ).toEqual(refusal(/C_Login: CKR_PIN_INCORRECT/));
    expect((await findCluster(b.cloudhsm.store.db, id))?.PendingPinSealed).not.toBeNull();
    // The admin who knows the PIN that was set from outside is believed: the token says so.
    await login(b, id, { ...ADMIN, password: "outside1" });
    expect(
      await b.hsm(id, "user change-password", { ...kmsuser, password: "newpass1" }, { credentials: ops }),
    ).toEqual(done(kmsuser));
  });

  test("an interrupted activation is simply repeated", async () => {
    const b = await bench();
    const SubnetIds = (await b.cloudhsm.network.subnets()).map((subnet) => subnet.SubnetId);
    const { Cluster } = await b.call("CreateCluster", { HsmType: "hsm2m.medium", SubnetIds });
    const id: string = Cluster.ClusterId;
    await b.idle(id);
    const { Hsm } = await b.call("CreateHsm", { ClusterId: id, AvailabilityZone: "us-east-1a" });
    await b.idle(Hsm.HsmId);
    expect(await b.hsm(id, "cluster activate", { password: ADMIN_PASSWORD })).toEqual(
      refusal(/state UNINITIALIZED/),
    );
    b.tokens.of(id).fault = {
      verb: "changePin",
      when: "after",
      error: new Pkcs11Error("worker", 0, "C_SetPIN"),
    };
    const { initializeWithThrowAwayCa } = await import("../../src/cloudhsm/quick-cluster.ts");
    await expect(initializeWithThrowAwayCa(b.cloudhsm, id, { adminPassword: "Lost1234" })).rejects.toThrow(
      /C_SetPIN: worker/,
    );
    expect((await b.hsm(id, "user list")).data.users[0]).toMatchObject({
      username: "admin",
      role: "unactivated-admin",
    });
    expect(await b.hsm(id, "login", ADMIN)).toEqual(refusal(/not activated yet/));
    expect(await b.hsm(id, "cluster activate", { password: ADMIN_PASSWORD })).toEqual(
      done("Cluster activation successful"),
    );
    await login(b, id, ADMIN);
  });
});

test("a failed C_InitPIN at deletion leaves kmsuser as it was", async () => {
  const { b, id } = await readied();
  b.tokens.of(id).fault = {
    verb: "initUserPin",
    when: "before",
    error: new Pkcs11Error("token", CKR.FUNCTION_FAILED, "C_InitPIN"),
  };
  expect(await b.hsm(id, "user delete", kmsuser, asAdmin)).toEqual(refusal(/C_InitPIN: CKR_FUNCTION_FAILED/));
  await login(b, id, KMSUSER);
});
