/** Data inside messages that the store has beside them: once, for the sessions that hold it, and as long as an entry names it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { inMemory, type InMemory } from "../../../test/support/in-memory.ts";
import { ObjectStore } from "../../../test/support/object-store.ts";
import { doctor, erase, moveAttachments, sweep } from "../../admin.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { Transaction } from "../../domain/record/change.ts";
import type { Message } from "../../domain/turns/turn.ts";
import { hasCode } from "../../errors.ts";
import type { Model } from "../options/model.ts";
import type { SessionsOptions } from "../options/options.ts";
import { storeBefore } from "../../store/calls/forwarding-store.ts";
import { markServed } from "../../store/calls/stored-form.ts";
import { coreOf, sessionsOn, type Sessions } from "../sessions.ts";
import type { Session } from "./session.ts";

const day = 86_400_000;
const secret = "a secret for these tests only";
const base64 = Buffer.alloc(3000, 9).toString("base64");
const picture: Message = {
  role: "user",
  content: [{ type: "image_url", image_url: { url: `data:image/png;base64,${base64}` } }],
};

function detaching(options: SessionsOptions = {}): InMemory {
  return inMemory({ ttl: "never", secret, attachments: { inlineBytesMax: 1000 }, ...options });
}

async function storedTurns({ sessions }: Pick<InMemory, "sessions">, { id }: Session): Promise<string> {
  const range = { log: "turns", from: 1, to: 100, order: "ascending", limit: 100 } as const;
  const entries = await coreOf(sessions).asStored.store.read({ tenant: "default", id }, range);
  return entries.map(({ data }) => data).join("\n");
}

async function contents(sessions: Sessions): Promise<number> {
  return await coreOf(sessions).store.count({ tenant: "default\u0001contents", now: 0 });
}

async function inputOf(session: Session): Promise<readonly Message[]> {
  return (await Array.fromAsync(session.turns())).flatMap(({ input }) => input);
}

test("a picture that several messages and sessions hold is stored once, and is gone with the last of them", async () => {
  await using place = detaching();
  const { sessions } = place;
  const [one, two] = [await sessions.create({ agent: "a" }), await sessions.create({ agent: "a", user: "ada" })];
  for (const session of [one, one, two]) await session.append({ input: [picture] });
  assert.equal(await contents(sessions), 1);
  assert.ok((await storedTurns(place, one)).length < 1000);
  assert.deepEqual(await inputOf(one), [picture, picture]);
  assert.deepEqual(await one.attachments.list(), [], "callers did not put it");
  await one.remove();
  assert.deepEqual(await inputOf(two), [picture]);
  const { erased } = await erase(sessions, { user: "ada" });
  assert.equal(erased.attachments, 1);
  assert.equal(await contents(sessions), 0);
});

test("the sweep leaves data that a turn names, and removes that of turns that are gone", async () => {
  await using place = detaching();
  const { sessions, clock } = place;
  const session = await sessions.create({ agent: "a" });
  await session.append({ input: [picture] });
  await session.fork({ as: "fork" });
  await clock.advance(70 * day);
  await sweep(sessions);
  assert.deepEqual(await inputOf(session), [picture]);
  await session.truncate(0);
  await (await sessions.get("fork")).truncate(0);
  await clock.advance(70 * day);
  await sweep(sessions);
  assert.equal(await contents(sessions), 0);
  const findings: string[] = [];
  await doctor(sessions, { onFinding: ({ what }) => void findings.push(what) });
  assert.deepEqual(findings, []);
});

test("a sweep of a worker, which sees no marks, removes nothing", async () => {
  await using place = detaching();
  const { sessions, clock } = place;
  const session = await sessions.create({ agent: "a" });
  await session.append({ input: [picture] });
  await clock.advance(70 * day);
  const worker = sessionsOn(markServed(storeBefore(coreOf(sessions).store)), { clock, sweep: false });
  await sweep(worker);
  assert.deepEqual(await inputOf(await worker.get(session.id)), [picture]);
  assert.deepEqual(await inputOf(session), [picture]);
  await (await worker.get(session.id)).append({ input: [picture] });
  assert.ok(!(await storedTurns(place, session)).includes(base64));
});

test("a process that keeps data in messages reads what another one stored, and both write on", async () => {
  await using place = detaching();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: [picture] }, { key: "k" });
  const plain = await place.another({ ttl: "never", secret }).get("s");
  assert.deepEqual(await inputOf(plain), [picture]);
  // The same question again is the same turn, however it is stored.
  assert.equal((await plain.append({ input: [picture] }, { key: "k" })).seq, 1);
  await plain.append({ input: [picture] }, { key: "plain" });
  assert.equal((await (await place.sessions.get("s")).append({ input: [picture] }, { key: "plain" })).seq, 2);
  assert.ok((await storedTurns(place, session)).includes(base64));
});

test("a message that reads like the mark of another session's data stays a text", async () => {
  await using place = detaching();
  const { sessions } = place;
  const owner = await sessions.create({ agent: "a", user: "ada" });
  await owner.append({ input: [picture] });
  const [mark = ""] = /attachment\+data:[^"]*/.exec(await storedTurns(place, owner)) ?? [];
  assert.notEqual(mark, "");
  const forged: Message = { role: "user", content: [{ type: "text", text: mark }] };
  const other = await sessions.create({ agent: "a", user: "bob" });
  for (const session of [other, owner]) await session.append({ input: [forged] });
  assert.deepEqual(await inputOf(other), [forged]);
  assert.deepEqual(await inputOf(owner), [picture, forged]);
  // Also where a program without this rule wrote it.
  const { store } = place;
  const record = (await coreOf(sessions).find({ tenant: "default", id: other.id }))?.record;
  assert(record !== undefined);
  const data = JSON.stringify({ status: "done", agent: "a", requests: 0, input: [forged], output: [] });
  const entries = [{ seq: 2, key: null, at: 1, data }];
  const heads = { ...record.heads, turns: 2 };
  const changed = { ...record, version: record.version + 1, commitId: "x", heads };
  const { version, commitId } = record;
  const [outcome] = await store.commit([
    [
      {
        key: { tenant: "default", id: other.id },
        expected: { version, commitId },
        record: changed,
        splices: [{ log: "turns", from: 2, entries }],
        claims: [],
      },
    ],
  ]);
  assert.equal(outcome?.status, "ok");
  assert.deepEqual(
    await inputOf(await sessions.get(other.id)),
    [forged, forged],
    "the session does not have these bytes",
  );
});

