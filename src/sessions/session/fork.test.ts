import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { test } from "node:test";
import { sessionChanges } from "../../domain/record/change.ts";
import { inMemory } from "../../../test/support/in-memory.ts";
import { hasCode } from "../../errors.ts";
import type { Session } from "./session.ts";
import type { SessionSnapshot } from "../snapshots/snapshot-text.ts";
import { removeSession, sweep, importSessions } from "../../admin.ts";
import { inputsOf } from "../../../test/support/inputs-of.ts";

const day = 86_400_000;

async function talk(session: Session, from: number, to: number, questions = "question"): Promise<void> {
  for (let index = from; index <= to; index++) {
    await session.append(
      { input: `${questions} ${index}`, output: `answer ${index}`, requests: 1 },
      { key: `${questions} ${index}` },
    );
  }
}

function questions(from: number, to: number, what = "question"): string[] {
  return Array.from({ length: to - from + 1 }, (_, index) => `${what} ${from + index}`);
}

test("a fork shares the turns up to the forked one, and no later turn of either session", async () => {
  await using place = inMemory({ limits: { readMax: 3 } });
  const session = await place.sessions.create({
    id: "s",
    agent: "ceo",
    user: "u",
    metadata: { a: 1 },
    instructions: "Be brief.",
    ttl: "7d",
  });
  await talk(session, 1, 10);
  const fork = await session.fork({ at: 6, as: "f" });
  await talk(session, 11, 12);
  await talk(fork, 7, 9, "instead");
  assert.deepEqual(await inputsOf(session), questions(1, 12));
  const again = await place.another().get("f");
  assert.deepEqual(await inputsOf(again), [...questions(1, 6), ...questions(7, 9, "instead")]);
  assert.deepEqual(await inputsOf(again, { last: 2 }), questions(8, 9, "instead"));
  assert.deepEqual(await inputsOf(again, { last: 5 }), [...questions(5, 6), ...questions(7, 9, "instead")]);
  assert.deepEqual(await inputsOf(again, { from: 2, to: 4 }), questions(2, 4));
  assert.deepEqual(await inputsOf(again, { from: 6, to: 7 }), ["question 6", "instead 7"]);
  const { agent, user, metadata, state, turn, parent, counters } = again.info;
  assert.deepEqual(
    { agent, user, metadata, state, turn, parent },
    { agent: "ceo", user: "u", metadata: { a: 1 }, state: "active", turn: 9, parent: { id: "s", turn: 6 } },
  );
  assert.deepEqual(
    [counters.turns, counters.messages, counters.requests],
    [9, 18, 3],
    "the usage of shared turns is not the fork's",
  );
  assert.equal(await again.instructions(), "Be brief.");
  assert.deepEqual(
    (await Array.fromAsync(again.events())).map((event) =>
      event.type === "forked" ? [event.seq, event.from, event.turn] : event.type,
    ),
    ["created", [2, "s", 6]],
  );
});

test("the messages of a fork are counted, wherever it begins", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  for (let turn = 1; turn <= 6; turn++)
    await session.append({ input: Array.from({ length: turn }, () => ({ role: "user" as const, content: "x" })) });
  for (let at = 1; at <= 6; at++)
    assert.equal((await session.fork({ at })).info.counters.messages, (at * (at + 1)) / 2);
});

test("a fork costs the same at any turn: it reads one turn", async () => {
  await using place = inMemory();
  const { sessions, store } = place;
  const session = await sessions.create({ id: "s" });
  await talk(session, 1, 500);
  const fork = await session.fork({ as: "f" });
  await talk(fork, 501, 600);
  const read = store.read.bind(store);
  let entries = 0;
  store.read = async (key, range) => {
    const found = await read(key, range);
    entries += found.length;
    return found;
  };
  for (const at of [1, 250, 499, 500, 501, 599, 600]) {
    entries = 0;
    assert.equal((await fork.fork({ at })).info.counters.messages, 2 * at);
    assert(entries <= 1, `${entries} were read for a fork at ${at}`);
  }
});

