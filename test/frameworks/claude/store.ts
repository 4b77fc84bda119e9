/** The store of transcripts against the SDK's own in memory, and under the SDK's functions for sessions. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import {
  deleteSession,
  foldSessionSummary,
  forkSession,
  getSessionInfo,
  getSessionMessages,
  getSubagentMessages,
  importSessionToStore,
  InMemorySessionStore,
  listSessions,
  listSubagents,
  renameSession,
  tagSession,
  type SessionKey,
  type SessionStore,
  type SessionStoreEntry,
} from "@anthropic-ai/claude-agent-sdk";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import * as fc from "../../support/fast-check.ts";
import { erase } from "../../../src/admin.ts";
import { claudeStore } from "../../../src/adapters/claude.ts";
import { openSessions } from "../../../src/index.ts";
import { assertSound, Engines, enginesOfRun, placesOf } from "../../crash/engines.ts";
import { endsWithTest } from "../../support/ends-with-test.ts";
import { inMemory } from "../../support/in-memory.ts";
import { rounds } from "../../support/rounds.ts";
import { workerProgram } from "../worker-program.ts";
import { conversation } from "./lines.ts";

const program = await workerProgram(join(import.meta.dirname, "worker.ts"));
const engines = new Engines();
const folder = mkdtempSync(join(tmpdir(), "perdure-claude-"));
process.env["CLAUDE_CONFIG_DIR"] = folder;
after(async () => {
  rmSync(folder, { recursive: true });
  await engines[Symbol.asyncDispose]();
});

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

/** The summary that the SDK makes of all stored lines at once is the stored one. */
async function assertFolded(store: SessionStore, key: { projectKey: string; sessionId: string }): Promise<void> {
  const lines = (await store.load(key)) ?? assert.fail("no transcript");
  const summaries = (await store.listSessionSummaries?.(key.projectKey)) ?? [];
  const stored = summaries.find(({ sessionId }) => sessionId === key.sessionId);
  const { mtime, ...folded } = foldSessionSummary(undefined, key, lines);
  assert.deepEqual(stored && { sessionId: stored.sessionId, data: stored.data }, plain(folded));
  const listed = (await store.listSessions?.(key.projectKey)) ?? [];
  assert.equal(listed.find(({ sessionId }) => sessionId === key.sessionId)?.mtime, stored?.mtime);
  assert(Number.isInteger(stored?.mtime) && mtime === 0);
}

// The model of the SDK joins the parts of a key with slashes, so these have none.
const names = ["-home-ada-shop", "__proto__", "🙂 é", "x".repeat(300), `${"x".repeat(299)}y`, "a%2fb", "..", "\u0000"];
const subpaths = ["subagents/agent-a", "subagents/agent-a/b", "subagents/agent-a|b", "__proto__", "é".repeat(300)];
/** Keys of few transcripts, so that several steps meet the same one. */
const keysOf = (few: readonly string[], subs: readonly string[]): fc.Arbitrary<SessionKey> =>
  fc.record(
    {
      projectKey: fc.constantFrom(...few),
      sessionId: fc.constantFrom(...few),
      subpath: fc.constantFrom(...subs),
    },
    { requiredKeys: ["projectKey", "sessionId"] },
  );
const text = fc.oneof(fc.string(), fc.string({ unit: "grapheme" }), fc.constant("🙂"[0]!));
const lines = fc.array(
  fc.record(
    {
      type: fc.constantFrom("user", "assistant", "tag", "custom-title", "summary"),
      uuid: fc.constantFrom(...names, ...Array.from({ length: 8 }, (_, index) => `line-${index}`)),
      timestamp: fc.constantFrom("2026-01-01T00:00:00.000Z", "no time"),
      isSidechain: fc.boolean(),
      customTitle: text,
      tag: text,
      message: fc.record({ role: fc.constant("user"), content: fc.oneof(text, fc.jsonValue({ maxDepth: 3 })) }),
      ["__proto__x"]: fc.jsonValue({ maxDepth: 2 }),
      $type: fc.constant("date"),
    },
    { requiredKeys: ["type"] },
  ),
  { maxLength: 5 },
);
const steps = fc
  .tuple(
    fc.shuffledSubarray(names, { minLength: 1, maxLength: 2 }),
    fc.shuffledSubarray(subpaths, { minLength: 1, maxLength: 2 }),
  )
  .chain(([few, subs]) => {
    const keys = keysOf(few, subs);
    return fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.record({ act: fc.constant("append" as const), key: keys, lines }) },
        { weight: 1, arbitrary: fc.record({ act: fc.constant("delete" as const), key: keys, lines: fc.constant([]) }) },
      ),
      { maxLength: 25 },
    );
  });

