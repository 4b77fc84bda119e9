/** What a session promises, wherever it is: at hand on any store, or over HTTP. One suite for all of them. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { defined } from "../../src/domain/values/defined.ts";
import type { RemoteSessions } from "../../src/client/index.ts";
import { erase, sweep, type ErasureReceipt, type ErasureRequest } from "../../src/admin.ts";
import { hasCode, Sessions, type Model, type SessionsOptions, type Turn } from "../../src/index.ts";
import { oddIds } from "../../src/testing/conformance/odd-texts.ts";

/** Sessions of a fresh, empty store. */
export type OpenedSessions = AsyncDisposable & { readonly sessions: Sessions | RemoteSessions };

/** Answers with how much it was shown, in two pieces; fails or hangs when it is told to. */
const answer: Model = async function* ({ messages, decided, signal }) {
  if (decided !== undefined) {
    const [call] = decided.calls;
    if (call === undefined) throw new Error("no call waits");
    const decision = decided.decisions[call.id];
    const content = decision === true ? "done" : `refused: ${decision?.refused}`;
    yield { type: "message", message: { role: "tool", tool_call_id: call.id, content } };
    yield { type: "text", text: "over" };
    return;
  }
  const question = messages.at(-1)?.content;
  if (question === "fail") throw new Error("the model is ill");
  yield { type: "text", text: "shown " };
  if (question === "approve") {
    const call = { id: "c1", function: { name: "pay", arguments: "{}" } };
    yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
    yield { type: "approval", asks: [call.id], notRun: [call] };
    return;
  }
  if (question === "hang") await sleep(60_000, undefined, { signal });
  yield { type: "text", text: String(messages.length) };
};
const model: Model = Object.assign(answer, { runsTools: true });

const agents = { assistant: {}, ceo: { instructions: "You lead." } };

