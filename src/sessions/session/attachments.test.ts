/** Attachments: bytes beside messages, once for each tenant, opened by the sessions that refer to them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inMemory } from "../../../test/support/in-memory.ts";
import { doctor, erase, sweep, verifyErasure } from "../../admin.ts";
import { hasCode, type ErrorCode } from "../../errors.ts";
import type { ModelRequest } from "../options/model.ts";
import { folder as objectsIn } from "../../files/attachments/folder.ts";
import { openSqlite } from "../../store/sqlite/open.ts";
import { scriptedClock, type ScriptedClock } from "../../testing/scripted-clock.ts";
import { resolvedMessages } from "../attachments/resolved.ts";
import { coreOf, sessionsOn, type Sessions } from "../sessions.ts";
import type { Session } from "./session.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-attachments-"));
after(() => rmSync(folder, { recursive: true }));
const secret = "a secret for these tests only";
const day = 86_400_000;
let files = 0;

interface Place extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly clock: ScriptedClock;
}

const engines: readonly [string, () => Promise<Place>][] = [
  ["memory", async () => inMemory({ secret, ttl: "never" })],
  [
    "SQLite",
    async () => {
      const clock = scriptedClock();
      const store = await openSqlite({ url: `sqlite:${join(folder, `${files++}.db`)}`, clock });
      const sessions = sessionsOn(store, { clock, sweep: false, secret });
      return { sessions, clock, [Symbol.asyncDispose]: () => sessions.close() };
    },
  ],
  [
    "memory and a folder",
    async () => inMemory({ secret, ttl: "never", attachments: { in: objectsIn(join(folder, `${files++}`)) } }),
  ],
];

const codeIs =
  (code: ErrorCode, details: object = {}) =>
  (error: unknown): boolean => {
    assert(hasCode(error, code), String(error));
    assert.partialDeepStrictEqual(error.details, details);
    return true;
  };

/** Bytes that no compression makes small, the same for the same seed. */
function bytes(length: number, seed = 1): Uint8Array {
  const made = new Uint8Array(length);
  for (let index = 0, state = seed * 2654435761; index < length; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    made[index] = state >>> 24;
  }
  return made;
}

function sha256(of: Uint8Array): string {
  return createHash("sha256").update(of).digest("hex");
}

async function read(session: Session, hash: string, range = {}): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(await session.attachments.open(hash, range)));
}

async function cannotOpen(session: Session, hash: string): Promise<void> {
  await assert.rejects(session.attachments.open(hash), codeIs("attachment_not_found", { hash, sessionId: session.id }));
}

