import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openSessions } from "../../src/index.ts";
import { jsonLines, listening, setUp, stop, workplaceOfFile } from "./command-line.ts";

const { place, sessions } = await workplaceOfFile();
const secret = "sixteen characters or more";

test("chat -c continues the last session that has no user and no device, and shows what was said last", async () => {
  await using context = await setUp();
  const at = context.place;
  const none = await at.run(["chat", "-c"], { input: "hi\n" });
  assert.equal(none.code, 1, none.stderr);
  await at.run(["consult", "ceo", "first?"]);
  await at.run(["consult", "sales", "second\u001b[31m?"]);
  const store = await openSessions({ store: at.storeUrl, sweep: false, secret });
  const users = await store.create({ agent: "ceo", user: "ada" });
  await users.append({ input: "mine?", output: "yes" });
  const devices = await store.devices.open(randomUUID(), { agent: "ceo" });
  await devices.append({ input: "mine?", output: "yes" });
  await store.close();

  const last = await at.run(["chat", "--continue"], { input: "more\n" });
  assert.equal(last.code, 0, last.stderr);
  assert.equal(last.stdout, "saw 3\n");
  assert.match(last.stderr, /^turn 1 · [\d-]+ [\d:]+\nyou: second\\u001b\[31m\?\nsales: saw 1\nsession sales_/);
  const ceo = await at.run(["chat", "ceo", "-c"], { input: "more\n" });
  assert.equal(ceo.stdout, "saw 3\n");
  assert.match(ceo.stderr, /^turn 1 · .*\nyou: first\?\nceo: saw 1\nsession ceo_/);
  const unknown = await at.run(["chat", "cto", "-c", "--json"]);
  assert.equal(unknown.code, 2, "an option that chat does not have");
  const missing = await at.run(["chat", "cto", "-c"]);
  assert.deepEqual([missing.code, missing.stdout], [3, ""]);
  assert.match(missing.stderr, /no session of agent cto to continue/);
  assert.equal((await at.run(["chat", "-c", "--session", users.id])).code, 2);
});

test("rename and pin change a session, and are no activity", async () => {
  const { id } = await sessions.create({ agent: "ceo", user: "ada" });
  const run = async (...args: string[]): Promise<object> => {
    const { code, stdout, stderr } = await place.run(["sessions", ...args, "--json"]);
    assert.equal(code, 0, stderr);
    return JSON.parse(stdout) as object;
  };
  const before = (await sessions.get(id)).info.lastActivityAt;
  assert.deepEqual(await run("rename", id, "Ordering flour"), { session: id, title: "Ordering flour" });
  assert.deepEqual(await run("pin", id), { session: id, isPinned: true });
  const mine = sessions.conversations({ user: "ada" });
  assert.partialDeepStrictEqual(await mine.get(id), { title: "Ordering flour", isPinned: true, updatedAt: before });
  assert.deepEqual(await run("pin", id, "--undo"), { session: id, isPinned: false });
  assert.deepEqual(await run("rename", id, "--clear"), { session: id, title: null });
  assert.equal((await place.run(["sessions", "rename", "nothing", "x"])).code, 3);
  assert.equal((await place.run(["sessions", "pin", "nothing"])).code, 3);
});

test("share prints a token once, shares lists it without, and unshare revokes it", async () => {
  const session = await sessions.create({ agent: "ceo" });
  const { code, stdout, stderr } = await place.run(["share", session.id, "--ttl", "1h"]);
  assert.equal(code, 0, stderr);
  const token = stdout.trim();
  assert.match(token, /^pds_/);
  assert.equal((await sessions.openShare(token)).id, /^share (\w+) of session/.exec(stderr)?.[1]);
  const [link] = jsonLines(await place.run(["share", session.id, "--json"]));
  assert.match(String(link?.["token"]), /^pds_/);
  const listed = jsonLines(await place.run(["shares", session.id, "--json"]));
  assert.deepEqual(new Set(listed.map(({ id }) => id)).size, 2);
  assert.ok(listed.every((one) => !("token" in one)));
  const revoked = await place.run(["unshare", String(link?.["id"]), "--json"]);
  assert.deepEqual(JSON.parse(revoked.stdout), { share: link?.["id"], revoked: true });
  await assert.rejects(sessions.openShare(String(link?.["token"])), { code: "share_not_found" });
  const table = (await place.run(["shares", session.id])).stdout;
  assert.match(table, /^SHARE +CREATED +EXPIRES\n\w+ +[\d-]+ [\d:]+ +[\d-]+ [\d:]+\n$/);
  assert.ok(!table.includes(token));
  assert.equal((await place.run(["unshare", String(link?.["id"])])).code, 3);
  assert.equal((await place.run(["share", "nothing"])).code, 3);
  assert.equal((await place.run(["share", session.id, "--ttl", "400d"])).code, 2);
});

const runtime = fileURLToPath(new URL("counting-agent.ts", import.meta.url));

test("serve and host run with --device-conversations open a user's sessions to the user's devices", async () => {
  const device = randomUUID();
  const devices = await openSessions({ store: place.storeUrl, sweep: false, secret });
  await devices.devices.claim(device, "eve");
  const { id } = await devices.create({ user: "eve", agent: "ceo", title: "Hers" });
  await devices.close();
  const commands = [["serve"], ["host", "run", runtime]];
  const opened = commands.flatMap((command) => [
    { command: [...command, "--device-conversations"], status: 200 },
    // Without the option one command is enough: the server has one default.
    ...(command[0] === "serve" ? [{ command, status: 404 }] : []),
  ]);
  for (const { command, status } of opened) {
    const serving = place.start([...command, "--port", "0", "--drain", "0"], { env: { PERDURE_SECRET: secret } });
    const { child, url } = await listening(serving);
    const at = `${url}/v1/chat/conversations/${id}`;
    const answered = await fetch(at, { headers: { "x-device-id": device } });
    assert.equal(answered.status, status, command.join(" "));
    await stop(child);
  }
});
