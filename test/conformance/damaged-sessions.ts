/** One damaged session does not keep Perdure from working on the others, nor its own from being put in order, on any store. */
import assert from "node:assert/strict";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, test } from "node:test";
import { encode } from "../../src/domain/values/codec.ts";
import type { Entry, UnreadableEntry } from "../../src/domain/record/entry.ts";
import { entryOfTurn } from "../../src/domain/turns/turn.ts";
import { identityOf } from "../../src/domain/record/change.ts";
import type { SessionRecord } from "../../src/domain/record/record.ts";
import type { Model, SessionError, SessionNews, SweepNews, Turn } from "../../src/index.ts";
import { openStore } from "../../src/open.ts";
import { coreOf, sessionsOn, type Sessions } from "../../src/sessions/sessions.ts";
import { sweep } from "../../src/sessions/retention/sweep.ts";
import type { Store } from "../../src/store/store.ts";
import { sweep as sweepSessions, erase, doctor, copySessions, exportSessions } from "../../src/admin.ts";

/** A fresh, empty store. */
export type OpenedStore = AsyncDisposable & { readonly store: Store };

const tenant = "mallory";

/** Its open turn has three pieces, of which one is readable. */
async function openTurnOfDamagedPieces(store: Store, record: SessionRecord): Promise<void> {
  const turn = {
    seq: 1,
    key: null,
    at: new Date(1),
    status: "open",
    agent: "assistant",
    requests: 0,
    output: [],
  } as const;
  const question = entryOfTurn({ ...turn, input: [{ role: "user", content: "hello?" }] }, 0);
  const pieces = [{ text: "so far" }, {}, { message: { role: "stranger" } }];
  const chunks = pieces.map((piece, index): Entry => ({ seq: index + 1, key: null, at: 1, data: encode(piece) }));
  await replace(store, record, { openTurn: 1, heads: { ...record.heads, turns: 1, chunks: 3 } }, [
    { log: "turns", from: 1, entries: [question] },
    { log: "chunks", from: 1, entries: chunks },
  ]);
}

/** Its record speaks of an open turn that its log does not hold. */
async function openTurnOfNothing(store: Store, record: SessionRecord): Promise<void> {
  await replace(store, record, { openTurn: 3 }, []);
}

/** Data of an entry that is neither a turn nor an event. */
const damagedData = ["", "{", "null", "[]", "5", '{"type":5,"status":5}', '{"$type":"date","value":"soon"}'];
/** Data of an entry that is JSON and has the status of a turn, but not its messages. */
const damagedTurns = [
  '{"status":"done","output":[]}',
  '{"status":"done","input":[null],"output":[]}',
  '{"status":"failed","input":[],"output":[],"error":{}}',
];

/** Replace one entry of a log, and nothing else. */
async function damageEntry(store: Store, id: string, log: string, damaged: Partial<Entry> & { readonly seq: number }) {
  const record = await recordOf(store, "default", id);
  assert(record !== undefined);
  const range = { log, from: damaged.seq, to: Number.MAX_SAFE_INTEGER, order: "ascending", limit: 1000 } as const;
  const [entry, ...later] = await store.read(record, range);
  assert(entry !== undefined);
  await replace(store, record, {}, [{ log, from: damaged.seq, entries: [{ ...entry, ...damaged }, ...later] }]);
}

/** A model that answers with what it was asked. */
const echo: Model = async function* ({ messages }) {
  yield { type: "text", text: messages.map(({ content }) => String(content)).join(" ") };
};

/** Make a session that is overdue, and whose recovery fails. */
export async function damage(store: Store, key: { readonly tenant: string; readonly id: string }): Promise<void> {
  const record = await recordOf(store, key.tenant, key.id);
  assert(record !== undefined);
  await replace(store, record, { openTurn: 3, lastActivityAt: 1, ttlMs: 1, expiresAt: 2, sweepAt: 2 }, []);
}

/** The next turn of a watch, without the chunks before it. */
async function nextTurnIn(watched: AsyncIterator<SessionNews>): Promise<Turn> {
  for (;;) {
    const { value, done } = await watched.next();
    assert.ok(done !== true, "the watch goes on");
    if (value.type === "turn") return value.turn;
  }
}

async function turnIn(watched: AsyncIterator<SessionNews>): Promise<number> {
  return (await nextTurnIn(watched)).seq;
}

async function replace(
  store: Store,
  record: SessionRecord,
  fields: Partial<SessionRecord>,
  splices: readonly { log: string; from: number; entries: readonly Entry[] }[],
): Promise<void> {
  const key = { tenant: record.tenant, id: record.id };
  const damaged = { ...record, ...fields, version: record.version + 1 };
  const change = { key, expected: identityOf(record), record: damaged, splices, claims: [] };
  const [outcome] = await store.commit([[change]]);
  assert.equal(outcome?.status, "ok");
}