test("a turn that is not written leaves bytes that the sweep removes, and its retry is whole", async () => {
  await using place = detaching();
  const { sessions, store, clock } = place;
  const session = await sessions.create({ agent: "a" });
  const writesTurns = (change: Transaction[number]): boolean =>
    "splices" in change && change.splices.some(({ log }) => log === "turns");
  store.plan((_, batch) => (batch.flat().some(writesTurns) ? { fails: "before" } : undefined));
  await assert.rejects(session.append({ input: [picture] }), (error) => hasCode(error, "store_unavailable"));
  store.plan({});
  assert.deepEqual([await contents(sessions), await inputOf(session)], [1, []]);
  await clock.advance(1000);
  await session.append({ input: [picture] });
  assert.deepEqual(await inputOf(session), [picture]);
  await session.truncate(0);
  await clock.advance(70 * day);
  await sweep(sessions);
  assert.equal(await contents(sessions), 0);
});

test("over the limits of attachments a message keeps its data", async () => {
  await using place = detaching({ limits: { attachmentsMax: 1, attachmentBytesMax: 5000 } });
  const session = await place.sessions.create({ agent: "a" });
  const large = Buffer.alloc(6000, 1).toString("base64");
  const other = Buffer.alloc(3000, 2).toString("base64");
  const message: Message = { role: "user", content: [base64, other, large].map((data) => ({ inlineData: { data } })) };
  await session.append({ input: [message] });
  assert.deepEqual(await inputOf(session), [message]);
  const stored = await storedTurns(place, session);
  assert.deepEqual(
    [base64, other, large].map((data) => stored.includes(data)),
    [false, true, true],
  );
});