export function sessionSuite(name: string, open: (options: SessionsOptions) => Promise<OpenedSessions>): void {
  const check = (title: string, body: (sessions: Sessions | RemoteSessions) => Promise<void>): void => {
    test(title, async () => {
      await using opened = await open({ model, agents, sweep: false, secret: "a secret for tests only" });
      await body(opened.sessions);
    });
  };
  const inputs = async (turns: AsyncIterable<Turn>): Promise<unknown[]> =>
    (await Array.fromAsync(turns)).map(({ input }) => input[0]?.content);

  describe(name, () => {
    check("a turn waits for approval, is found by its reason, and goes on once, in its place", async (sessions) => {
      await sessions.create({ id: "idle" });
      const session = await sessions.create({ id: "s", labels: { team: "ops" } });
      const turn = await (await session.consult("approve", { key: "k" })).done;
      assert.equal(turn.status, "waiting");
      const found = async (query: { readonly waiting: string | true }): Promise<readonly string[]> =>
        (await sessions.list(query)).items.map(({ id }) => id);
      assert.deepEqual(await found({ waiting: true }), ["s"]);
      assert.deepEqual(await found({ waiting: "approval" }), ["s"]);
      assert.deepEqual(await found({ waiting: "payment" }), []);
      const { labels, waitingTurn } = await session.refresh();
      assert.deepEqual([labels, waitingTurn?.turn, waitingTurn?.expiresAt], [{ team: "ops" }, 1, null]);
      await assert.rejects(session.consult("another"), { code: "turn_waiting" });
      assert.equal((await (await session.consult("approve", { key: "k" })).done).status, "waiting", "a retry");
      const waiting = await session.waiting();
      assert.ok(waiting);
      assert.deepEqual(
        waiting.calls.map(({ id }) => id),
        ["c1"],
      );
      const other = await sessions.get("s");
      const tries = await Promise.allSettled(
        [session, other].map(async (one) => await (await one.approve(waiting.token, { c1: { refused: "no" } })).done),
      );
      assert.equal(tries.filter(({ status }) => status === "fulfilled").length, 1);
      const lost = tries.find((one) => one.status === "rejected");
      assert.ok(hasCode(lost?.reason, "turn_not_waiting"), String(lost?.reason));
      await other.refresh();
      const [sealed] = await Array.fromAsync(other.turns());
      assert.deepEqual(
        sealed?.output.map(({ role, content }) => [role, content]),
        [
          ["assistant", "shown "],
          ["tool", "refused: no"],
          ["assistant", "over"],
        ],
      );
      assert.deepEqual([sealed?.status, sealed?.key], ["done", "k"]);
      assert.deepEqual(await found({ waiting: true }), []);
      await (
        await other.consult("approve")
      ).done;
      assert.equal(await other.cancel(), true);
      assert.equal(await other.waiting(), null);
      await other.refresh();
      await other.append({ input: "next", output: "yes" });
    });

    check("every value is read as it was written", async (sessions) => {
      const values = [
        ...oddIds,
        -0,
        1e308,
        5e-324,
        2 ** 53,
        null,
        true,
        12_345_678_901_234_567_890n,
        new Date("2026-01-01T00:00:00.001Z"),
        new Uint8Array([0, 255, 10]),
        { $type: "date", value: "not one" },
        JSON.parse('{"__proto__":{"x":1},"b":1,"a":2}'),
        [[], {}, [[null]]],
        "x".repeat(1_000_000),
      ];
      const session = await sessions.create({ id: "s", metadata: { values: values.slice(0, -1) } });
      assert.deepEqual(session.info.metadata, { values: values.slice(0, -1) });
      for (const value of values) await session.append({ input: { role: "user", content: value }, output: "ok" });
      const again = await sessions.get("s");
      assert.deepEqual(again.info.metadata, { values: values.slice(0, -1) });
      const kept = await inputs(again.turns());
      assert.deepEqual(kept, values);
      assert.equal(JSON.stringify(Object.keys(kept.at(-3) as object)), '["__proto__","b","a"]');
    });

    test("a user's budget of a day counts in all sessions of the user", async () => {
      const budgets = { user: { tokens: 150, per: "day" }, tenant: { turns: 4, per: "day" } } as const;
      await using opened = await open({ model, agents, sweep: false, secret: "a secret for tests only", budgets });
      const { sessions } = opened;
      const usage = { inputTokens: 60, outputTokens: 40, totalTokens: 100 };
      const [a, b, c] = await Promise.all(
        (["ada", "ada", "bob"] as const).map((user, index) => sessions.create({ id: `s${index}`, user })),
      );
      assert.ok(a && b && c);
      await a.append({ input: "1", output: "x", usage });
      await b.append({ input: "2", output: "x", usage });
      const refused = { code: "daily_budget_exceeded" };
      await assert.rejects(a.append({ input: "3" }), (error: { code: string; details: object }) => {
        assert.equal(error.code, refused.code);
        assert.partialDeepStrictEqual(error.details, { scope: "user", unit: "tokens", used: 200, max: 150 });
        return true;
      });
      await assert.rejects(b.consult("3"), refused);
      await c.append({ input: "1", usage });
      await (
        await c.consult("2")
      ).done;
      await assert.rejects(c.append({ input: "3" }), refused, "the tenant has used its turns");
    });

    check("a value that cannot be stored is refused with its place, and nothing is written", async (sessions) => {
      const session = await sessions.create();
      const bad = { role: "user", content: { deep: [Number.NaN] } } as const;
      await assert.rejects(session.append({ input: bad }), { code: "value_unstorable" });
      await assert.rejects(session.append({ input: "" }), { code: "message_invalid" });
      await assert.rejects(session.append({ input: "x".repeat(8 * 1024 * 1024) }), (error: { code?: string }) =>
        ["turn_too_large", "body_too_large"].includes(error.code ?? ""),
      );
      assert.deepEqual(await inputs(session.turns()), []);
      assert.equal((await session.append({ input: "fine" })).seq, 1);
    });

    check(
      "a turn is appended to the seen turns, and another writer's turn is a conflict until a refresh",
      async (sessions) => {
        const mine = await sessions.create({ id: "s" });
        const theirs = await sessions.get("s");
        await mine.append({ input: "one" });
        await mine.append({ input: "two" });
        await theirs.touch();
        await theirs.update({ metadata: { seen: true } });
        await assert.rejects(theirs.append({ input: "three" }), { code: "conflict" });
        await assert.rejects(theirs.consult("three"), { code: "conflict" });
        await assert.rejects(
          theirs.append({ input: "three" }),
          { code: "conflict" },
          "nothing is merged behind one's back",
        );
        await theirs.refresh();
        assert.equal((await theirs.append({ input: "three" })).seq, 3);
        assert.deepEqual(await inputs(mine.turns({ last: 1 })), ["three"]);
        await assert.rejects(mine.append({ input: "four" }), { code: "conflict" }, "reading is not having seen");
      },
    );

    check("changes of another writer that are no turns are merged without a conflict", async (sessions) => {
      const mine = await sessions.create({ id: "s", metadata: { a: 1, b: 2 } });
      const theirs = await sessions.get("s");
      await theirs.update({ metadata: { b: undefined, c: null } });
      await theirs.handOff("ceo");
      assert.equal((await mine.append({ input: "mine" })).seq, 1);
      const { metadata, activeAgent } = await mine.refresh();
      assert.deepEqual(metadata, { a: 1, c: null });
      assert.equal(activeAgent?.agent, "ceo");
    });

    check("a retry with the same key and content is the same turn; other content is refused", async (sessions) => {
      const session = await sessions.create({ id: "s" });
      const key = "ключ 100%, 🦩";
      const first = await session.append({ input: "one", output: "1" }, { key });
      assert.equal(first.key, key);
      assert.deepEqual(await session.append({ input: "one", output: "1" }, { key }), first);
      await assert.rejects(session.append({ input: "other" }, { key }), { code: "key_reused" });
      assert.equal((await session.append({ input: "two" })).seq, 2);
      const asked = await session.consult("three", { key: "k3" });
      const done = await asked.done;
      assert.deepEqual((await (await session.consult("three", { key: "k3" })).done).output, done.output);
      assert.equal((await session.refresh()).turn, 3);
    });

    check("operations run in the order of their calls", async (sessions) => {
      const session = await sessions.create();
      const turns = await Promise.all(Array.from({ length: 20 }, (_, index) => session.append({ input: `${index}` })));
      assert.deepEqual(
        turns.map(({ seq }) => seq),
        Array.from({ length: 20 }, (_, index) => index + 1),
      );
    });

    check("turns are read in pages, by range, and by the last so many", async (sessions) => {
      const session = await sessions.create();
      await Promise.all(Array.from({ length: 620 }, (_, index) => session.append({ input: `${index + 1}` })));
      assert.deepEqual(await inputs(session.turns({ last: 2 })), ["619", "620"]);
      assert.deepEqual(await inputs(session.turns({ from: 499, to: 502 })), ["499", "500", "501", "502"]);
      assert.equal((await inputs(session.turns())).length, 620);
      assert.equal((await inputs(session.turns({ last: 610 })))[0], "11");
      await assert.rejects(inputs(session.turns({ from: 3, to: 2 })), (error: { code?: string }) =>
        ["range_invalid", "request_invalid"].includes(error.code ?? ""),
      );
    });

    check("truncate removes seen turns only", async (sessions) => {
      const session = await sessions.create({ id: "s" });
      for (const input of ["1", "2", "3"]) await session.append({ input });
      const stale = await sessions.get("s");
      await session.truncate(1);
      assert.deepEqual(await inputs(session.turns()), ["1"]);
      await assert.rejects(stale.truncate(0), { code: "conflict" });
      assert.equal((await session.append({ input: "2 again" })).seq, 2);
    });

    check("an answer streams, is sealed with its usage, and is part of the next request", async (sessions) => {
      const session = await sessions.create({ agent: "ceo" });
      const answer = await session.consult("hello");
      assert.equal(answer.seq, 1);
      const pieces = await Array.fromAsync(answer);
      assert.equal(pieces.join(""), "shown 2");
      const turn = await answer.done;
      assert.deepEqual([turn.seq, turn.status, turn.agent], [1, "done", "ceo"]);
      assert.equal(turn.output[0]?.content, "shown 2");
      assert.equal(await (await session.consult("again")).text(), "shown 4");
      assert.equal((await session.refresh()).counters.turns, 2);
      assert.equal((await session.append({ input: "after" })).seq, 3, "one's own answers have been seen");
    });

    check("a failed answer has its reason, and its turn is stored", async (sessions) => {
      const session = await sessions.create();
      const answer = await session.consult("fail");
      await assert.rejects(answer.done, { code: "model_failed" });
      const [turn] = await Array.fromAsync(session.turns());
      assert.equal(turn?.status, "failed");
      await session.refresh();
      assert.equal(await (await session.consult("fine")).text(), "shown 1");
    });

    check("cancel and the signal stop an answer, and the received output is kept", async (sessions) => {
      const session = await sessions.create({ id: "s" });
      const first = await session.consult("hang");
      for await (const text of first) {
        assert.equal(text, "shown ");
        break;
      }
      await assert.rejects((await sessions.get("s")).consult("me too"), { code: "busy" });
      assert.equal(await (await sessions.get("s")).cancel(), true);
      await assert.rejects(first.done, { code: "interrupted" });
      await session.refresh();
      const stop = new AbortController();
      const second = await session.consult("hang", { signal: stop.signal });
      stop.abort();
      await assert.rejects(second.done, { code: "interrupted" });
      assert.equal(await session.cancel(), false);
      const turns = await Array.fromAsync(session.turns());
      assert.deepEqual(
        turns.map(({ status }) => status),
        ["interrupted", "interrupted"],
      );
    });

    check("a watch yields turns and pieces as they arrive, and ends with the session", async (sessions) => {
      const session = await sessions.create({ id: "s" });
      await session.append({ input: "known" });
      const watcher = await sessions.get("s");
      const seen: string[] = [];
      const watching = (async () => {
        for await (const news of watcher.watch()) {
          if (news.type === "turn") seen.push(`${news.turn.seq} ${news.turn.status}`);
        }
      })();
      await (
        await session.consult("hello")
      ).done;
      await session.append({ input: "three" });
      while (!seen.includes("3 done")) await sleep(10);
      await session.end();
      await watching;
      assert.deepEqual(
        seen.filter((line) => !line.endsWith("open")),
        ["2 done", "3 done"],
      );
    });

    check("a handoff and its events", async (sessions) => {
      const session = await sessions.create({ id: "s" });
      assert.equal(await session.activeAgent(), null);
      const given = await session.handOff("ceo", { ttl: "1h", note: "a note" });
      assert.equal(Number(given.expiresAt) - given.since.getTime(), 3_600_000);
      assert.deepEqual(await (await sessions.get("s")).activeAgent(), given);
      assert.equal((await (await session.consult("hello")).done).agent, "ceo");
      assert.equal(await session.endHandoff(), true);
      assert.equal(await session.endHandoff(), false);
      const events = await Array.fromAsync(session.events());
      assert.deepEqual(
        events.map(({ seq, type }) => [seq, type]),
        [
          [1, "created"],
          [2, "handed_off"],
          [3, "handoff_ended"],
        ],
      );
      assert(events.every(({ at, severity }) => at instanceof Date && severity === "info"));
      assert.deepEqual(await Array.fromAsync(session.events({ last: 2 })), events.slice(1));
      assert.deepEqual(await Array.fromAsync(session.events({ from: 1, to: 2 })), events.slice(0, 2));
      await assert.rejects(Array.fromAsync(session.events({ from: 2, to: 1 })), { code: "range_invalid" });
      await assert.rejects(session.handOff("nobody"), { code: "agent_unknown" });
      await assert.rejects(session.handOff("ceo", { ttl: "never" }), { code: "duration_invalid" });
    });

    check("the events of all sessions are listed page by page", async (sessions) => {
      for (const id of ["a", "b"]) await sessions.create({ id });
      await (await sessions.get("a")).end({ reason: "b/ä ?#%" });
      const first = await sessions.listEvents({ limit: 2 });
      const rest = await sessions.listEvents({ limit: 2, ...defined({ after: first.next }) });
      const found = [...first.items, ...rest.items];
      assert.deepEqual(found.map(({ session, type }) => `${session} ${type}`).toSorted(), [
        "a created",
        "a ended",
        "b created",
      ]);
      const { items: events } = await sessions.listEvents({
        type: ["ended", "expired"],
        severity: "info",
        order: "descending",
      });
      const [end] = events;
      assert.ok(end?.type === "ended");
      assert.deepEqual([end.reason, end.sessionAgent, end.category], ["b/ä ?#%", "assistant", "lifecycle"]);
      assert.ok(end.at instanceof Date);
      const since = new Date(end.at.getTime() + 1);
      assert.deepEqual((await sessions.listEvents({ since })).items, []);
      await assert.rejects(sessions.listEvents({ after: "nowhere" }), { code: "argument_invalid" });
    });

    check(
      "sessions are listed page by page, ended and removed, and an error names a missing session",
      async (sessions) => {
        for (const id of ["a", "b/ä ?#%", "c"]) await sessions.create({ id, user: "ada" });
        const first = await sessions.list({ limit: 2 });
        const rest = await sessions.list({ limit: 2, after: first.next ?? "" });
        const ids = [...first.items, ...rest.items].map(({ id }) => id);
        assert.deepEqual(ids.toSorted(), ["a", "b/ä ?#%", "c"]);
        assert.equal(rest.next, undefined);
        await (await sessions.get("b/ä ?#%")).end();
        assert.equal((await sessions.list({ state: "ended" })).items[0]?.id, "b/ä ?#%");
        await assert.rejects(sessions.ensure("b/ä ?#%"), {
          code: "session_ended",
          details: { sessionId: "b/ä ?#%", tenant: "default", agent: "assistant", command: "ensure" },
        });
        await assert.rejects((await sessions.get("b/ä ?#%")).append({ input: "x" }), { code: "session_ended" });
        await (await sessions.get("a")).remove();
        await assert.rejects(sessions.get("a"), { code: "session_not_found" });
        await assert.rejects(sessions.create({ id: "c" }), { code: "session_exists" });
        await assert.rejects(sessions.create({ agent: "nobody" }), { code: "agent_unknown" });
        assert.equal((await sessions.ensure("c")).info.user, "ada");
        assert.equal((await (sessions instanceof Sessions ? sweep(sessions) : sessions.sweep())).complete, true);
      },
    );

    check(
      "each finds all sessions that match once, by id, also one that becomes active meanwhile",
      async (sessions) => {
        for (const id of ["c", "a", "b", "other"]) await sessions.create({ id, user: id === "other" ? "bob" : "ada" });
        const first = await sessions.list({ order: "id", limit: 1, user: "ada" });
        assert.deepEqual(
          first.items.map(({ id }) => id),
          ["a"],
        );
        const rest = await sessions.list({ order: "id", user: "ada", ...defined({ after: first.next }) });
        assert.deepEqual(
          rest.items.map(({ id }) => id),
          ["b", "c"],
        );
        const found: string[] = [];
        for await (const { id } of sessions.each({ user: "ada" })) {
          found.push(id);
          if (id === "a") await (await sessions.get("c")).touch();
        }
        assert.deepEqual(found, ["a", "b", "c"]);
      },
    );

    check("an archived session is read as before, and restored as it was", async (sessions) => {
      const session = await sessions.create({ id: "s", instructions: "Be brief." });
      for (let index = 1; index <= 4; index++) await session.append({ input: `q${index}`, output: oddIds.join("") });
      const before = await Array.fromAsync(session.turns());
      assert.equal(await (await sessions.get("s")).archive(), true);
      assert.equal(await session.archive(), false);
      const archived = await sessions.get("s");
      assert.deepEqual([archived.info.state, archived.info.turn, archived.info.counters.turns], ["archived", 4, 4]);
      assert((archived.info.archive?.bytes ?? 0) > 0);
      assert.deepEqual(await Array.fromAsync(archived.turns()), before);
      assert.deepEqual(await Array.fromAsync(archived.turns({ last: 2 })), before.slice(2));
      assert.equal(await archived.instructions(), "Be brief.");
      await assert.rejects(archived.append({ input: "more" }), { code: "session_archived" });
      assert.equal(await archived.unarchive(), true);
      assert.equal(await (await sessions.get("s")).unarchive(), false);
      assert.deepEqual(await Array.fromAsync(session.turns()), before);
      assert.equal((await session.append({ input: "more" })).seq, 5);
      assert.equal((await session.refresh()).archive, null);
    });

    check("a fork shares the turns before it, and is whole without its parent", async (sessions) => {
      const session = await sessions.create({ id: "s", agent: "ceo" });
      for (let index = 1; index <= 4; index++) await session.append({ input: `q${index}` }, { key: `k${index}` });
      const fork = await session.fork({ at: 2, as: "f" });
      assert.deepEqual([fork.info.parent, fork.info.turn], [{ id: "s", turn: 2 }, 2]);
      assert.equal((await fork.append({ input: "instead" }, { key: "k3" })).seq, 3);
      assert.equal((await fork.append({ input: "q2" }, { key: "k2" })).seq, 2);
      const later = await (await sessions.get("f")).fork();
      assert.equal((await (await later.consult("hello")).done).output[0]?.content, "shown 2");
      await session.truncate(1);
      await (await sessions.get("f")).archive();
      await session.remove();
      assert.deepEqual(await inputs(fork.turns()), ["q1", "q2", "instead"]);
      await fork.unarchive();
      await fork.remove();
      assert.deepEqual(await inputs((await sessions.get(later.id)).turns()), ["q1", "q2", "instead", "hello"]);
      assert.deepEqual(await inputs(later.turns({ last: 3 })), ["q2", "instead", "hello"]);
      await assert.rejects(later.fork({ at: 9 }), { code: "range_invalid" });
      await assert.rejects(later.fork({ as: later.id }), { code: "session_exists" });
    });

    check(
      "a chain of 100 forks is whole from end to end after its root and other links are removed or archived",
      async (sessions) => {
        let session = await sessions.create({ id: "s0" });
        await session.append({ input: "q0" });
        for (let depth = 1; depth <= 100; depth++) {
          session = await session.fork({ as: `s${depth}` });
          await session.append({ input: `q${depth}` });
        }
        const assertWhole = async (depth: number): Promise<void> => {
          const expected = Array.from({ length: depth + 1 }, (_, index) => `q${index}`);
          const found = await sessions.get(`s${depth}`);
          assert.deepEqual(await inputs(found.turns()), expected);
          assert.deepEqual(await inputs(found.turns({ last: 20 })), expected.slice(-20));
          assert.equal(found.info.counters.messages, depth + 1);
        };
        await assertWhole(100);
        await (await sessions.get("s0")).archive();
        await assertWhole(100);
        await (await sessions.get("s0")).remove();
        for (const link of ["s50", "s99", "s51"]) await (await sessions.get(link)).remove();
        await (await sessions.get("s75")).archive();
        for (const depth of [1, 49, 52, 75, 98, 100]) await assertWhole(depth);
        await (await sessions.get("s75")).unarchive();
        await assertWhole(100);
      },
    );

    check("a question replaces later turns, which come back where no answer begins", async (sessions) => {
      const session = await sessions.create({ id: "s" });
      await session.append({ input: "one", output: "1" }, { key: "k1" });
      await session.append({ input: "two", output: "2" }, { key: "k2" });
      for (const after of [0, 1])
        await assert.rejects((await session.consult("fail", { after })).done, { code: "model_failed" });
      assert.deepEqual(await inputs((await sessions.get("s")).turns()), ["one", "two"]);
      const again = await sessions.get("s");
      assert.equal((await again.append({ input: "two", output: "2" }, { key: "k2" })).seq, 2, "keys come back too");
      const answer = await again.consult("other", { after: 1, key: "k3" });
      assert.deepEqual([answer.seq, await answer.text()], [2, "shown 3"]);
      assert.deepEqual(await inputs(again.turns()), ["one", "other"]);
      assert.equal((await again.append({ input: "three" })).seq, 3, "the object has seen the replacement");
      await assert.rejects(again.consult("x", { after: 4 }), { code: "range_invalid" });
      await assert.rejects(again.consult("x", { after: -1 }), { code: /argument_invalid|request_invalid/ });
      const fork = await again.fork({ at: 0 });
      assert.deepEqual(await inputs(fork.turns()), []);
    });

    check("a user is erased, with a receipt, and once", async (sessions) => {
      for (const user of ["ada", "bob"]) {
        const session = await sessions.create({ id: user, user });
        await session.append({ input: "q1" });
        await session.append({ input: "q2" });
        await (await session.fork({ at: 1 })).archive();
      }
      const receipt = await erased(sessions, { user: "ada", store: "a test's" });
      assert.deepEqual([receipt.erased.sessions, receipt.erased.forks, receipt.erased.turns], [2, 0, 3]);
      assert.deepEqual([receipt.erased.archives, receipt.store, receipt.legalHold], [1, "a test's", 0]);
      assert.deepEqual(await erased(sessions, { user: "ada" }), receipt);
      assert.deepEqual((await sessions.list({ user: "ada" })).items, []);
      assert.equal((await sessions.list({ user: "bob" })).items.length, 2);
      assert.deepEqual(await inputs((await sessions.get("bob")).turns()), ["q1", "q2"]);
    });

    check("a session under legal hold stays until the hold ends", async (sessions) => {
      const session = await sessions.create({ id: "s" });
      await session.setLegalHold("a lawsuit");
      assert.equal((await session.refresh()).legalHold?.reason, "a lawsuit");
      await assert.rejects(session.remove(), { code: "legal_hold" });
      await assert.rejects(session.setLegalHold(""), { code: "argument_invalid" });
      assert.equal(await session.clearLegalHold(), true);
      assert.equal(await session.clearLegalHold(), false);
      await session.remove();
    });

    check("instructions are kept, and changed", async (sessions) => {
      const session = await sessions.create({ instructions: "Be brief." });
      assert.equal(await session.instructions(), "Be brief.");
      await session.update({ instructions: "Be kind.", ttl: "1h", user: "ada" });
      assert.equal(await session.instructions(), "Be kind.");
      const { user, expiresAt, lastActivityAt } = await session.refresh();
      assert.deepEqual([user, Number(expiresAt) - lastActivityAt.getTime()], ["ada", 3_600_000]);
      assert.equal(await (await sessions.create()).instructions(), undefined);
    });

    check("update sets another agent with its instructions", async (sessions) => {
      const session = await sessions.create({ id: "s" });
      await session.update({ agent: "ceo" });
      assert.deepEqual([session.info.agent, await session.instructions()], ["ceo", "You lead."]);
      await session.update({ agent: "assistant" });
      assert.equal(await session.instructions(), undefined);
      await assert.rejects(session.update({ agent: "gone" }), { code: "agent_unknown" });
    });
  });
}

async function erased(sessions: Sessions | RemoteSessions, request: ErasureRequest): Promise<ErasureReceipt> {
  return await (sessions instanceof Sessions ? erase(sessions, request) : sessions.erase(request));
}
