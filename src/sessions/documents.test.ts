/** Documents: values under keys, compared by version, expired by the store's clock, in one commit with writes of sessions. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inMemory } from "../../test/support/in-memory.ts";
import { DatabaseSync } from "node:sqlite";
import {
  backupStore,
  copySessions,
  doctor,
  erase,
  findReferences,
  restoreStore,
  sweep,
  verifyErasure,
  type Finding,
} from "../admin.ts";
import { openSessions } from "../open.ts";
import { isDocumentChange } from "../domain/record/change.ts";
import { hasCode, SessionError, type ErrorCode } from "../errors.ts";
import { openSqlite } from "../store/sqlite/open.ts";
import { scriptedClock } from "../testing/scripted-clock.ts";
import type { Value } from "../domain/values/codec.ts";
import { sessionsOn, type Sessions } from "./sessions.ts";

const folder = mkdtempSync(join(tmpdir(), "perdure-documents-"));
after(() => rmSync(folder, { recursive: true }));
let files = 0;
const secret = "a secret for these tests only";

interface Place extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly clock: ReturnType<typeof scriptedClock>;
}

const engines: readonly [string, () => Promise<Place>][] = [
  ["memory", async () => inMemory({ secret })],
  [
    "SQLite",
    async () => {
      const clock = scriptedClock();
      const store = await openSqlite({ url: `sqlite:${join(folder, `${files++}.db`)}`, clock });
      const sessions = sessionsOn(store, { clock, sweep: false, secret });
      return { sessions, clock, [Symbol.asyncDispose]: () => sessions.close() };
    },
  ],
];

const codeIs =
  (code: ErrorCode, details: object = {}) =>
  (error: unknown): boolean => {
    assert(hasCode(error, code), String(error));
    assert.partialDeepStrictEqual(error.details, details);
    return true;
  };

for (const [engine, open] of engines) {
  test(`a document comes back as it was put, with its version and times (${engine})`, async () => {
    await using place = await open();
    const documents = place.sessions.documents("state");
    assert.equal(await documents.get("k"), null);
    const value = { text: "é😀\u0000", at: new Date(0), big: 1n, bytes: Uint8Array.of(1), $type: "date", none: null };
    const first = await documents.put("k", value, { user: "ada" });
    const createdAt = new Date(place.clock.now());
    const stored = { key: "k", user: "ada", createdAt, updatedAt: createdAt, expiresAt: null };
    assert.deepEqual(await documents.get("k"), { ...stored, value, version: first });
    await place.clock.advance(5000);
    const second = await documents.put("k", 2, { ttl: "1h" });
    assert.ok(second > first);
    const updatedAt = new Date(place.clock.now());
    const expiresAt = new Date(updatedAt.getTime() + 3_600_000);
    assert.deepEqual(await documents.get("k"), {
      ...stored,
      user: null,
      value: 2,
      version: second,
      updatedAt,
      expiresAt,
    });
    assert.equal(await place.sessions.documents("other").get("k"), null);
    assert.equal(await place.sessions.for("other").documents("state").get("k"), null);
  });

  test(`a write that finds another version than its own is refused, and writes nothing (${engine})`, async () => {
    await using place = await open();
    const documents = place.sessions.documents("state");
    const ids = { scope: "state", key: "k" };
    await assert.rejects(documents.put("k", 1, { if: 5 }), codeIs("document_conflict", { ...ids, expectedVersion: 5 }));
    const version = await documents.put("k", 1, { if: "absent" });
    const taken = codeIs("document_conflict", { ...ids, storedVersion: version });
    await assert.rejects(documents.put("k", 2, { if: "absent" }), taken);
    await assert.rejects(documents.put("k", 2, { if: version - 1 }), taken);
    await assert.rejects(documents.delete("k", { if: version - 1 }), taken);
    await assert.rejects(
      documents.write([
        { key: "other", value: 1 },
        { key: "k", value: 2, if: version + 1 },
      ]),
      taken,
    );
    assert.equal((await documents.get("k"))?.value, 1);
    assert.equal(await documents.get("other"), null);
    const next = await documents.put("k", 2, { if: version });
    assert.ok(next > version);
    assert.equal(await documents.delete("k", { if: next }), true);
    assert.equal(await documents.delete("k"), false);
    await assert.rejects(documents.delete("k", { if: next }), codeIs("document_conflict", { expectedVersion: next }));
  });

  test(`no version of a key comes twice: in one millisecond, after a deletion, and with the clock set back (${engine})`, async () => {
    await using place = await open();
    const documents = place.sessions.documents("state");
    const seen = new Set<number>();
    let last = 0;
    for (let round = 0; round < 300; round++) {
      if (round === 150) place.clock.set(place.clock.now() - 30_000);
      // Another process makes versions by its own clock.
      const writer = round % 3 === 0 ? documents : place.sessions.for("default").documents("state");
      last = await writer.put("k", round, round % 2 === 0 ? { if: "absent" } : {});
      assert.ok(!seen.has(last));
      seen.add(last);
      if (round % 2 === 1) assert.equal(await documents.delete("k"), true);
    }
    const stale = last;
    await documents.put("k", "new");
    await assert.rejects(documents.put("k", "old", { if: stale }), codeIs("document_conflict"));
  });

  test(`an update is applied to the newest value, and keeps the user and the time of expiry (${engine})`, async () => {
    await using place = await open();
    const documents = place.sessions.documents("state");
    const increment = (value: Value | undefined): Value => Number(value ?? 0) + 1;
    await Promise.all(Array.from({ length: 3 }, () => documents.update("n", increment)));
    assert.equal((await documents.get("n"))?.value, 3);
    assert.equal(await documents.update("n", () => undefined), null);
    await documents.put("n", 1, { user: "ada", ttl: "1h" });
    const before = await documents.get("n");
    await place.clock.advance(1000);
    await documents.update("n", increment);
    const { user, expiresAt } = (await documents.get("n"))!;
    assert.deepEqual({ user, expiresAt }, { user: "ada", expiresAt: before?.expiresAt });
    await documents.update("n", increment, { ttl: "2h" });
    assert.equal((await documents.get("n"))?.expiresAt?.getTime(), place.clock.now() + 7_200_000);
    await assert.rejects(
      documents.update("n", () => {
        throw new RangeError("mine");
      }),
      RangeError,
    );
    await documents.delete("n");
    assert.ok((await documents.update("n", increment)) !== null, "over a deleted document");
  });

  test(`an update beside a touch keeps the time of expiry that the touch set (${engine})`, async () => {
    await using place = await open();
    const documents = place.sessions.documents("state");
    await documents.put("k", 1, { ttl: "1h" });
    const touches: Promise<boolean>[] = [];
    await documents.update("k", (value) => {
      touches.push(documents.touch("k", "5h"));
      return Number(value) + 1;
    });
    assert.deepEqual(await Promise.all(touches), [true]);
    const { value, expiresAt } = (await documents.get("k"))!;
    assert.deepEqual([value, expiresAt?.getTime()], [2, place.clock.now() + 5 * 3_600_000]);
  });

  test(`an expired document is found by nothing, and is not revived by a touch (${engine})`, async () => {
    await using place = await open();
    const documents = place.sessions.documents("web");
    const version = await documents.put("k", 1, { ttl: "10s" });
    await documents.put("stays", 1);
    await place.clock.advance(9999);
    assert.equal(await documents.touch("k", "10s"), true);
    await place.clock.advance(9999);
    assert.equal((await documents.get("k"))?.version, version, "a touch leaves the version");
    await place.clock.advance(1);
    assert.equal(await documents.get("k"), null);
    assert.deepEqual([...(await documents.getMany(["k", "stays", "none"])).keys()], ["stays"]);
    assert.deepEqual(
      (await documents.list()).items.map(({ key }) => key),
      ["stays"],
    );
    assert.equal(await documents.count(), 1);
    assert.equal(await documents.touch("k", "1h"), false);
    assert.equal(await documents.touch("none", "1h"), false);
    assert.equal(await documents.delete("k"), false);
    await assert.rejects(documents.put("k", 2, { if: version }), codeIs("document_conflict"));
    await documents.put("k", 2, { if: "absent" });
    assert.equal((await documents.get("k"))?.createdAt.getTime(), place.clock.now());
  });

  test(`the sweep deletes documents that expired or were deleted, in bounded steps (${engine})`, async () => {
    await using place = await open();
    const documents = place.sessions.documents("web");
    for (let n = 0; n < 250; n++) await documents.put(`e${n}`, n, { ttl: "10s" });
    for (let n = 0; n < 20; n++) await documents.put(`d${n}`, n);
    for (let n = 0; n < 10; n++) await documents.delete(`d${n}`);
    assert.equal((await sweep(place.sessions)).documents, 0);
    await place.clock.advance(80_000);
    const first = await sweep(place.sessions, { rows: 100 });
    assert.deepEqual([first.documents, first.complete], [100, false]);
    assert.equal((await sweep(place.sessions, { dryRun: true })).documents, 0);
    assert.equal((await sweep(place.sessions)).documents, 160);
    assert.equal(await documents.count(), 10);
  });

  test(`lists are by key in code point order, in pages, by prefix (${engine})`, async () => {
    await using place = await open();
    const documents = place.sessions.documents("store");
    const keys = ["a", "a/1", "a/2", "a/\u{10ffff}", "a0", "b/1", "\uffee", "😀"];
    for (const key of keys.toReversed()) await documents.put(key, key);
    const all = await Array.fromAsync(documents.each());
    assert.deepEqual(
      all.map(({ key }) => key),
      keys,
    );
    assert.deepEqual(
      (await Array.fromAsync(documents.each({ prefix: "a/" }))).map(({ value }) => value),
      ["a/1", "a/2", "a/\u{10ffff}"],
    );
    assert.equal(await documents.count({ prefix: "a/" }), 3);
    const page = await documents.list({ prefix: "a/", limit: 2 });
    assert.deepEqual([page.items.length, page.next], [2, "a/2"]);
    const rest = await documents.list({ prefix: "a/", limit: 2, after: "a/2" });
    assert.deepEqual([rest.items.map(({ key }) => key), rest.next], [["a/\u{10ffff}"], undefined]);
  });

  test(`an erasure removes the documents of the user, also expired ones, and no others (${engine})`, async () => {
    await using place = await open();
    const { sessions } = place;
    const documents = sessions.documents("profile");
    for (let n = 0; n < 130; n++) await documents.put(`ada ${n}`, "words of ada", { user: "ada" });
    await documents.put("gone", "words of ada", { user: "ada", ttl: "1s" });
    await documents.put("ben", 1, { user: "ben" });
    await documents.put("none", 1);
    await sessions.for("other").documents("profile").put("ada", 1, { user: "ada" });
    await place.clock.advance(5000);
    const before = await findReferences(sessions, "ada");
    assert.deepEqual([before.sessions, before.documents.count, before.documents.keys.length], [0, 130, 50]);
    assert.deepEqual(before.documents.keys[0], { scope: "profile", key: "ada 0" });
    const receipt = await erase(sessions, { user: "ada" });
    assert.deepEqual([receipt.erased.sessions, receipt.erased.documents], [0, 131]);
    assert.equal(verifyErasure(sessions, receipt, "ada"), true);
    const altered = { ...receipt, erased: { ...receipt.erased, documents: 0 } };
    assert.equal(verifyErasure(sessions, altered, "ada"), false);
    assert.deepEqual((await findReferences(sessions, "ada")).documents, { count: 0, keys: [] });
    const left = await Array.fromAsync(documents.each());
    assert.deepEqual(
      left.map(({ key }) => key),
      ["ben", "none"],
    );
    assert.equal(await sessions.for("other").documents("profile").count(), 1);
    // A later run erases what was put since.
    await documents.put("again", 1, { user: "ada" });
    assert.equal((await erase(sessions, { user: "ada" })).erased.documents, 1);
    assert.equal(await documents.get("again"), null);
  });
}

test("bad input is refused by a typed error, and nothing is written", async () => {
  await using place = inMemory({ limits: { documentBytesMax: 100, documentsMax: 3 } });
  const { sessions } = place;
  const documents = sessions.documents("s");
  await documents.put("k", 1);
  const { commits } = place.store;
  const long = "x".repeat(257);
  const calls: readonly [ErrorCode, () => unknown][] = [
    ["id_invalid", () => sessions.documents("")],
    ["id_invalid", () => sessions.documents(long)],
    ["id_invalid", () => sessions.documents("a\u0000b")],
    ["id_invalid", () => sessions.documents(7 as never)],
    ["id_invalid", () => documents.put("", 1)],
    ["id_invalid", () => documents.put(long, 1)],
    ["id_invalid", () => documents.put("..", 1)],
    ["id_invalid", () => documents.put("\ud800", 1)],
    ["id_invalid", () => documents.get(long)],
    ["id_invalid", () => documents.getMany(["k", ""])],
    ["argument_invalid", () => documents.getMany("k" as never)],
    ["argument_invalid", () => documents.getMany(["a", "b", "c", "d"])],
    ["id_invalid", () => documents.delete(undefined as never)],
    ["id_invalid", () => documents.touch(long, "1h")],
    ["duration_invalid", () => documents.touch("k", 0)],
    ["duration_invalid", () => documents.put("k", 1, { ttl: -1 })],
    ["duration_invalid", () => documents.put("k", 1, { ttl: "soon" })],
    ["duration_invalid", () => documents.update("k", () => 1, { ttl: Number.POSITIVE_INFINITY })],
    ["value_unstorable", () => documents.put("k", undefined as never)],
    ["value_unstorable", () => documents.put("k", { f: () => 1 } as never)],
    ["value_unstorable", () => documents.put("k", Number.NaN)],
    ["value_unstorable", () => documents.update("k", () => new Map() as never)],
    ["document_too_large", () => documents.put("k", "é".repeat(50))],
    ["document_too_large", () => documents.update("k", () => "x".repeat(99))],
    ["argument_invalid", () => documents.put("k", 1, { if: 0 })],
    ["argument_invalid", () => documents.put("k", 1, { if: 1.5 })],
    ["argument_invalid", () => documents.put("k", 1, { if: "present" as never })],
    ["argument_invalid", () => documents.put("k", 1, { if: null as never })],
    ["id_invalid", () => documents.put("k", 1, { user: "" })],
    ["argument_invalid", () => documents.put("k", 1, { tll: "1h" } as never)],
    ["argument_invalid", () => documents.delete("k", { if: "absent" as never })],
    ["argument_invalid", () => documents.list({ limit: 0 })],
    ["argument_invalid", () => documents.list({ limit: 1001 })],
    ["id_invalid", () => documents.list({ prefix: long })],
    ["id_invalid", () => documents.list({ after: "" })],
    ["argument_invalid", () => documents.count({ prefx: "a" } as never)],
    ["argument_invalid", () => documents.write("k" as never)],
    ["argument_invalid", () => documents.write([null as never])],
    ["argument_invalid", () => documents.write([{ key: "k", delete: false as never }])],
    ["argument_invalid", () => documents.write([{ key: "k", delete: true, value: 1 } as never])],
    ["value_unstorable", () => documents.write([{ key: "k" } as never])],
    [
      "argument_invalid",
      () =>
        documents.write([
          { key: "k", value: 1 },
          { key: "k", delete: true },
        ]),
    ],
    ["argument_invalid", () => documents.write(["a", "b", "c", "d"].map((key) => ({ key, value: 1 })))],
    [
      "document_too_large",
      () =>
        documents.write([
          { key: "a", value: 1 },
          { key: "b", value: "x".repeat(100) },
        ]),
    ],
  ];
  for (const [code, call] of calls) {
    await assert.rejects(async () => await call(), codeIs(code), call.toString());
  }
  const session = await sessions.create();
  const before = place.store.commits;
  for (const [code, call] of [
    ["id_invalid", () => session.write({ documents: [{ scope: "", key: "a", value: 1 }] })],
    ["id_invalid", () => session.write({ documents: [{ key: "a", value: 1 } as never] })],
    ["argument_invalid", () => session.write({ documents: {} as never })],
    ["document_too_large", () => session.write({ documents: [{ scope: "s", key: "a", value: "x".repeat(100) }] })],
  ] as const)
    await assert.rejects(call(), codeIs(code));
  assert.deepEqual([place.store.commits - before, before - commits], [0, 1], "only the session was written");
  assert.deepEqual(
    (await Array.fromAsync(documents.each())).map(({ key, value }) => [key, value]),
    [["k", 1]],
  );
  await assert.rejects(documents.getMany(["k", "k", "k", "k"]), codeIs("argument_invalid"));
  await sessions.close();
  await assert.rejects(documents.get("k"), codeIs("closed"));
});

for (const [engine, open] of engines) {
  test(`documents land in the same commit as a write of a session, or nothing does (${engine})`, async () => {
    await using place = await open();
    const { sessions } = place;
    const documents = sessions.documents("app");
    const session = await sessions.create({ id: "s" });
    const written = await session.write({
      turns: { turns: [{ input: "hi", output: "hello" }] },
      logs: { events2: { entries: [{ key: "e1", value: 1 }] } },
      documents: [
        { scope: "app", key: "count", value: 1, if: "absent" },
        { scope: "user", key: "ada", value: { name: "Ada" }, user: "ada" },
      ],
    });
    assert.ok(written.status === "ok");
    assert.equal(written.documents?.length, 2);
    assert.equal((await documents.get("count"))?.version, written.documents[0]);
    const version = written.documents[0]!;
    // A document that does not fit keeps everything from being written.
    await assert.rejects(
      session.write({
        turns: { turns: [{ input: "two" }] },
        documents: [
          { scope: "app", key: "new", value: 1 },
          { scope: "app", key: "count", value: 2, if: version - 1 },
        ],
      }),
      codeIs("document_conflict", { key: "count", storedVersion: version }),
    );
    // A key that is in its log does as well.
    const again = await session.write({
      logs: { events2: { entries: [{ key: "e1", value: 2 }] } },
      documents: [{ scope: "app", key: "new", value: 1 }],
    });
    assert.equal(again.status, "duplicate");
    // And a log that has changed.
    const look = await session.look([{ log: "events2", last: 1 }]);
    await session.write({ logs: { events2: { entries: [{ value: 3 }] } } });
    await assert.rejects(
      session.write({ documents: [{ scope: "app", key: "new", value: 1 }], onto: look }),
      // Nothing of the looked-at logs is written, but one of them has changed.
      codeIs("conflict"),
    );
    assert.equal(await documents.get("new"), null);
    assert.equal((await Array.fromAsync(session.turns())).length, 1);
    const alone = await session.write({
      documents: [
        { scope: "app", key: "count", delete: true, if: version },
        { scope: "app", key: "new", value: 2 },
      ],
    });
    assert.ok(alone.status === "ok");
    assert.deepEqual([alone.documents?.[0], await documents.get("count")], [null, null]);
    assert.equal((await documents.get("new"))?.version, alone.documents?.[1]);
  });

  test(`writes to several sessions land with their documents, or nothing does (${engine})`, async () => {
    await using place = await open();
    const { sessions } = place;
    for (const id of ["a", "b"]) await sessions.create({ id });
    const outcome = await sessions.write([
      { id: "a", documents: [{ scope: "d", key: "one", value: 1 }], turns: { turns: [{ input: "x" }] } },
      { id: "b", turns: { turns: [{ input: "y" }] } },
    ]);
    assert.ok(outcome.status === "ok");
    const [a, b] = outcome.writes;
    assert.deepEqual([a?.documents?.length, b?.documents], [1, undefined]);
    const writes = [
      { id: "a", turns: { turns: [{ input: "x2" }] } },
      { id: "b", documents: [{ scope: "d", key: "one", value: 2, if: "absent" as const }] },
    ];
    await assert.rejects(sessions.write(writes), codeIs("document_conflict"));
    assert.equal((await (await sessions.get("a")).look([])).info.counters.turns, 1);
    assert.equal((await sessions.documents("d").get("one"))?.value, 1);
  });
}

test("a put whose answer is lost has happened once; one that did not land is an error", async () => {
  await using place = inMemory();
  const documents = place.sessions.documents("s");
  await documents.put("warm", 1);
  place.store.plan((_, [transaction]) => (transaction?.some(isDocumentChange) ? { fails: "after" } : undefined));
  const version = await documents.put("k", 1, { if: "absent" });
  assert.equal((await documents.get("k"))?.version, version);
  assert.equal(await documents.delete("k"), true);
  place.store.plan((_, [transaction]) => (transaction?.some(isDocumentChange) ? { fails: "before" } : undefined));
  await assert.rejects(documents.put("k", 2), SessionError);
  place.store.plan({});
  assert.equal(await documents.get("k"), null);
});

test("a writer whose clock is behind writes a greater version than the stored one", async () => {
  await using place = inMemory();
  const documents = place.sessions.documents("s");
  const ahead = await documents.put("k", 1);
  place.clock.set(place.clock.now() - 3_600_000);
  const later = place.another().documents("s");
  assert.ok((await later.put("k", 2)) > ahead);
  assert.equal((await later.get("k"))?.value, 2);
});

test("a copy, a backup and its restore carry documents with their versions and times; the doctor finds a damaged one", async () => {
  const files = ["source", "copy", "restored"].map((name) => `sqlite:${join(folder, `${name}.db`)}`);
  const [source, copy, restored] = files as [string, string, string];
  await using sessions = await openSessions({ store: source, sweep: false });
  const documents = sessions.documents("d");
  for (let n = 0; n < 250; n++) await documents.put(`k${n}`, { n, text: "é\u0000" }, { user: "ada" });
  await documents.put("expires", 1, { ttl: "1h" });
  await sessions.for("other").documents("d").put("k", 1);
  const all = await Array.fromAsync(documents.each());

  await using copied = await openSessions({ store: copy, sweep: false });
  await copied.documents("d").put("k0", "newer than the source");
  const report = await copySessions(sessions, copied, { everything: true });
  assert.deepEqual([report.documents, report.complete], [251, true]);
  const target = await Array.fromAsync(copied.documents("d").each());
  assert.deepEqual(
    target.filter(({ key }) => key !== "k0"),
    all.filter(({ key }) => key !== "k0"),
  );
  assert.equal((await copied.documents("d").get("k0"))?.value, "newer than the source");
  const second = await copySessions(sessions, copied, { everything: true });
  assert.deepEqual([second.documents, second.extraDocuments], [undefined, undefined]);
  const value = (await documents.get("k9"))?.value;
  await documents.delete("k9");
  await copied.for("other").documents("own").put("k", 1);
  const extra = [
    { tenant: "default", scope: "d", key: "k9" },
    { tenant: "other", scope: "own", key: "k" },
  ];
  const third = await copySessions(sessions, copied, { everything: true });
  assert.deepEqual([third.extraDocuments, third.complete], [{ count: 2, keys: extra }, true]);
  const ofTenant = await copySessions(sessions, copied);
  assert.deepEqual(ofTenant.extraDocuments, { count: 1, keys: extra.slice(0, 1) });
  await documents.put("k9", value ?? null, { user: "ada" });
  all.splice(0, all.length, ...(await Array.fromAsync(documents.each())));

  const backup = join(folder, "backup.db");
  await backupStore(source, backup);
  await restoreStore(backup, restored);
  await using again = await openSessions({ store: restored, sweep: false });
  assert.deepEqual(await Array.fromAsync(again.documents("d").each()), all);
  assert.equal(await again.for("other").documents("d").count(), 1);

  assert.equal((await doctor(sessions)).findings, 0);
  const database = new DatabaseSync(join(folder, "source.db"));
  database.exec("update documents set data = '{' where key = 'k7'");
  database.close();
  const findings: Finding[] = [];
  await doctor(sessions, { onFinding: (finding) => findings.push(finding) });
  assert.deepEqual(
    findings.map(({ kind, what }) => [kind, what]),
    [["damage", "document k7 of scope d cannot be read"]],
  );
  await assert.rejects(documents.get("k7"), codeIs("store_invalid", { scope: "d", key: "k7" }));
  assert.deepEqual((await documents.list({ prefix: "k7" })).unreadable, ["k7"]);
  await documents.put("k7", "repaired");
  assert.equal((await documents.get("k7"))?.value, "repaired");
});