test("data that a caller puts as well becomes an attachment of the session, which exports carry", async () => {
  await using place = detaching();
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: [picture] });
  const { hash, part } = await session.attachments.put(Buffer.alloc(3000, 9), { type: "image/gif", name: "a.gif" });
  await session.append({ input: [{ role: "user", content: [part] }] });
  assert.deepEqual(await session.attachments.list(), [{ hash, type: "image/gif", length: 3000, name: "a.gif" }]);
  const copy = await place.sessions.restore(await place.sessions.snapshot("s"), { as: "copy" });
  assert.deepEqual(await inputOf(copy), await inputOf(session));
  assert.equal((await copy.attachments.list()).length, 1);
  const watched = [];
  for await (const news of session.watch({ after: 0 })) if (watched.push(news) === 2) break;
  assert.deepEqual(watched[0]?.type === "turn" && watched[0].turn.input, [picture]);
});

test("bytes that are lost leave a mark in their message, and the doctor finds them", async () => {
  await using place = detaching();
  const session = await place.sessions.create({ agent: "a" });
  await session.append({ input: [picture, { role: "user", content: "and?" }] });
  const core = coreOf(place.sessions);
  const hash = createHash("sha256").update(Buffer.alloc(3000, 9)).digest("hex");
  const content = (await core.find({ tenant: "default\u0001contents", id: hash }))?.record;
  assert(content !== undefined);
  const { version, commitId, tenant, id } = content;
  const removal = { key: { tenant, id }, expected: { version, commitId }, record: null, splices: [], claims: [] };
  assert.equal((await place.store.commit([[removal]]))[0]?.status, "ok");
  await using other = { sessions: place.another({ ttl: "never", secret }), [Symbol.asyncDispose]: async () => {} };
  const [damaged, whole] = await inputOf(await other.sessions.get(session.id));
  assert.match(JSON.stringify(damaged), /attachment\+data:image\/png;sha256,[0-9a-f]{64}/);
  assert.equal(whole?.content, "and?");
  const findings: string[] = [];
  await doctor(place.sessions, { onFinding: ({ kind, what }) => void (kind === "attachment" && findings.push(what)) });
  assert.match(findings[0] ?? "", /are missing/);
});

test("the doctor sums the data of more than 64 KiB that entries hold, each entry once, without what is beside them", async () => {
  await using place = inMemory({ ttl: "never", secret });
  const dataOf = (length: number): Message => ({
    role: "user",
    content: [{ data: Buffer.alloc(length, 7).toString("base64") }],
  });
  const session = await place.sessions.create({ id: "s" });
  await session.append({ input: [dataOf(70_000), dataOf(70_000), dataOf(60_000)] });
  await session.write({ logs: { notes: { entries: [{ value: [dataOf(80_000)] }] } } });
  const inlineData = async (): Promise<object> => (await doctor(place.sessions)).inlineData;
  assert.deepEqual(await inlineData(), { count: 3, bytes: 220_000 });
  const begun = await session.begin([dataOf(90_000)], { after: 0, keep: true });
  await begun.seal({ output: [dataOf(10)] });
  assert.deepEqual(await inlineData(), { count: 4, bytes: 310_000 }, "the kept branch and the current one");
  const parent = await place.sessions.create({ id: "parent" });
  await parent.append({ input: [dataOf(80_000)] });
  await (await parent.fork({ as: "fork" })).append({ input: "hello" });
  assert.deepEqual(await inlineData(), { count: 5, bytes: 390_000 }, "a fork has no turns of its parent");
  const other = await place.another({ attachments: { inlineBytesMax: 65_536 } }).create({ id: "t" });
  await other.append({ input: [dataOf(70_000)] });
  await other.attachments.put(Buffer.alloc(100_000, 8), { type: "a/b" });
  assert.deepEqual(await inlineData(), { count: 5, bytes: 390_000 });
});