test("any appends and deletions leave the transcripts, subpaths, lists and summaries of the SDK's store in memory", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      await using place = inMemory();
      const store: SessionStore = claudeStore(place.sessions);
      const model = new InMemorySessionStore();
      for (const { act, key, lines: given } of all) {
        const known = new Set(model.getEntries(key).map(({ uuid }) => uuid));
        const fresh: SessionStoreEntry[] = [];
        for (const line of given) {
          if (line.uuid !== undefined && known.has(line.uuid)) continue;
          known.add(line.uuid);
          fresh.push(line);
        }
        if (act === "delete") {
          await model.delete(key);
          await store.delete?.(key);
        } else {
          // An append of nothing to a subagent makes no transcript here.
          if (fresh.length > 0 || key.subpath === undefined) await model.append(key, fresh);
          await store.append(key, given);
        }
        assert.deepEqual(plain(await store.load(key)), plain(await model.load(key)));
        const subkeys = ((await store.listSubkeys?.(key)) ?? []).sort();
        assert.deepEqual(subkeys, (await model.listSubkeys(key)).sort());
        const idsOf = (list: readonly { readonly sessionId: string }[]): readonly string[] =>
          list.map(({ sessionId }) => sessionId).sort();
        const { projectKey } = key;
        assert.deepEqual(
          idsOf((await store.listSessions?.(projectKey)) ?? []),
          idsOf(await model.listSessions(projectKey)),
        );
        const stored = (await store.listSessionSummaries?.(projectKey)) ?? [];
        const dataOf = (list: readonly { sessionId: string; data: Record<string, unknown> }[]): unknown =>
          list
            .map(({ sessionId, data }) => ({ sessionId, data: plain(data) }))
            .sort((a, b) => (a.sessionId < b.sessionId ? -1 : 1));
        assert.deepEqual(dataOf(stored), dataOf(await model.listSessionSummaries(projectKey)));
      }
    }),
    { numRuns: rounds(150, 40) },
  );
});

const projectKey = "-home-ada-shop";