async function recordOf(store: Store, tenantOfIt: string, id: string): Promise<SessionRecord | undefined> {
  return (await store.load([{ key: { tenant: tenantOfIt, id }, tails: [] }])).sessions[0]?.record;
}

/** Reads of this session's logs fail with an error that no rule of Perdure knows. */
function failingFor(store: Store, id: string): Store {
  const fails = new Proxy(store, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return (...given: [{ readonly id?: string }, ...unknown[]]) => {
        if (name === "read" && given[0].id === id) throw new TypeError("nobody expected this");
        return Reflect.apply(member, target, given) as unknown;
      };
    },
  });
  return fails;
}

export function damagedSessionSuite(name: string, open: () => Promise<OpenedStore>): void {
  /** Sessions of two tenants, all of them overdue; `broken` ones are due first. */
  async function overdue(
    store: Store,
    sessions: Sessions,
    broken: Readonly<Record<string, (store: Store, record: SessionRecord) => Promise<void>>>,
  ): Promise<void> {
    let dueAt = 2;
    for (const [id, damage] of Object.entries(broken)) {
      await sessions.for(tenant).create({ id });
      await age(store, tenant, id, dueAt++);
      const record = await recordOf(store, tenant, id);
      assert(record !== undefined);
      await damage(store, record);
    }
    for (let index = 0; index < 10; index++) {
      await sessions.for("victim").create({ id: `s${index}` });
      await age(store, "victim", `s${index}`, dueAt++);
    }
  }

  async function age(store: Store, of: string, id: string, dueAt: number): Promise<void> {
    const record = await recordOf(store, of, id);
    assert(record !== undefined);
    await replace(store, record, { lastActivityAt: 1, ttlMs: 1, expiresAt: 2, sweepAt: dueAt }, []);
  }

  describe(name, () => {
    for (const lost of [1, 3])
      test(`a turn that replaced others ends where entry ${lost} of those is lost, and puts back the rest`, async () => {
        await using opened = await open();
        const { store } = opened;
        await using sessions = sessionsOn(store, { sweep: false });
        const session = await sessions.create({ id: "s" });
        for (const input of ["one", "two", "three", "four"]) await session.append({ input });
        await using another = sessionsOn(store, { sweep: false });
        const turn = await (await another.get("s")).begin("again", { after: 1 });
        const record = await recordOf(store, "default", "s");
        assert(record !== undefined);
        const range = { log: "replaced", from: lost + 1, to: 4, order: "ascending", limit: 9 } as const;
        const later = await store.read(record, range);
        await replace(store, record, { heads: record.heads }, [{ log: "replaced", from: lost, entries: later }]);
        await turn.seal({ status: "failed", error: { code: "model_failed", message: "overloaded" } });
        await session.refresh();
        await session.append({ input: "five" });
        const inputs = (await Array.fromAsync(session.turns())).map(({ input }) => input[0]?.content);
        assert.deepEqual(inputs, ["one", "two", ...(lost === 3 ? [] : ["three"]), "four", "five"]);
        assert.equal(session.info.counters.turns, inputs.length);
      });

    test("a session with a failing recovery is reported and deferred, and one pass sweeps the other tenants", async () => {
      await using opened = await open();
      const store = failingFor(opened.store, "untyped");
      await using sessions = sessionsOn(store, { sweep: false });
      await overdue(opened.store, sessions, { untyped: openTurnOfDamagedPieces, typed: openTurnOfNothing });
      const heard: SweepNews[] = [];
      const listener = (news: unknown): void => void heard.push(news as SweepNews);
      subscribe("perdure:sweep", listener);
      try {
        const report = await sweep(coreOf(sessions), undefined, {});
        assert.deepEqual([report.expired, report.failed, report.complete], [10, 2, true]);
        const failures = report.failures.map(
          ({ tenant: of, session, action, code }) => `${of} ${session} ${action} ${code}`,
        );
        assert.deepEqual(
          failures.toSorted((a, b) => a.localeCompare(b)),
          ["mallory typed expire store_invalid", "mallory untyped expire internal"],
        );
        const again = await sweep(coreOf(sessions), undefined, {});
        assert.deepEqual([again.looked, again.failed], [0, 0], "they are put off");
        const published = heard.map(({ failed, error }) => [failed, error]);
        assert.deepEqual(published, [
          [2, undefined],
          [0, undefined],
        ]);
      } finally {
        unsubscribe("perdure:sweep", listener);
      }
      for (const id of ["typed", "untyped"]) {
        const record = await recordOf(opened.store, tenant, id);
        assert.ok(record !== undefined && record.sweepAt > record.expiresAt);
        assert.ok(record.openTurn !== null, "nothing else of it was changed");
      }
    });

    test("an answer with damaged pieces is sealed with its readable ones and a marked error, and the session is swept, ended, unlocked, archived and removed", async () => {
      await using opened = await open();
      await using sessions = sessionsOn(opened.store, { sweep: false });
      const mine = sessions.for(tenant);
      for (const id of ["swept", "ended", "unlocked", "appended"]) {
        await mine.create({ id });
        const record = await recordOf(opened.store, tenant, id);
        assert(record !== undefined);
        await openTurnOfDamagedPieces(opened.store, record);
      }
      await age(opened.store, tenant, "swept", 2);
      assert.deepEqual((await sweepSessions(mine)).failures, []);
      await (await mine.get("ended")).end({ reason: "enough" });
      await (await mine.get("unlocked")).breakLease();
      await (await mine.get("appended")).append({ input: "go on" });
      for (const id of ["swept", "ended", "unlocked", "appended"]) {
        const session = await mine.get(id);
        const [turn] = await Array.fromAsync(session.turns());
        assert.deepEqual(turn?.output, [{ role: "assistant", content: "so far" }]);
        assert.equal(turn.status, "interrupted");
        assert.equal(turn.error?.code, "store_invalid");
        assert.match(turn.error.message, /only 1 of 3 chunks/);
        await session.archive();
        await session.remove();
      }
    });

    test("a failing session does not prevent others from being exported, copied, examined and erased", async () => {
      await using opened = await open();
      const store = failingFor(opened.store, "bad");
      await using sessions = sessionsOn(store, { sweep: false, secret: "a secret for tests only" });
      const forks = new Map<string, string>();
      for (const id of ["a", "bad", "z"]) {
        const session = await sessions.create({ id, user: "ada" });
        await session.append({ input: "hello", output: "there" });
        const fork = await session.fork();
        await fork.update({ user: "bob" });
        forks.set(id, fork.id);
      }
      const unreadable: string[] = [];
      const exported = await Array.fromAsync(exportSessions(sessions, { onSkipped: (id) => unreadable.push(id) }));
      // Its own logs come with its record; the read that fails is that of its fork, for the turns that it shares.
      assert.equal(exported.length, 5);
      assert.deepEqual(unreadable, [forks.get("bad")]);

      await using target = sessionsOn(await openStore("memory:"), { sweep: false });
      const copied = await copySessions(sessions, target);
      assert.deepEqual(
        copied.reasons.map(({ source }) => source),
        [forks.get("bad")],
      );
      assert.equal((await target.list()).items.length, 5);

      const found: string[] = [];
      const examined = await doctor(sessions, { onFinding: ({ session }) => found.push(session ?? "") });
      assert.equal(examined.sessions, 6);
      const isOfBad = (id: string): boolean => id === "bad" || id === forks.get("bad");
      assert.ok(found.includes("bad") && found.every(isOfBad), found.join(" "));

      await assert.rejects(erase(sessions, { user: "ada" }), /nobody expected this/);
      const left = (await sessions.list({ user: "ada" })).items.map(({ id }) => id);
      assert.ok(left.includes("bad") && !left.includes("a") && !left.includes("z"), left.join(" "));
    });

    test("one damaged entry ends no reading of its session", async () => {
      await using opened = await open();
      const { store } = opened;
      await using sessions = sessionsOn(store, { sweep: false, model: echo });
      const harms = [
        ...damagedData.map((data) => ({ data })),
        ...damagedTurns.map((data) => ({ data })),
        { at: 8_640_000_000_000_001 },
      ];
      for (const [index, harm] of harms.entries()) {
        const id = `s${index}`;
        const session = await sessions.create({ id });
        for (const input of ["one", "two", "three"]) await session.append({ input, output: "ok" });
        await session.handOff("cfo");
        await session.endHandoff();
        await damageEntry(store, id, "turns", { seq: 2, ...harm });
        await damageEntry(store, id, "events", { seq: 2, ...harm });
        const about = JSON.stringify(harm);

        const isEvent = "data" in harm && damagedTurns.includes(harm.data);
        const named: UnreadableEntry[] = [];
        const onUnreadable = (entry: UnreadableEntry): void => void named.push(entry);
        const seqsOf = async (items: AsyncIterable<{ readonly seq: number }>): Promise<number[]> =>
          (await Array.fromAsync(items)).map(({ seq }) => seq);
        assert.deepEqual(await seqsOf(session.turns({ onUnreadable })), [1, 3], about);
        assert.deepEqual(await seqsOf(session.turns({ last: 2 })), [3], about);
        assert.deepEqual(await seqsOf(session.turns({ from: 2, to: 2 })), [], about);
        assert.deepEqual(await seqsOf(session.events({ onUnreadable })), [1, 3], about);
        assert.deepEqual(await seqsOf(session.events({ last: 2 })), [3], about);
        assert.deepEqual(
          named.map(({ seq }) => seq),
          [2, 2],
          about,
        );
        assert.match(
          named.map(({ reason }) => reason).join(),
          isEvent ? /no type/ : /cannot be read|no type|date/,
          about,
        );

        const watched = session.watch({ after: 0 })[Symbol.asyncIterator]();
        assert.deepEqual([await turnIn(watched), await turnIn(watched)], [1, 3], about);
        const view = await sessions.get(id);
        const answer = await (await view.consult("four")).done;
        assert.match(JSON.stringify(answer.output), /one ok three ok four/, about);
        // The open turn comes too, unless the turn is finished when the watch first sees it.
        while ((await nextTurnIn(watched)).status === "open");
        await watched.return?.();
        await assert.rejects(view.truncate(1), { code: "store_invalid" }, about);
        await view.truncate(3);
        assert.equal((await sessions.listEvents({ session: id })).unreadable?.length, 1, about);
      }
      const found: string[] = [];
      await doctor(sessions, { onFinding: ({ kind, session }) => found.push(`${session} ${kind}`) });
      for (const index of harms.keys())
        assert.equal(found.filter((finding) => finding === `s${index} unreadable`).length, 2, found.join());
    });

    test("an export skips and names a session with an entry that is not JSON, and its snapshot is refused", async () => {
      await using opened = await open();
      await using sessions = sessionsOn(opened.store, { sweep: false });
      for (const id of ["a", "bad", "z"]) await (await sessions.create({ id })).append({ input: "hello" });
      await damageEntry(opened.store, "bad", "turns", { seq: 1, data: "{" });
      const skipped: string[] = [];
      const onSkipped = (id: string, { code }: SessionError): void => void skipped.push(`${id} ${code}`);
      const exported = await Array.fromAsync(exportSessions(sessions, { onSkipped }));
      for (const { text } of exported) assert.ok(JSON.parse(text));
      assert.deepEqual([exported.map(({ id }) => id), skipped], [["a", "z"], ["bad store_invalid"]]);
      await assert.rejects(sessions.snapshot("bad"), { code: "store_invalid" });
    });

    test("damaged instructions fail with a typed error, and no model is asked without them", async () => {
      await using opened = await open();
      await using sessions = sessionsOn(opened.store, { sweep: false, model: echo });
      await sessions.create({ id: "s", instructions: "Be brief." });
      for (const data of ["{", "5"]) {
        await damageEntry(opened.store, "s", "instructions", { seq: 1, data });
        const session = await sessions.get("s");
        await assert.rejects(session.instructions(), { code: "store_invalid" });
        await assert.rejects(session.consult("hello"), { code: "store_invalid" });
        assert.equal((await Array.fromAsync(session.turns())).at(-1)?.status, "failed");
      }
    });

    test("a watch passes over a damaged last turn", async () => {
      await using opened = await open();
      const { store } = opened;
      await using sessions = sessionsOn(store, { sweep: false });
      const session = await sessions.create({ id: "s" });
      await session.append({ input: "one" });
      await session.append({ input: "two" });
      await damageEntry(store, "s", "turns", { seq: 2, data: "{" });
      const watched = (await sessions.get("s")).watch({ after: 0 })[Symbol.asyncIterator]();
      assert.equal(await turnIn(watched), 1);
      const writer = await sessions.get("s");
      await writer.append({ input: "three" });
      assert.equal(await turnIn(watched), 3);
      await watched.return?.();
    });

    test("a watch passes over damaged chunks", async () => {
      await using opened = await open();
      const { store } = opened;
      await using sessions = sessionsOn(store, { sweep: false });
      await sessions.create({ id: "open" });
      const record = await recordOf(store, "default", "open");
      assert(record !== undefined);
      await openTurnOfDamagedPieces(store, record);
      const answer = (await sessions.get("open")).watch({ after: 0 })[Symbol.asyncIterator]();
      assert.equal(await turnIn(answer), 1);
      assert.deepEqual((await answer.next()).value, { type: "chunk", turn: 1, seq: 1, chunk: { text: "so far" } });
      const sealed = turnIn(answer);
      await (await sessions.get("open")).append({ input: "go on" });
      assert.equal(await sealed, 1);
      await answer.return?.();
    });

    test("a sweep that the store ends is published on its channel", async () => {
      await using opened = await open();
      await using sessions = sessionsOn(opened.store, { sweep: false });
      const heard: SweepNews[] = [];
      const listener = (news: unknown): void => void heard.push(news as SweepNews);
      subscribe("perdure:sweep", listener);
      try {
        await opened.store.close();
        await assert.rejects(sweepSessions(sessions), { code: "closed" });
      } finally {
        unsubscribe("perdure:sweep", listener);
      }
      assert.deepEqual(
        heard.map(({ error, complete }) => [error, complete]),
        [["closed", false]],
      );
    });
  });
}