for (const [engine, open] of engines) {
  test(`an attachment of any size comes back byte for byte, whole and by range (${engine})`, async () => {
    await using place = await open();
    const session = await place.sessions.create({ agent: "a" });
    const piece = 192 * 1024;
    for (const length of [0, 1, piece - 1, piece, piece + 1, 9 * piece + 77]) {
      const given = bytes(length, length + 1);
      const stored = await session.attachments.put(given, { type: "image/png", name: "ä map.png" });
      assert.deepEqual(
        { ...stored, part: null },
        { hash: sha256(given), type: "image/png", name: "ä map.png", length, part: null },
      );
      assert((await read(session, stored.hash)).equals(given), `${length} bytes`);
    }
    const given = bytes(9 * piece + 77, 9 * piece + 78);
    for (const [from, to] of [
      [0, 0],
      [piece - 1, piece],
      [piece, 3 * piece - 1],
      [9 * piece + 76, 9 * piece + 76],
    ] as const)
      assert((await read(session, sha256(given), { from, to })).equals(given.subarray(from, to + 1)), `${from}-${to}`);
    await assert.rejects(session.attachments.open(sha256(given), { to: given.length }), codeIs("range_invalid"));
    assert.equal((await session.attachments.list()).length, 6);
  });

  test(`bytes that arrive in pieces of any size are the same attachment, stored once (${engine})`, async () => {
    await using place = await open();
    const [one, two] = [await place.sessions.create({ agent: "a" }), await place.sessions.create({ agent: "a" })];
    const given = bytes(500_000);
    const { hash } = await one.attachments.put(given, { type: "a/b" });
    async function* slowly(): AsyncGenerator<Uint8Array> {
      for (let from = 0; from < given.length; from += 77_777) yield given.subarray(from, from + 77_777);
    }
    const again = await one.attachments.put(slowly(), { type: "c/d", name: "n" });
    assert.deepEqual([again.hash, again.type, again.name], [hash, "a/b", undefined]);
    assert.equal((await two.attachments.put(new Blob([Buffer.from(given)]), { type: "c/d" })).hash, hash);
    assert.equal(await contents(place.sessions), 1);
    await one.remove();
    assert((await read(two, hash)).equals(given));
    await two.remove();
    assert.equal(await contents(place.sessions), 0);
    assert.deepEqual(await findings(place.sessions), []);
  });

  test(`a hash opens nothing in another session, another tenant, or a later session of the same id (${engine})`, async () => {
    await using place = await open();
    const { sessions } = place;
    const owner = await sessions.create({ id: "s", agent: "a", user: "ada" });
    const { hash, part } = await owner.attachments.put(bytes(10), { type: "image/png" });
    const other = await sessions.create({ agent: "a", user: "bob" });
    const stranger = await sessions.for("other").create({ id: "s", agent: "a" });
    for (const session of [other, stranger]) {
      await cannotOpen(session, hash);
      await assert.rejects(session.attachments.get(hash), codeIs("attachment_not_found"));
      const message = { role: "user" as const, content: [part] };
      await assert.rejects(session.append({ input: [message] }), codeIs("attachment_not_found", { hash }));
      await assert.rejects(session.begin([message]), codeIs("attachment_not_found", { hash }));
      await assert.rejects(session.consult([message], { model: silent }), codeIs("attachment_not_found", { hash }));
      const written = session.write({ turns: { turns: [{ input: [message] }] } });
      await assert.rejects(written, codeIs("attachment_not_found", { hash }));
      assert.deepEqual(await Array.fromAsync(session.turns()), []);
      assert.deepEqual(await session.attachments.list(), []);
    }
    await cannotOpen(other, "0".repeat(64));
    await owner.remove();
    await place.clock.advance(5);
    await cannotOpen(await sessions.create({ id: "s", agent: "a" }), hash);
  });

  test(`a model gets the bytes, and the turn keeps the reference (${engine})`, async () => {
    await using place = await open();
    const session = await place.sessions.create({ agent: "a" });
    const map = await session.attachments.put(bytes(100), { type: "image/png" });
    const paper = await session.attachments.put(bytes(50, 2), { type: "application/pdf", name: "paper.pdf" });
    const asked: ModelRequest[] = [];
    const model = async function* (request: ModelRequest) {
      asked.push(request);
      yield { type: "text" as const, text: "There." };
    };
    const text = { type: "text", text: `attachment:image/png;sha256,${map.hash}` };
    await (
      await session.consult([{ role: "user", content: [text, map.part, paper.part] }], { model })
    ).done;
    await (
      await session.consult("And now?", { model })
    ).done;
    const urlOf = (type: string, of: Uint8Array): string => `data:${type};base64,${Buffer.from(of).toString("base64")}`;
    const shown = [
      text,
      { type: "image_url", image_url: { url: urlOf("image/png", bytes(100)) } },
      { type: "file", file: { filename: "paper.pdf", file_data: urlOf("application/pdf", bytes(50, 2)) } },
    ];
    for (const { messages } of asked) assert.deepEqual(messages[0]?.content, shown);
    assert.equal(asked.length, 2);
    const [turn] = await Array.fromAsync(session.turns());
    assert.deepEqual(turn?.input[0]?.content, [text, map.part, paper.part]);
    const [canonical] = await session.messages();
    assert.deepEqual((canonical as { content: unknown }).content, shown);
  });

  test(`an upload that no entry names is removed after a week, and one that a turn names stays (${engine})`, async () => {
    await using place = await open();
    const { sessions, clock } = place;
    const session = await sessions.create({ agent: "a" });
    const [lost, kept, logged] = await Promise.all(
      [1, 2, 3].map((seed) => session.attachments.put(bytes(1000, seed), { type: "image/png" })),
    );
    await session.append({ input: [{ role: "user", content: [kept!.part] }] });
    await session.write({ logs: { notes: { entries: [{ value: { about: logged!.hash } }] } } });
    // A turn that names it may be in an outbox.
    await clock.advance(7 * day - 1);
    await sweep(sessions);
    assert((await read(session, lost!.hash)).equals(bytes(1000, 1)));
    await clock.advance(1);
    for (const days of [0, 1, 2, 3, 20, 40, 70]) {
      await clock.advance(days * day);
      await sweep(sessions);
      await cannotOpen(session, lost!.hash);
      assert((await read(session, kept!.hash)).equals(bytes(1000, 2)));
      assert((await read(session, logged!.hash)).equals(bytes(1000, 3)));
    }
    await session.refresh();
    await session.truncate(0);
    await clock.advance(1);
    await sweep(sessions);
    await cannotOpen(session, kept!.hash);
    assert.equal((await session.attachments.list()).length, 1);
    await session.remove();
    assert.equal(await contents(sessions), 0);
  });

  test(`a fork, a reset and a purge keep or remove what their sessions refer to (${engine})`, async () => {
    await using place = await open();
    const { sessions, clock } = place;
    const session = await sessions.create({ id: "s", agent: "a", ttl: "1h" });
    const { hash, part } = await session.attachments.put(bytes(1000), { type: "image/png" });
    await session.append({ input: [{ role: "user", content: [part] }] });
    const fork = await session.fork({ as: "fork" });
    assert((await read(fork, hash)).equals(bytes(1000)));
    await fork.remove();
    await clock.advance(2 * 3_600_000);
    const fresh = await sessions.ensure("s", { agent: "a", onExpired: "reset", ttl: "1h" });
    await cannotOpen(fresh, hash);
    const archived = (await sessions.list({ state: "archived" })).items.find(({ id }) => id !== "s");
    const before = await sessions.get(archived!.id);
    assert((await read(before, hash)).equals(bytes(1000)));
    await before.remove();
    assert.equal(await contents(sessions), 0);
    await fresh.attachments.put(bytes(10), { type: "image/png" });
    await fresh.end();
    await clock.advance(10 * day);
    const report = await sweep(sessions, { retention: "1d" });
    assert.equal(report.removed, 1);
    assert.equal(await contents(sessions), 0);
    assert.equal(await references(sessions), 0);
  });
}