test("a reader or writer of a fork gets the shared turns, also if the parent moves into an archive, or goes, at that moment", async () => {
  const changes: Readonly<Record<string, (parent: Session) => Promise<unknown>>> = {
    archive: (parent) => parent.archive(),
    restore: (parent) => parent.unarchive(),
    truncate: (parent) => parent.truncate(0),
    remove: (parent) => parent.remove(),
  };
  for (const [name, change] of Object.entries(changes))
    for (const use of ["read", "write"]) {
      await using place = inMemory();
      const { sessions, store } = place;
      const parent = await sessions.create({ id: "s" });
      await talk(parent, 1, 3);
      await parent.fork({ as: "f" });
      if (name !== "archive") await parent.archive();
      if (name === "truncate") await parent.unarchive();
      const fork = await place.another().get("f");
      const read = store.read.bind(store);
      let moved = false;
      store.read = async (key, range) => {
        if (key.id !== "s") return await read(key, range);
        store.read = read;
        moved = true;
        await change(await place.another().get("s"));
        return await read(key, range);
      };
      const { seq } =
        use === "read"
          ? { seq: (await inputsOf(fork)).length - 1 }
          : await fork.append({ input: "question 2", output: "answer 2", requests: 1 }, { key: "question 2" });
      assert.equal(seq, 2, `${use}, ${name}`);
      assert(moved, "the parent was read");
      assert.deepEqual(await inputsOf(await place.another().get("f")), questions(1, 3));
    }
});

test("the messages of a fork are counted for turns of every origin, also for those without stored counts", async () => {
  await using place = inMemory({
    model: async function* () {
      yield { type: "text", text: "so it is" };
    },
  });
  const { sessions } = place;
  const session = await sessions.create({ id: "s" });
  const call = { id: "c", function: { name: "look", arguments: "{}" } };
  await session.append({
    input: "look",
    output: [
      { role: "assistant", tool_calls: [call] },
      { role: "tool", tool_call_id: "c", content: "seen" },
      { role: "assistant", content: "well" },
    ],
  });
  await (
    await session.consult("hello")
  ).done;
  const turn = await session.begin("and now?");
  await turn.write({ text: "that " });
  await turn.write({ text: "is all" });
  await turn.seal();
  await talk(session, 4, 5);
  await session.truncate(4);
  await talk(session, 5, 7);
  await session.archive();
  const whole = async (one: Session): Promise<void> => {
    const turns = await Array.fromAsync(one.turns());
    let messages = 0;
    for (const { seq, input, output } of turns) {
      messages += input.length + output.length;
      assert.equal((await one.fork({ at: seq })).info.counters.messages, messages, `${one.id} at ${seq}`);
    }
  };
  await whole(session);
  await session.unarchive();
  const fork = await session.fork({ at: 3, as: "f" });
  await talk(fork, 4, 6);
  await whole(fork);
  const messages = ["a", "b", "c"].flatMap((content) => [
    { role: "user" as const, content },
    { role: "assistant" as const, content },
  ]);
  await importSessions(sessions, [{ source: "a chat", conversation: { id: "i", messages } }]);
  await whole(await sessions.get("i"));

  const text = JSON.stringify(await sessions.snapshot("f"));
  const silent = text.replaceAll(/"messagesBefore":\d+,/g, "").replace(/,"checksum".*/, "}");
  assert(silent.length < text.length - 60);
  const checksum = `sha256:${hash("sha256", silent)}`;
  await sessions.restore(JSON.parse(`${silent.slice(0, -1)},"checksum":"${checksum}"}`) as SessionSnapshot, {
    as: "old",
  });
  await whole(await sessions.get("old"));
});

test("a fork begins after finished turns, or before the first one", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  assert.equal((await session.fork()).info.turn, 0);
  await talk(session, 1, 2);
  for (const at of [-1, 3, 1.5, Number.NaN]) await assert.rejects(session.fork({ at }), { code: "range_invalid" });
  await assert.rejects(session.fork({ as: "s" }), {
    code: "session_exists",
    message: /session s already exists/,
  });
  await assert.rejects(session.fork({ as: "\n" }), { code: "id_invalid" });
  const turn = await session.begin("and now?");
  assert.equal((await session.fork()).info.turn, 2);
  await assert.rejects(session.fork({ at: 3 }), { code: "turn_open" });
  await turn.seal();
  assert.equal((await session.fork()).info.turn, 3);
});

test("a model is shown the turns that a fork shares", async () => {
  const shown: unknown[] = [];
  await using place = inMemory({
    model: async function* ({ messages }) {
      shown.push(messages.map(({ content }) => content));
      yield { type: "text", text: "so it is" };
    },
  });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, 1, 3);
  const fork = await session.fork({ at: 2 });
  await (
    await fork.consult("What if?")
  ).done;
  await (
    await fork.consult("And?", { window: 1 })
  ).done;
  assert.deepEqual(shown, [
    ["question 1", "answer 1", "question 2", "answer 2", "What if?"],
    ["What if?", "so it is", "And?"],
  ]);
});

test("a key of a shared turn counts as used in the fork", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await talk(session, 1, 3);
  const fork = await session.fork({ at: 2 });
  const turn = { input: "question 2", output: "answer 2" };
  assert.equal((await fork.append(turn, { key: "question 2" })).seq, 2);
  await assert.rejects(fork.append({ input: "other" }, { key: "question 2" }), { code: "key_reused" });
  assert.equal((await fork.append({ input: "mine" }, { key: "question 3" })).seq, 3);
});

