/** Attachments whose objects are damaged, missing, or in an attachment store that fails: what reads them says so. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import {
  copySessions,
  doctor,
  exportSessions,
  moveAttachments,
  type DoctorRequest,
  type Finding,
} from "../../src/admin.ts";
import {
  hasCode,
  openSessions,
  type AttachmentStore,
  type Model,
  type Session,
  type Sessions,
  type Value,
} from "../../src/index.ts";
import { inMemory } from "../support/in-memory.ts";
import { ObjectStore } from "../support/object-store.ts";

const given = Buffer.alloc(450_000, "a line of a file; ");
const hash = createHash("sha256").update(given).digest("hex");

interface Place extends AsyncDisposable {
  readonly objects: ObjectStore;
  readonly sessions: Sessions;
  readonly session: Session;
  another(attachments?: { readonly in: AttachmentStore }): Sessions;
}

async function attached(): Promise<Place> {
  const objects = new ObjectStore();
  const place = inMemory({ attachments: { in: objects } });
  const session = await place.sessions.create({ id: "s" });
  const put = await session.attachments.put(given, { type: "image/png" });
  await session.append({ input: [{ role: "user", content: [put.part] }] });
  return {
    objects,
    sessions: place.sessions,
    session,
    another: (attachments) => place.another(attachments && { attachments }),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  };
}

/** The bytes until the error. */
async function piecesOf(session: Session): Promise<{ readonly bytes: number; readonly error: unknown }> {
  let bytes = 0;
  try {
    for await (const piece of await session.attachments.open(hash)) bytes += piece.length;
    return { bytes, error: undefined };
  } catch (error) {
    return { bytes, error };
  }
}

async function findings(sessions: Sessions, request: DoctorRequest = {}): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  await doctor(sessions, { ...request, onFinding: (finding) => void found.push(finding) });
  return found;
}

const isDamaged = (error: unknown): boolean => {
  assert(hasCode(error, "store_invalid"), String(error));
  assert(error.message.includes(hash) && error.message.includes("session s"), error.message);
  return true;
};

const lostPart = { type: "text", text: "(attachment of type image/png, whose bytes are lost)" };

/** What happened to an object; undefined: it is gone. */
const damages: readonly [string, (bytes: Buffer) => Buffer | undefined][] = [
  ["has other bytes", (bytes) => Buffer.from(bytes).fill("x", 7, 8)],
  ["is too short", (bytes) => bytes.subarray(0, -1)],
  ["is missing", () => undefined],
];

for (const [what, damaged] of damages)
  test(`an attachment whose object ${what} is read by nothing as a whole`, async () => {
    await using place = await attached();
    const { objects, session, sessions } = place;
    for (const [name, bytes] of objects.objects) {
      const left = damaged(bytes);
      if (left === undefined) objects.objects.delete(name);
      else objects.objects.set(name, left);
    }
    const { bytes, error } = await piecesOf(session);
    assert(isDamaged(error) && bytes < given.length, `${bytes} bytes`);
    assert.deepEqual(await session.messages({ as: "openai" }), [{ role: "user", content: [lostPart] }]);
    await assert.rejects(sessions.snapshot("s"), isDamaged);
    const skipped: string[] = [];
    const onSkipped = (id: string, error: unknown): void => void (isDamaged(error) && skipped.push(id));
    for await (const { id } of exportSessions(sessions, { onSkipped })) assert.fail(`session ${id} is exported`);
    assert.deepEqual(skipped, ["s"]);
    await using target = inMemory();
    const { skipped: left, complete } = await copySessions(sessions, target.sessions);
    assert.deepEqual([left, complete], [1, false]);
    // A repair changes nothing: the object may be found again.
    const found = await findings(sessions, { repair: true });
    assert.deepEqual(
      found.map(({ kind, tenant, session, repaired }) => ({ kind, tenant, session, repaired })),
      [{ kind: "attachment", tenant: "default", session: null, repaired: false }],
      JSON.stringify(found),
    );
    assert(found[0]?.what.includes(hash), found[0]?.what);
    const range = await session.attachments.open(hash, { from: 10, to: 19 });
    if (what !== "is missing") assert.equal(Buffer.concat(await Array.fromAsync(range)).length, 10);
  });

for (const [what, damaged] of damages)
  test(`a put stores the bytes again where the object of the attachment ${what}`, async () => {
    await using place = await attached();
    const { objects, session, sessions } = place;
    const other = await sessions.create({ id: "other" });
    for (const puts of [session, other]) {
      for (const [name, bytes] of objects.objects) {
        const left = bytes.length < 1000 ? bytes : damaged(bytes);
        if (left === undefined) objects.objects.delete(name);
        else objects.objects.set(name, left);
      }
      await puts.attachments.put(given, { type: "image/png" });
      assert.deepEqual(Buffer.concat(await Array.fromAsync(await session.attachments.open(hash))), given);
      assert.deepEqual(await findings(sessions), []);
    }
    assert.deepEqual([...objects.objects.values()].filter(({ length }) => length > 1000).length, 1);
  });