for (const name of enginesOfRun("SQLite")) {
  test(`the SDK's functions list, read, fork, rename, tag, import and delete sessions: ${name}`, async () => {
    await using sessions = await openSessions({ store: await (await engines.get(name)).fresh(), sweep: false });
    const sessionStore: SessionStore = claudeStore(sessions);
    const dir = join(folder, "shop");
    mkdirSync(dir, { recursive: true });
    // The transcripts of a machine: the SDK names the folder of a project by its path.
    const project = join(folder, "projects", dir.replace(/[^a-zA-Z0-9]/g, "-"));
    const id = randomUUID();
    mkdirSync(join(project, id, "subagents"), { recursive: true });
    const jsonl = (entries: readonly object[]): string => entries.map((line) => `${JSON.stringify(line)}\n`).join("");
    const main = conversation(id, ["Where is my parcel?", "At your neighbour's.", "Thanks 🙂", "You are welcome."]);
    const sub = conversation(id, ["Find the parcel", "Found."]).map((line) => ({
      ...line,
      isSidechain: true,
      agentId: "a1",
    }));
    writeFileSync(join(project, `${id}.jsonl`), jsonl(main));
    writeFileSync(join(project, id, "subagents/agent-a1.jsonl"), jsonl(sub));
    await importSessionToStore(id, sessionStore, { dir });
    // An import that is repeated adds nothing.
    await importSessionToStore(id, sessionStore, { dir, batchSize: 3 });

    const textsOf = (messages: readonly { readonly message: unknown }[]): readonly unknown[] =>
      messages.map(({ message }) => {
        const { content } = message as { readonly content: string | readonly { readonly text: string }[] };
        return typeof content === "string" ? content : content[0]?.text;
      });
    const said = ["Where is my parcel?", "At your neighbour's.", "Thanks 🙂", "You are welcome."];
    assert.deepEqual(textsOf(await getSessionMessages(id, { dir, sessionStore })), said);
    assert.deepEqual(await listSubagents(id, { dir, sessionStore }), ["a1"]);
    assert.deepEqual(textsOf(await getSubagentMessages(id, "a1", { dir, sessionStore })), [
      "Find the parcel",
      "Found.",
    ]);

    await renameSession(id, "The parcel", { dir, sessionStore });
    await tagSession(id, "shipping", { dir, sessionStore });
    const { sessionId: forked } = await forkSession(id, {
      dir,
      sessionStore,
      title: "A fork",
      upToMessageId: main[1]?.uuid ?? "",
    });
    const listed = await listSessions({ dir, sessionStore });
    assert.deepEqual(
      Object.fromEntries(
        listed.map(({ sessionId, customTitle, tag, firstPrompt }) => [sessionId, [customTitle, tag, firstPrompt]]),
      ),
      { [id]: ["The parcel", "shipping", said[0]], [forked]: ["A fork", undefined, said[0]] },
    );
    assert.deepEqual(textsOf(await getSessionMessages(forked, { dir, sessionStore })), said.slice(0, 2));
    const [info] = await Array.fromAsync(sessions.each());
    const key = String(info?.labels["claude-project"]);
    for (const sessionId of [id, forked]) await assertFolded(sessionStore, { projectKey: key, sessionId });
    await tagSession(id, null, { dir, sessionStore });
    assert.equal((await getSessionInfo(id, { dir, sessionStore }))?.tag, undefined);
    await assertFolded(sessionStore, { projectKey: key, sessionId: id });

    await assertSound(sessions);
    await deleteSession(id, { dir, sessionStore });
    assert.deepEqual(
      (await listSessions({ dir, sessionStore })).map(({ sessionId }) => sessionId),
      [forked],
    );
    assert.equal(await sessionStore.load({ projectKey: key, sessionId: id, subpath: "subagents/agent-a1" }), null);
    assert.equal(await sessions.count(), 1);
  });

  test(`a batch that is sent again after it landed adds nothing, and writers in two places lose no line: ${name}`, async () => {
    const url = await (await engines.get(name)).fresh();
    await using one = await openSessions({ store: url, sweep: false });
    await using two = await openSessions({ store: url, sweep: false });
    const key = { projectKey, sessionId: "both" };
    const batch = conversation("both", ["Hi", "Hello"]);
    await claudeStore(one).append(key, batch);
    const summaries = await claudeStore(one).listSessionSummaries(projectKey);
    await claudeStore(two).append(key, batch);
    assert.deepEqual(await claudeStore(one).load(key), batch);
    assert.deepEqual(await claudeStore(one).listSessionSummaries(projectKey), summaries);

    const written = await Promise.all(
      [one, two].map(async (sessions, writer) => {
        const store = claudeStore(sessions);
        // Each of the first lines sets a field of the summary that no other line sets.
        const fields = ["customTitle", "aiTitle", "lastPrompt", "summary", "gitBranch"];
        const all = Array.from({ length: 10 }, (_, index) => ({
          type: "tag",
          tag: `${writer}-${index}`,
          [fields[2 * index + writer] ?? "other"]: "set once",
        }));
        await Promise.all([
          ...all.map((line) => store.append(key, [line])),
          store.append({ ...key, subpath: `subagents/agent-${writer}` }, all),
          store.append(key, batch),
        ]);
        return all;
      }),
    );
    const stored = (await claudeStore(one).load(key)) ?? [];
    assert.equal(stored.length, batch.length + 20);
    // Each writer's lines are in the order of its calls.
    for (const [writer, all] of written.entries()) {
      assert.deepEqual(
        stored.filter(({ tag }) => String(tag).startsWith(`${writer}-`)),
        all,
      );
      assert.deepEqual(await claudeStore(one).load({ ...key, subpath: `subagents/agent-${writer}` }), all);
    }
    await assertFolded(claudeStore(one), key);
    await assertSound(one);
  });

  test(`a line of 8 MiB and one byte, and one of half surrogate pairs, come back as they were: ${name}`, async (context) => {
    // The store cuts and joins lines: no other version of the SDK changes them.
    if (process.env["PERDURE_TEST_PEER"] === "lowest") return context.skip("the newest version shows it");
    await using sessions = await openSessions({ store: await (await engines.get(name)).fresh(), sweep: false });
    const store = claudeStore(sessions);
    const key = { projectKey, sessionId: "large" };
    const large = [
      { type: "user", uuid: "1", text: "x".repeat(8 * 1024 * 1024 + 1) },
      { type: "user", uuid: "2", text: '"\\🙂'.repeat(200_000), half: "🙂"[1] },
      { type: "user", text: "\u0000é".repeat(200_000) },
      { type: "tag", tag: "end" },
    ];
    await store.append(key, large);
    await store.append({ ...key, subpath: "subagents/agent-a" }, large.slice(1));
    assert.deepEqual(await store.load(key), large);
    assert.deepEqual(await store.load({ ...key, subpath: "subagents/agent-a" }), large.slice(1));
    await store.append(key, large.slice(0, 2));
    assert.deepEqual((await store.load(key))?.length, large.length);
    await assertFolded(store, key);
  });

  test(`a process that is killed before any of its commits loses nothing acknowledged, and a repeat completes it: ${name}`, async (context) => {
    const engine = await engines.get(name);
    const key = { projectKey, sessionId: "killed" };
    const subagent = { ...key, subpath: "subagents/agent-a" };
    const long = { type: "user", uuid: "long", text: "x".repeat(20_000) };
    const batches = [
      { key, entries: conversation("killed", ["Hi", "Hello"]) },
      { key: subagent, entries: conversation("killed", ["Find it", "Found."]) },
      { key, entries: [long, { type: "custom-title", uuid: "title", customTitle: "A title" }] },
    ];
    const killedAfter = async (commits: number): Promise<boolean> => {
      const url = await engine.fresh();
      const args = [program, url, JSON.stringify(batches), String(commits)];
      const child = endsWithTest(spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] }));
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
      await once(child, "close");
      const acknowledged = said.split("appended").length - 1;
      await using sessions = await openSessions({ store: url, sweep: false });
      const store = claudeStore(sessions);
      const check = async (count: number): Promise<void> => {
        for (const { key: at, entries } of batches.slice(0, count)) {
          const stored = (await store.load(at)) ?? [];
          for (const entry of entries)
            assert.equal(
              stored.filter(({ uuid }) => uuid === entry.uuid).length,
              1,
              `${commits} commits: ${entry.type}`,
            );
        }
        if (count > 0) await assertFolded(store, key);
      };
      await check(acknowledged);
      // The SDK sends a batch again that was not acknowledged.
      for (const { key: at, entries } of batches) await store.append(at, entries);
      await check(batches.length);
      const turns = await Array.fromAsync((await sessions.get(`claude/${projectKey}/killed`)).turns());
      assert.deepEqual(
        turns.map(({ input, output }) => [...input, ...output].map(({ content }) => content)),
        [["Hi", "Hello"]],
      );
      assert.deepEqual(await store.load(key), [...(batches[0]?.entries ?? []), ...(batches[2]?.entries ?? [])]);
      await assertSound(sessions);
      return acknowledged === batches.length;
    };
    const { first, step } = placesOf(context, name, 2);
    await Promise.all(
      [0, 1].map(async (lane) => {
        for (let commits = first + lane * step; !(await killedAfter(commits)); commits += 2 * step);
      }),
    );
  });

  test(`an archived, a copied, and an erased session: ${name}`, async () => {
    await using sessions = await openSessions({
      store: await (await engines.get(name)).fresh(),
      sweep: false,
      secret: "a secret of the tests",
    });
    const store = claudeStore(sessions, { user: "ada" });
    const key = { projectKey, sessionId: "s" };
    const subagent = { ...key, subpath: "subagents/agent-a" };
    const main = conversation("s", ["Hi", "Hello"]);
    await store.append(key, main);
    await store.append(subagent, [{ type: "agent_metadata", agentType: "explore" }, ...main]);
    const session = await sessions.get("claude/-home-ada-shop/s");

    const snapshot = await sessions.snapshot(session.id);
    const others = sessions.for("another tenant");
    await others.restore(snapshot);
    const copied = claudeStore(others);
    assert.deepEqual(await copied.load(key), main);
    assert.deepEqual(await copied.listSubkeys(key), ["subagents/agent-a"]);
    assert.deepEqual(await copied.listSessionSummaries(projectKey), await store.listSessionSummaries(projectKey));
    await copied.append(key, [{ type: "tag", tag: "goes on" }]);
    await assertFolded(copied, key);

    const fork = await session.fork();
    assert.equal((await store.listSessions(projectKey)).length, 1);
    await fork.remove();
    await session.end();
    await assert.rejects(store.append(key, [{ type: "tag", tag: "late" }]), { code: "session_ended" });
    await session.archive();
    assert.deepEqual(await store.load(key), main);
    assert.deepEqual((await store.load(subagent))?.length, 3);

    await erase(sessions, { user: "ada" });
    assert.equal(await store.load(key), null);
    assert.equal(await store.load(subagent), null);
    assert.deepEqual(await store.listSessions(projectKey), []);
  });
}