test("an erasure removes the attachments of the user, counts them, and leaves those of others", async () => {
  const file = join(folder, "erased.db");
  const store = await openSqlite({ url: `sqlite:${file}` });
  const sessions = sessionsOn(store, { sweep: false, secret });
  const shared = Buffer.from("words that both have attached, long enough to be found in a file");
  const own = Buffer.from("words that Ada alone has attached, long enough to be found in a file");
  const bob = await sessions.create({ agent: "a", user: "bob" });
  for (let index = 0; index < 3; index++) {
    const ada = await sessions.create({ agent: "a", user: "ada" });
    await ada.attachments.put(own, { type: "text/plain" });
    await ada.attachments.put(shared, { type: "text/plain" });
  }
  await bob.attachments.put(shared, { type: "text/plain" });
  const receipt = await erase(sessions, { user: "ada" });
  assert.equal(receipt.erased.attachments, 6);
  assert(verifyErasure(sessions, receipt, "ada"));
  assert((await read(bob, sha256(shared))).equals(shared));
  assert.equal(await contents(sessions), 1);
  await sessions.close();
  const stored = readdirSync(folder)
    .filter((name) => name.startsWith("erased.db"))
    .map((name) => readFileSync(join(folder, name), "latin1"))
    .join("");
  assert(stored.includes(shared.toString("base64").slice(0, 40)));
  assert(!stored.includes(own.toString("base64").slice(0, 40)));
});