for (const [what, change] of [
  ["removed", (session: Session) => session.remove()],
  ["cut below it", (session: Session) => session.truncate(1)],
  ["archived", (session: Session) => session.archive()],
  [
    "archived and removed",
    async (session: Session) => {
      await session.archive();
      await session.remove();
    },
  ],
] as const) {
  test(`a fork is whole when its parent is ${what}, and continues`, async () => {
    await using place = inMemory();
    const { sessions } = place;
    const session = await sessions.create({ id: "s" });
    await talk(session, 1, 5);
    const one = await session.fork({ at: 3, as: "one" });
    const two = await session.fork({ at: 4, as: "two" });
    await talk(two, 5, 6, "instead");
    const deeper = await two.fork({ at: 5, as: "deeper" });
    await change(session);
    for (const fork of [one, await sessions.get("one")]) assert.deepEqual(await inputsOf(fork), questions(1, 3));
    assert.deepEqual(await inputsOf(two), [...questions(1, 4), ...questions(5, 6, "instead")]);
    assert.deepEqual(await inputsOf(deeper), [...questions(1, 4), "instead 5"]);
    // What a fork had seen, it still has.
    await talk(one, 4, 4, "on");
    await talk(two, 7, 7, "on");
    await talk(deeper, 6, 6, "on");
    assert.equal((await inputsOf(deeper)).length, 6);
    assert.equal((await sessions.get("two")).info.counters.turns, 7);
  });
}

test("a parent is truncated above its forks without copying any turn, and below them as well", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await talk(session, 1, 5);
  const fork = await session.fork({ at: 3 });
  await session.truncate(3);
  assert.equal((await fork.refresh()).parent?.turn, 3);
  await session.truncate(2);
  assert.equal((await fork.refresh()).parent, null);
  await talk(session, 3, 3, "anew");
  assert.deepEqual(await inputsOf(session), ["question 1", "question 2", "anew 3"]);
  assert.deepEqual(await inputsOf(fork), questions(1, 3));
});

test("a fork is cut below its own turns, and shares less from then on", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await talk(session, 1, 5);
  const fork = await session.fork({ at: 4 });
  await talk(fork, 5, 6, "instead");
  await fork.truncate(2);
  assert.deepEqual([fork.info.turn, fork.info.counters.turns, fork.info.counters.messages], [2, 2, 4]);
  await talk(fork, 3, 3, "instead");
  assert.deepEqual(await inputsOf(fork), ["question 1", "question 2", "instead 3"]);
  await fork.truncate(0);
  assert.equal((await fork.refresh()).parent, null);
  assert.deepEqual(await inputsOf(fork), []);
  assert.deepEqual(await inputsOf(session), questions(1, 5));
});

test("a fork is archived whole, and comes back whole", async () => {
  await using place = inMemory();
  const { sessions } = place;
  const session = await sessions.create({ id: "s" });
  await talk(session, 1, 5);
  const fork = await session.fork({ at: 3 });
  await talk(fork, 4, 5, "instead");
  await fork.archive();
  await session.remove();
  assert.deepEqual(await inputsOf(fork), [...questions(1, 3), ...questions(4, 5, "instead")]);
  await fork.unarchive();
  assert.deepEqual(await inputsOf(fork, { last: 3 }), ["question 3", ...questions(4, 5, "instead")]);
  await talk(fork, 6, 6, "instead");
});

test("forks outlive a parent that is purged, and one that is reset", async () => {
  await using place = inMemory({ ttl: "1d", retention: [{ state: "ended", after: "1d", do: "purge" }] });
  const { sessions, clock } = place;
  const session = await sessions.create({ id: "s" });
  await talk(session, 1, 3);
  const one = await session.fork({ at: 2, as: "one" });
  await clock.advance(2 * day);
  const fresh = await sessions.ensure("s", { onExpired: "reset" });
  await talk(fresh, 1, 3, "afresh");
  assert.deepEqual(await inputsOf(one), questions(1, 2));
  const two = await fresh.fork({ at: 2, as: "two" });
  await fresh.end();
  await clock.advance(2 * day);
  assert.equal((await sweep(sessions)).removed, 1);
  await assert.rejects(sessions.get("s"), { code: "session_not_found" });
  assert.deepEqual(await inputsOf(two), questions(1, 2, "afresh"));
});

