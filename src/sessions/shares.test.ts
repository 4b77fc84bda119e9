import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import { erase } from "../admin.ts";
import { openSessions, type SharedNews, type SharedSession, type SharedTurn, type TurnInput } from "../index.ts";

const secret = "a secret for tests only";
const day = 86_400_000;

async function textsOf(shared: SharedSession): Promise<unknown[]> {
  const turns = await Array.fromAsync(shared.turns());
  return turns.flatMap(({ input, output }) => [...input, ...output].map(({ content }) => content));
}

test("a share opens one session to read, in any process, and shows what was said alone", async () => {
  await using here = inMemory({ secret });
  const session = await here.sessions.create({
    title: "Trip",
    user: "ada",
    metadata: { password: "hidden" },
    labels: { team: "hidden" },
    instructions: "hidden",
  });
  const turn = {
    input: [
      { role: "system", content: "hidden" },
      { role: "user", content: "Where to?", secret: "hidden" },
    ],
    output: [
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "hidden" },
          { type: "text", text: "To Oslo.", providerMetadata: { id: "hidden" } },
          { type: "image_url", image_url: { url: "https://example.com/oslo.png" }, note: "hidden" },
          { type: "tool_use", id: "hidden", name: "hidden", input: {} },
        ],
        tool_calls: [{ id: "hidden", type: "function", function: { name: "hidden", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "hidden", content: "hidden" },
      { role: "assistant", content: "Soon." },
    ],
    usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
  } satisfies TurnInput;
  await session.append(turn, { key: "hidden" });
  const { token, ...share } = await here.sessions.share(session.id);
  assert.match(token, /^pds_[0-9a-z]{26}_[\w-]{43}$/);
  assert.equal(Number(share.expiresAt) - here.clock.now(), 7 * day);
  const shared = await here.another({ secret }).for("another tenant").openShare(token);
  assert.deepEqual([shared.id, shared.expiresAt], [share.id, share.expiresAt]);
  const { createdAt, lastActivityAt: updatedAt } = session.info;
  assert.deepEqual(await shared.info(), {
    title: "Trip",
    turns: 1,
    createdAt,
    updatedAt,
    expiresAt: share.expiresAt,
  });
  assert.deepEqual(await Array.fromAsync(shared.turns()), [
    {
      seq: 1,
      at: (await Array.fromAsync(session.turns()))[0]?.at,
      status: "done",
      input: [{ role: "user", content: "Where to?" }],
      output: [
        {
          role: "assistant",
          content: [
            { type: "text", text: "To Oslo." },
            { type: "image_url", image_url: { url: "https://example.com/oslo.png" } },
          ],
        },
        { role: "assistant", content: "Soon." },
      ],
    } satisfies Omit<SharedTurn, "at"> & { at: Date | undefined },
  ]);
  assert.deepEqual(await here.sessions.shares(session.id), [share]);
  const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(shared)).toSorted();
  assert.deepEqual(methods, ["constructor", "info", "openAttachment", "turns", "verify", "watch"]);
});

test("a token that is wrong, revoked or expired, or whose session is gone, opens nothing, with one answer", async () => {
  await using here = inMemory({ secret, ttl: "300d" });
  const { sessions } = here;
  const refused = async (token: unknown): Promise<void> => {
    const error: unknown = await sessions.openShare(token as string).catch((thrown: unknown) => thrown);
    assert(error instanceof Error && "code" in error && error.code === "share_not_found", String(error));
    assert(typeof token !== "string" || token.length < 20 || !error.message.includes(token));
  };
  const session = await sessions.create({ id: "s" });
  await session.append({ input: "one" });
  const [revoked, expired, kept] = [
    await sessions.share("s"),
    await sessions.share("s", { ttl: "1h" }),
    await sessions.share("s", { ttl: "100d" }),
  ];
  const opened = await Promise.all([revoked, expired, kept].map(({ token }) => sessions.openShare(token)));
  assert.equal(await here.another({ secret }).unshare(revoked.id), true);
  assert.equal(await sessions.unshare(revoked.id), false);
  assert.equal(await sessions.for("another tenant").unshare(kept.id), false);
  await here.clock.advance(2 * 3_600_000);
  assert.deepEqual(
    (await sessions.shares("s")).map(({ id }) => id),
    [kept.id],
  );
  const key = await sessions.keys.create({ name: "k" });
  const [, , secretPart = ""] = kept.token.split("_");
  const forged = [`pds_${revoked.id}_${secretPart}`, `${kept.token.slice(0, -1)}~`, `pds_${kept.id}_${"A".repeat(43)}`];
  for (const token of ["", "x", null, undefined, 7, {}, key.token, revoked.token, expired.token, ...forged])
    await refused(token);
  for (const shared of opened.slice(0, 2)) {
    await assert.rejects(shared.info(), { code: "share_not_found" });
    await assert.rejects(Array.fromAsync(shared.turns()), { code: "share_not_found" });
    await assert.rejects(shared.verify(), { code: "share_not_found" });
  }
  assert.deepEqual(await textsOf(await sessions.openShare(kept.token)), ["one"]);
  await session.end();
  assert.deepEqual(await textsOf(await sessions.openShare(kept.token)), ["one"]);
  await session.archive();
  assert.deepEqual(await textsOf(await sessions.openShare(kept.token)), ["one"]);
  await session.remove();
  await refused(kept.token);
  await here.clock.advance(1000);
  await (await sessions.create({ id: "s" })).append({ input: "another session" });
  await refused(kept.token);
  assert.deepEqual(await sessions.shares("s"), []);
});