test("limits of bytes and of attachments refuse an upload, and leave nothing of it", async () => {
  await using place = inMemory({ limits: { attachmentBytesMax: 3_000_000, attachmentsMax: 2 } });
  const { sessions } = place;
  const session = await sessions.create({ agent: "a" });
  await assert.rejects(
    session.attachments.put(bytes(3_000_001), { type: "a/b" }),
    codeIs("attachment_too_large", { bytesMax: 3_000_000 }),
  );
  assert.equal((await sessions.list()).items.length, 1);
  assert.equal(await contents(sessions), 0);
  await session.attachments.put(bytes(3_000_000), { type: "a/b" });
  await session.attachments.put(bytes(1), { type: "a/b" });
  await assert.rejects(
    session.attachments.put(bytes(2), { type: "a/b" }),
    codeIs("attachments_exceeded", { attachments: 2, attachmentsMax: 2 }),
  );
  await assert.rejects(session.attachments.put(bytes(2), { type: "a/b" }), /data of its messages .* included/);
  for (const options of [{ type: "png" }, { type: "a/b", name: "" }, { type: "a/b", name: "a\u0000b" }, { kind: 1 }])
    await assert.rejects(session.attachments.put(bytes(1), options as never), codeIs("argument_invalid"));
  await assert.rejects(session.attachments.put("text" as never, { type: "a/b" }), codeIs("argument_invalid"));
  await assert.rejects(session.attachments.put([1] as never, { type: "a/b" }), codeIs("argument_invalid"));
  // An attachment that the session has needs no room.
  await session.attachments.put(bytes(1), { type: "a/b" });
  await assert.rejects(session.attachments.open("abc"), codeIs("argument_invalid"));
  const ended = await sessions.create({ agent: "a" });
  await ended.attachments.put(bytes(9), { type: "a/b" });
  await ended.end();
  await assert.rejects(ended.attachments.put(bytes(9), { type: "a/b" }), codeIs("session_ended"));
  assert((await read(ended, sha256(bytes(9)))).equals(bytes(9)));
});

test("a model gets the newest attachments within the limit, and a URL where the options give one", async () => {
  const asked: ModelRequest[] = [];
  const model = async function* (request: ModelRequest) {
    asked.push(request);
    yield { type: "text" as const, text: "Yes." };
  };
  const urls = new Map<string, string>();
  await using place = inMemory({
    model,
    limits: { requestAttachmentBytesMax: 1500 },
    attachmentUrl: ({ hash }, { session }) => urls.get(`${session}/${hash}`),
  });
  const session = await place.sessions.create({ agent: "a" });
  const files = await Promise.all(
    [1, 2].map((seed) => session.attachments.put(bytes(1000, seed), { type: "image/png", name: `${seed}.png` })),
  );
  for (const { part } of files) await (await session.consult([{ role: "user", content: [part] }])).done;
  const shown = (request: ModelRequest | undefined): string[] =>
    (request?.messages ?? [])
      .filter(({ role }) => role === "user")
      .map(({ content }) => JSON.stringify(content).slice(0, 100));
  const [older, newer] = shown(asked[1]);
  assert.match(older ?? "", /attachment 1\.png of type image\/png with 1000 bytes/);
  assert.match(newer ?? "", /data:image\/png;base64/);
  urls.set(`${session.id}/${files[0]!.hash}`, "https://files.example/1.png");
  await (
    await session.consult("Both?")
  ).done;
  assert.match(shown(asked[2])[0] ?? "", /https:\/\/files\.example\/1\.png/);
});