test("a wrong limit of inline data is refused before anything is opened", () => {
  for (const inlineBytesMax of [0, 127, 1.5, Number.NaN, "64KiB" as never, true as never])
    assert.throws(
      () => inMemory({ attachments: { inlineBytesMax } }),
      (error) => hasCode(error, "argument_invalid") && error.details.name === "attachments.inlineBytesMax",
    );
  assert.throws(
    () => inMemory({ attachments: { inline: 1 } as never }),
    (error) => hasCode(error, "argument_invalid"),
  );
});

test("a truncation deletes data inside a message at once, and data beside it by a sweep a week later", async () => {
  for (const inlineBytesMax of [false, 1000] as const) {
    await using place = detaching({ attachments: { inlineBytesMax } });
    const { sessions, clock } = place;
    const session = await sessions.create({ id: "s" });
    await session.append({ input: [picture] });
    await session.truncate(0);
    await sweep(sessions);
    assert.equal(await contents(sessions), inlineBytesMax === false ? 0 : 1);
    assert.equal(await storedTurns(place, session), "");
    await clock.advance(8 * day);
    await sweep(sessions);
    assert.equal(await contents(sessions), 0);
  }
});

test("a message keeps data whose stored bytes are lost, or cannot be reached", async () => {
  const objects = new ObjectStore();
  await using place = detaching({ attachments: { inlineBytesMax: 1000, in: objects } });
  const { sessions } = place;
  const session = await sessions.create({ id: "s" });
  await session.append({ input: [picture] });
  await moveAttachments(sessions, { to: "attachments" });
  await session.append({ input: [picture] });
  const given = async (): Promise<readonly Message[]> => {
    const other = await place.another({ attachments: { inlineBytesMax: 1000, in: objects } }).get("s");
    return (await Array.fromAsync(other.turns({ from: 3 }))).flatMap(({ input }) => input);
  };
  objects.before = () => {
    throw new Error("the bucket is away");
  };
  await session.append({ input: [picture] });
  objects.before = () => undefined;
  const whole = new Map(objects.objects);
  objects.objects.clear();
  await session.append({ input: [picture] });
  assert.deepEqual(await given(), [picture, picture]);
  for (const [name, bytes] of whole) objects.objects.set(name, bytes);
  await session.append({ input: [picture] });
  assert.deepEqual(await given(), [picture, picture, picture]);
  assert.equal((await storedTurns(place, session)).split("\n").filter((data) => data.length < 1000).length, 3);
});

test("data whose bytes are lost is a text for a model, in the forms of several providers", async () => {
  await using place = detaching();
  const { sessions } = place;
  const session = await sessions.create({ id: "s" });
  const source = { type: "base64", media_type: "image/png", data: base64 };
  const sound = { data: base64, format: "wav" };
  const content = [
    { type: "image", source },
    { type: "input_audio", input_audio: sound },
    { type: "text", text: "what is it?" },
  ];
  await session.append({ input: [picture, { role: "user", content }] });
  const { store } = coreOf(sessions);
  const { records } = await store.find({ order: "key", tenant: "default\u0001contents", now: 0, limit: 10 });
  for (const { tenant, id } of records)
    await coreOf(sessions).commit([removeSession((await coreOf(sessions).load({ tenant, id })).record)]);
  const shown: string[] = [];
  const model: Model = async function* ({ messages }) {
    shown.push(JSON.stringify(messages));
    yield { type: "text", text: "yes" };
  };
  // Another process has nothing of it in memory.
  const other = await place.another({ attachments: { inlineBytesMax: 1000 } }).get("s");
  await (
    await other.consult("well?", { model })
  ).done;
  assert.equal(shown[0]?.split("of type image/png, whose bytes are lost").length, 3, shown[0]);
  assert.match(shown[0] ?? "", /of type application\/octet-stream, whose bytes are lost/);
  assert.doesNotMatch(shown[0] ?? "", /sha256,/);
  const lost = (await Array.fromAsync(other.events())).filter(({ type }) => type === "attachment_lost");
  assert.equal(lost.length, 1);
});