test("a session of another user is not found, listed, written to or deleted", async () => {
  await using place = inMemory();
  const key = { projectKey, sessionId: "s" };
  const ada = claudeStore(place.sessions, { user: "ada" });
  const bob = claudeStore(place.sessions, { user: "bob" });
  await ada.append(key, [{ type: "tag", tag: "Ada's" }]);
  assert.equal(await bob.load(key), null);
  assert.deepEqual(await bob.listSessions(projectKey), []);
  await assert.rejects(bob.append(key, [{ type: "tag", tag: "Bob's" }]), { code: "session_not_found" });
  await bob.delete(key);
  assert.deepEqual(await bob.listSubkeys(key), []);
  assert.deepEqual(await ada.load(key), [{ type: "tag", tag: "Ada's" }]);
  assert.deepEqual(await claudeStore(place.sessions).load(key), [{ type: "tag", tag: "Ada's" }]);
});

test("a session whose time to live has passed is revived by the next line", async () => {
  await using place = inMemory();
  const key = { projectKey, sessionId: "s" };
  const store = claudeStore(place.sessions, { ttl: "1h" });
  await store.append(key, [{ type: "tag", tag: "a" }]);
  await place.clock.advance(7_200_000);
  assert.equal((await store.load(key))?.length, 1);
  await store.append(key, [{ type: "tag", tag: "b" }]);
  assert.equal((await store.load(key))?.length, 2);
});