test("a message whose content is one part shows its attachment", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ agent: "a" });
  const { part } = await session.attachments.put(bytes(10), { type: "image/png" });
  await session.append({ input: [{ role: "user", content: part }] });
  const [message] = await session.messages();
  assert.deepEqual((message as { content: unknown }).content, imageOf(bytes(10)));
});

test("each place of an attachment counts as bytes of a request, and the newest places have them", async () => {
  await using place = inMemory({ limits: { requestAttachmentBytesMax: 250 } });
  const session = await place.sessions.create({ agent: "a" });
  const { part } = await session.attachments.put(bytes(90), { type: "image/png" });
  for (const content of [[part], [part], [part, part, part]])
    await session.append({ input: [{ role: "user", content }] });
  const messages = await session.messages();
  const isShown = messages.map((message) =>
    (message as { content: { type: string }[] }).content.map(({ type }) => type === "image_url"),
  );
  assert.deepEqual(isShown, [[false], [false], [true, true, false]]);
});

test("a result of a tool stays when its picture is not shown", async () => {
  await using place = inMemory({ limits: { requestAttachmentBytesMax: 100 } });
  const session = await place.sessions.create({ agent: "a" });
  const small = await session.attachments.put(bytes(10), { type: "image/png" });
  const large = await session.attachments.put(bytes(200), { type: "image/png", name: "l.png" });
  const text = { type: "text", text: "Two pictures:" };
  const result = { type: "tool_result", tool_use_id: "t", content: [text, small.part, large.part] };
  const core = coreOf(place.sessions);
  const { record } = await core.load({ tenant: place.sessions.tenant, id: session.id });
  const shown = await resolvedMessages(core, record, [{ role: "user", content: [result] }]);
  const missing = {
    type: "text",
    text: "(attachment l.png of type image/png with 200 bytes, which is not shown again)",
  };
  assert.deepEqual(shown, [{ role: "user", content: [{ ...result, content: [text, imageOf(bytes(10)), missing] }] }]);
});

test("a sweep reads the logs of a session once for all of its attachments that are due", async () => {
  await using place = inMemory({ ttl: "never" });
  const session = await place.sessions.create({ agent: "a" });
  const put = await Promise.all(
    Array.from({ length: 10 }, (_, seed) => session.attachments.put(bytes(10, seed), { type: "image/png" })),
  );
  // Other digits stand beside the second one.
  await session.append({ input: [{ role: "user", content: [put[0]!.part] }], output: `ab${put[1]!.hash}cd` });
  await place.clock.advance(8 * day);
  const logs: string[] = [];
  const { store } = place;
  const read = store.read.bind(store);
  Object.assign(store, { read: (...args: Parameters<typeof read>) => (logs.push(args[1].log), read(...args)) });
  await sweep(place.sessions);
  assert(logs.includes("turns"));
  assert.equal(logs.length, new Set(logs).size, String(logs));
  const kept = (await session.attachments.list()).map(({ hash }) => hash);
  assert.deepEqual(kept.sort(), [put[0]!.hash, put[1]!.hash].sort());
  assert.equal(await contents(place.sessions), 2);
});

function imageOf(of: Uint8Array): object {
  return { type: "image_url", image_url: { url: `data:image/png;base64,${Buffer.from(of).toString("base64")}` } };
}

async function* silent(): AsyncGenerator<never> {}

async function contents(sessions: Sessions): Promise<number> {
  return await countOf(sessions, "contents");
}

async function references(sessions: Sessions): Promise<number> {
  return await countOf(sessions, "attachments");
}

async function countOf(sessions: Sessions, kind: string): Promise<number> {
  const { store } = coreOf(sessions);
  return await store.count({ tenant: `${sessions.tenant}\u0001${kind}`, now: 0 });
}

async function findings(sessions: Sessions): Promise<readonly string[]> {
  const found: string[] = [];
  await doctor(sessions, { onFinding: ({ what }) => void found.push(what) });
  return found;
}