test("an ended, an expired and an archived session can be forked", async () => {
  await using place = inMemory({ ttl: "1d" });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, 1, 3);
  await place.clock.advance(2 * day);
  assert.deepEqual(await inputsOf(await session.fork()), questions(1, 3));
  await session.end();
  assert.equal((await session.fork({ at: 1 })).info.state, "active");
  await session.archive();
  const fork = await session.fork({ at: 2, as: "f" });
  await talk(fork, 3, 3, "instead");
  assert.deepEqual(await inputsOf(fork), ["question 1", "question 2", "instead 3"]);
  await session.unarchive();
  assert.deepEqual(await inputsOf(session), questions(1, 3));
  assert.deepEqual(await inputsOf(fork), ["question 1", "question 2", "instead 3"]);
});

test("a chain of 100 forks is read from end to end, and stays whole when links are taken out", async () => {
  await using place = inMemory();
  const { sessions } = place;
  let session = await sessions.create({ id: "s0" });
  await talk(session, 1, 1);
  for (let depth = 1; depth <= 100; depth++) {
    session = await session.fork({ as: `s${depth}` });
    await talk(session, depth + 1, depth + 1);
  }
  assert.deepEqual(await inputsOf(session), questions(1, 101));
  assert.deepEqual(await inputsOf(await sessions.get("s100"), { last: 20 }), questions(82, 101));
  for (const link of ["s0", "s50", "s99", "s51"]) await removeSession(sessions, link);
  await (await sessions.get("s75")).archive();
  assert.deepEqual(await inputsOf(await sessions.get("s100")), questions(1, 101));
  assert.deepEqual(await inputsOf(await sessions.get("s49")), questions(1, 50));
});

test("a fork that is read while its parent goes is whole all along", async () => {
  await using place = inMemory({ limits: { readMax: 2 } });
  const session = await place.sessions.create({ id: "s" });
  await talk(session, 1, 9);
  const forks = await Promise.all([3, 5, 7, 9].map((at) => session.fork({ at })));
  const reading = forks.map(async (fork) => {
    for (let round = 0; round < 20; round++) assert.deepEqual(await inputsOf(fork), questions(1, fork.info.turn));
  });
  await session.remove();
  await (await place.sessions.create({ id: "s" })).append({ input: "another" });
  await Promise.all(reading);
});

test("a fork takes over a long history in small commits, and a reader finds it whole after each", async () => {
  await using place = inMemory({ limits: { readMax: 3 } });
  const { sessions, store } = place;
  const session = await sessions.create({ id: "s" });
  await talk(session, 1, 20);
  const fork = await session.fork({ as: "f" });
  await talk(fork, 21, 22, "instead");
  const whole = [...questions(1, 20), ...questions(21, 22, "instead")];
  const sizes: number[] = [];
  const commit = store.commit.bind(store);
  store.commit = async (batch) => {
    for (const { key, splices } of batch.flatMap(sessionChanges))
      if (key.id === "f") sizes.push(splices[0]?.entries.length ?? 0);
    const outcomes = await commit(batch);
    assert.deepEqual(await inputsOf(await place.another().get("f")), whole);
    return outcomes;
  };
  await session.remove();
  assert.deepEqual(sizes, [3, 3, 3, 3, 3, 3, 2]);
  assert.equal((await fork.refresh()).parent, null);
  // What was seen before the turns moved is still seen.
  await talk(fork, 23, 23, "instead");
  assert.deepEqual(await inputsOf(fork), [...whole, "instead 23"]);
});

test("a copy for a fork that is cut off anywhere is complete once the session is removed again", async () => {
  for (const fails of ["before", "after"] as const) {
    for (let failing = 1; failing <= 9; failing++) {
      await using place = inMemory({ limits: { readMax: 3 } });
      const session = await place.sessions.create({ id: "s", user: "ada" });
      await talk(session, 1, 10);
      await session.fork({ as: "f" });
      const begun = place.store.commits;
      place.store.plan((n) => (n >= begun + failing ? { fails } : undefined));
      const program = place.another();
      await removeSession(program, "s").catch((error: unknown) => assert.ok(error instanceof Error));
      place.store.plan({});
      assert.deepEqual(await inputsOf(await place.another().get("f")), questions(1, 10));
      // The last commit may have landed although its answer was lost.
      await removeSession(place.another(), "s").catch((error: unknown) =>
        assert.ok(hasCode(error, "session_not_found")),
      );
      const fork = await place.another().get("f");
      assert.deepEqual(await inputsOf(fork), questions(1, 10), `${fails} ${failing}`);
      assert.equal(fork.info.parent, null);
    }
  }
});

test("turns that a fork takes over are not published as new ones", async () => {
  await using place = inMemory();
  const session = await place.sessions.create({ id: "s" });
  await talk(session, 1, 3);
  await session.fork({ as: "f" });
  const received: unknown[] = [];
  const listener = (news: unknown): void => void received.push(news);
  subscribe("perdure:turn", listener);
  await session.remove();
  unsubscribe("perdure:turn", listener);
  assert.deepEqual(received, []);
});