test("a summary that is larger than the metadata of a session may be is left to the SDK, which reads the transcript", async () => {
  await using place = inMemory();
  const sessionStore: SessionStore = claudeStore(place.sessions);
  const dir = join(folder, "shop");
  const id = randomUUID();
  const key = { projectKey: "", sessionId: id };
  const recorder = { append: async (at: SessionKey) => void (key.projectKey = at.projectKey), load: async () => null };
  await renameSession(id, "any", { dir, sessionStore: recorder });
  await sessionStore.append(key, conversation(id, ["Hi", "Hello"]));
  await renameSession(id, "x".repeat(100_000), { dir, sessionStore });
  assert.deepEqual(await sessionStore.listSessionSummaries?.(key.projectKey), []);
  await renameSession(id, "Short again", { dir, sessionStore });
  const [listed, ...others] = await listSessions({ dir, sessionStore });
  assert.deepEqual([listed?.customTitle, others.length], ["Short again", 0]);
});

test("a value that a transcript cannot keep is refused by its path, and nothing of its batch is stored", async () => {
  await using place = inMemory();
  const store = claudeStore(place.sessions);
  const key = { projectKey, sessionId: "s" };
  await assert.rejects(
    store.append(key, [{ type: "tag" }, { type: "user", message: { run: () => 1 } }]),
    (error: Error) => {
      assert.match(error.message, /entries\[1\]\.message\.run/);
      return true;
    },
  );
  assert.equal(await store.load(key), null);
  await assert.rejects(store.append({ ...key, subpath: "" }, []), { code: "argument_invalid" });
  assert.throws(() => claudeStore(place.sessions, { users: "ada" } as object), { code: "argument_invalid" });
  assert.throws(() => claudeStore(place.sessions, { ttl: "soon" as "1h" }), { code: "duration_invalid" });
});