test("a session that begins again under its id is not the one that was shared", async () => {
  await using here = inMemory({ secret, ttl: "1h" });
  const session = await here.sessions.ensure("s");
  await session.append({ input: "long ago" });
  const { token } = await here.sessions.share("s");
  await here.clock.advance(2 * 3_600_000);
  await (await here.sessions.ensure("s", { onExpired: "reset" })).append({ input: "now" });
  await assert.rejects(here.sessions.openShare(token), { code: "share_not_found" });
});

test("a watch of a share brings turns, and nothing that was written after the share was revoked", async () => {
  await using here = inMemory({ secret });
  const session = await here.sessions.create();
  await session.append({ input: "one" });
  const { id, token } = await here.sessions.share(session.id);
  const shared = await here.another({ secret }).openShare(token);
  const watch = shared.watch({ after: 0 });
  const next = async (): Promise<SharedNews | undefined> => (await watch.next()).value ?? undefined;
  const first = await next();
  assert.deepEqual(first?.type === "turn" && first.turn.input, [{ role: "user", content: "one" }]);
  const coming = next();
  await session.append({ input: "two" });
  const second = await coming;
  assert.deepEqual(second?.type === "turn" && Object.keys(second.turn).toSorted(), [
    "at",
    "input",
    "output",
    "seq",
    "status",
  ]);
  await here.sessions.unshare(id);
  const refused = assert.rejects(next(), { code: "share_not_found" });
  await session.append({ input: "three" });
  await refused;
});

test("an erasure removes the shares of the erased sessions, and the store never has a token", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-shares-"));
  t.after(() => rm(folder, { recursive: true }));
  const sessions = await openSessions({ store: `sqlite:${join(folder, "s.db")}`, secret, sweep: false });
  const session = await sessions.create({ id: "named-after-ada", user: "ada" });
  await session.append({ input: "hello" });
  const { token } = await sessions.share(session.id);
  const raw = async (): Promise<string> =>
    (await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), "latin1")))).join("\n");
  const before = await raw();
  assert(before.includes("named-after-ada"));
  assert(!before.includes(token.slice(-43)));
  await erase(sessions, { user: "ada" });
  await assert.rejects(sessions.openShare(token), { code: "share_not_found" });
  assert(!(await raw()).includes("named-after-ada"), "found in the files");
  await sessions.close();
});

test("a share has a lifetime of at most 365 days, and a session a limited number of shares", async () => {
  await using here = inMemory({ secret });
  await here.sessions.create({ id: "s" });
  for (const ttl of [0, -1, "never", "366d", "soon"])
    await assert.rejects(here.sessions.share("s", { ttl }), { code: "duration_invalid" });
  await assert.rejects(here.sessions.share("s", { right: "write" } as object), { code: "argument_invalid" });
  await assert.rejects(here.sessions.share("missing"), { code: "session_not_found" });
  await assert.rejects(here.sessions.for("other").share("s"), { code: "session_not_found" });
  await here.sessions.share("s", { ttl: "365d" });
  for (let count = 0; count < 99; count++) await here.sessions.share("s");
  await assert.rejects(here.sessions.share("s"), { code: "shares_exceeded" });
});

test("the reader of a share names no branch", async () => {
  await using here = inMemory({ secret });
  const session = await here.sessions.create();
  await session.append({ input: "one" });
  const shared = await here.sessions.openShare((await here.sessions.share(session.id)).token);
  const [{ id } = { id: "" }] = await session.branches();
  await assert.rejects(Array.fromAsync(shared.turns({ branch: id } as object)), { code: "argument_invalid" });
});

test("a share ends once its session gets another user, and a claim of a guest's session keeps it", async () => {
  await using here = inMemory({ secret });
  const device = randomUUID();
  const session = await here.sessions.devices.open(device);
  await session.append({ input: "one" });
  const guests = await here.sessions.share(session.id);
  await here.sessions.devices.claim(device, "ada");
  const adas = await here.sessions.share(session.id);
  for (const { token } of [guests, adas])
    assert.deepEqual(await textsOf(await here.sessions.openShare(token)), ["one"]);
  await (await here.sessions.get(session.id)).update({ user: "bob" });
  await assert.rejects(here.sessions.openShare(adas.token), { code: "share_not_found" });
  assert.deepEqual(
    (await here.sessions.shares(session.id)).map(({ id }) => id),
    [guests.id],
  );
});

test("parallel calls make no more shares of a session than it may have", async () => {
  await using here = inMemory({ secret });
  await here.sessions.create({ id: "s" });
  for (let count = 0; count < 98; count++) await here.sessions.share("s");
  const made = await Promise.allSettled(Array.from({ length: 5 }, () => here.sessions.share("s")));
  const left = made.filter(({ status }) => status === "fulfilled").length;
  assert(left <= 2, String(left));
  assert.equal((await here.sessions.shares("s")).length, 98 + left);
});

test("a reader who asks for an attachment that the session does not have makes it read no turn", async () => {
  await using here = inMemory({ secret });
  const session = await here.sessions.create();
  await session.append({ input: "one", output: "two" });
  const shared = await here.sessions.openShare((await here.sessions.share(session.id)).token);
  const read = here.store.read.bind(here.store);
  const logs: unknown[] = [];
  here.store.read = (key, range) => {
    logs.push(range.log);
    return read(key, range);
  };
  await assert.rejects(shared.openAttachment("0".repeat(64)), { code: "attachment_not_found" });
  assert.deepEqual(logs, []);
});