test("a put stores the bytes again where the store has lost a piece of them, in the store or in the attachment store", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "perdure-damaged-"));
  t.after(() => rmSync(folder, { recursive: true }));
  let files = 0;
  // Of so many bytes, the second ones are staged before their commit.
  for (const bytes of [given, Buffer.alloc(12_000_000, "a line of a larger file; ")])
    for (const attachments of [undefined, { in: new ObjectStore() }]) {
      const file = join(folder, `${files++}.db`);
      const store = `sqlite:${file}`;
      const about = { type: "image/png" };
      const put = await (async () => {
        await using sessions = await openSessions({ store, sweep: false });
        return await (await sessions.ensure("s")).attachments.put(bytes, about);
      })();
      const database = new DatabaseSync(file);
      database.exec("delete from entries where log = 'bytes' and seq = 2");
      database.close();
      await using sessions = await openSessions({ store, sweep: false, ...(attachments && { attachments }) });
      const session = await sessions.get("s");
      await assert.rejects(Array.fromAsync(await session.attachments.open(put.hash)), { code: "store_invalid" });
      const other = await sessions.ensure("other");
      await other.attachments.put(bytes, about);
      for (const one of [session, other])
        assert.ok(Buffer.concat(await Array.fromAsync(await one.attachments.open(put.hash))).equals(bytes));
      assert.deepEqual(await findings(sessions), []);
    }
});

test("one damaged attachment keeps no other one from being moved, and the error names it", async () => {
  await using place = await attached();
  const { objects, session, sessions } = place;
  const others = ["one", "two", "three"].map((text) => Buffer.from(text));
  for (const bytes of others) await session.attachments.put(bytes, { type: "text/plain" });
  const [damaged = ""] = [...objects.objects.entries()].find(([, { length }]) => length === given.length) ?? [];
  objects.objects.delete(damaged);
  await assert.rejects(moveAttachments(sessions, { to: "sessions" }), (error) => {
    assert(hasCode(error, "store_invalid") && error.details.problem === "attachment_damaged", String(error));
    return error.message.includes(`attachment ${hash}`);
  });
  await using without = place.another();
  const read = await without.get("s");
  for (const bytes of others) {
    const name = createHash("sha256").update(bytes).digest("hex");
    assert.deepEqual(Buffer.concat(await Array.fromAsync(await read.attachments.open(name))), bytes);
  }
});

for (const [what, damaged] of damages)
  test(`a conversation goes on where the object of an attachment ${what}: the model gets a text, and one event says so`, async () => {
    await using place = await attached();
    const { objects, session } = place;
    const whole = new Map(objects.objects);
    for (const [name, bytes] of whole) {
      const left = damaged(bytes);
      if (left === undefined) objects.objects.delete(name);
      else objects.objects.set(name, left);
    }
    const asked: Value[] = [];
    const model: Model = async function* ({ messages }) {
      asked.push(messages[0]?.content ?? null);
      yield { type: "text", text: "yes" };
    };
    for (let question = 1; question <= 2; question++)
      await (
        await session.consult("what is on it?", { model, window: 5 })
      ).done;
    assert.deepEqual(asked[0], [lostPart, { type: "text", text: "what is on it?" }]);
    const lost = (await Array.fromAsync(session.events())).filter(({ type }) => type === "attachment_lost");
    assert.deepEqual(
      lost.map((event) => [event.type === "attachment_lost" && event.hash, event.severity]),
      [[hash, "warning"]],
      "the second question shows it again, and adds no event",
    );
    // The bytes are found again.
    for (const [name, bytes] of whole) objects.objects.set(name, bytes);
    await (
      await session.consult("and now?", { model, window: 5 })
    ).done;
    assert.match(JSON.stringify(asked[2]), /data:image\/png;base64,/);
    // A bucket that cannot be reached is an error: the same question may succeed later.
    objects.before = () => {
      throw new Error("the bucket is away");
    };
    await assert.rejects((await session.consult("and now?", { model, window: 5 })).done, (error) =>
      hasCode(error, "attachment_store_failed"),
    );
  });

test("the doctor says once that it opens no attachment store", async () => {
  await using place = await attached();
  await place.session.attachments.put(Buffer.from("another one"), { type: "a/b" });
  const found = await findings(place.another());
  assert.deepEqual(
    found.map(({ kind, tenant, session }) => ({ kind, tenant, session })),
    [{ kind: "attachment", tenant: null, session: null }],
    JSON.stringify(found),
  );
  assert.match(
    found[0]?.what ?? "",
    /^the bytes of 2 attachments were not read: this process opens no attachment store; .* PERDURE_ATTACHMENTS/,
  );
});

test("the error of an attachment store has a reason where its own error has no text", async () => {
  await using place = await attached();
  const reasons: readonly [unknown, RegExp][] = [
    [Object.assign(new Error(""), { code: "ECONNREFUSED" }), /its error Error \(ECONNREFUSED\) has no message/],
    [new AggregateError([new Error("connect ECONNREFUSED ::1:9000")]), /failed: connect ECONNREFUSED ::1:9000;/],
    [undefined, /it threw undefined/],
    [new Error("bucket files does not exist"), /failed: bucket files does not exist;/],
  ];
  for (const [thrown, message] of reasons) {
    place.objects.before = () => {
      throw thrown;
    };
    const { error } = await piecesOf(place.session);
    assert(hasCode(error, "attachment_store_failed"), String(error));
    assert.match(error.message, message);
  }
  place.objects.before = () => undefined;
  const get = place.objects.get.bind(place.objects);
  // A store written in JavaScript may give null, or bytes that cannot be iterated as pieces.
  place.objects.get = async (name, range) =>
    place.objects.markers.has(name) ? await get(name, range) : (null as unknown as undefined);
  assert(isDamaged((await piecesOf(place.session)).error));
  place.objects.get = async (name, range) =>
    Buffer.concat(await Array.fromAsync((await get(name, range)) ?? [])) as unknown as AsyncIterable<Uint8Array>;
  const { error } = await piecesOf(place.session);
  assert(hasCode(error, "attachment_store_failed"), String(error));
});
