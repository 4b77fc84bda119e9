/** Several servers on one store: tasks of one that is killed, and subscriptions to changes that others make. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import type { Client } from "@modelcontextprotocol/client";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { setImmediate as tick } from "node:timers/promises";
import { openSessions, type Model, type Sessions } from "../../../src/index.ts";
import { coreOf } from "../../../src/sessions/sessions.ts";
import { assertSound, Engines, enginesOfRun } from "../../crash/engines.ts";
import { endsWithTest } from "../../support/ends-with-test.ts";
import { inMemory } from "../../support/in-memory.ts";
import { call, connected, posted, problemIn, serving, taskIn } from "./serving.ts";

const engines = new Engines();
after(() => engines[Symbol.asyncDispose]());

/** Another server, in a process of its own. */
async function worker(store: string): Promise<{ readonly url: string; kill(): Promise<void> }> {
  const child = endsWithTest(
    spawn(process.execPath, [join(import.meta.dirname, "server-worker.ts"), store], {
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );
  const [url] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  return {
    url,
    async kill() {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

const consult = { name: "session_consult", arguments: { session: "s", key: "k", message: "Count", create: {} } };

/** What a client hears, as texts. */
async function listener(
  client: Client,
  uri: string,
): Promise<{ readonly heard: string[]; until(text: string): Promise<void> }> {
  const heard: string[] = [];
  client.setNotificationHandler("notifications/resources/updated", ({ params }) => void heard.push(params.uri));
  client.setNotificationHandler("notifications/resources/list_changed", () => void heard.push("list"));
  await client.listen({ resourceSubscriptions: [uri], resourcesListChanged: true });
  return {
    heard,
    async until(text) {
      while (!heard.includes(text)) await tick();
    },
  };
}

for (const engine of enginesOfRun("SQLite")) {
  test(`the task of a server that is killed is served by another one, and its key asks again in the same task, on ${engine}`, async () => {
    const store = await (await engines.get(engine)).fresh();
    const model: Model = async function* () {
      yield { type: "text", text: "one two three" };
    };
    await using sessions = await openSessions({ store, model, sweep: false });
    await using server = await serving(sessions, { keys: [] });
    const { token: key } = await sessions.keys.create({ name: "k" });
    const other = await worker(store);
    const { taskId } = await posted(other.url, "tools/call", consult, { key });
    const session = await sessions.get("s");
    // A follower of the answer would notice the death of its server by itself.
    for await (const news of session.watch({ after: 0 })) if (news.type === "chunk") break;
    assert.equal((await posted(server.url, "tasks/get", { taskId }, { key })).status, "working");
    await other.kill();
    const { result } = await taskIn(server.url, taskId, "completed", key);
    assert.equal(problemIn(result).code, "interrupted");
    assert.equal(result.structuredContent.text, "one ");
    assert.equal((await posted(server.url, "tools/call", consult, { key })).taskId, taskId);
    const again = await taskIn(server.url, taskId, "completed", key);
    assert.equal(again.result.structuredContent.text, "one two three");
    assert.equal((await Array.fromAsync(session.turns())).length, 1);
    await assertSound(sessions);
  });

  test(`a subscription hears of the changes of other processes, of its own tenant alone, on ${engine}`, async () => {
    const store = await (await engines.get(engine)).fresh();
    await using sessions = await openSessions({ store, sweep: false });
    const keyOf = async (tenant: string): Promise<string> =>
      (await sessions.keys.create({ name: "k", right: "read", tenant })).token;
    const other = await worker(store);
    const uri = "perdure://session/s";
    const own = await connected(new URL(other.url), { key: await keyOf("default") });
    const foreign = await connected(new URL(other.url), { key: await keyOf("other") });
    try {
      const [mine, theirs] = [await listener(own, uri), await listener(foreign, uri)];
      const session = await sessions.create({ id: "s" });
      await session.append({ input: "Hi" });
      await Promise.all([mine.until(uri), mine.until("list")]);
      await sessions.for("other").create({ id: "s" });
      await theirs.until(uri);
      theirs.heard.splice(0);
      mine.heard.splice(0);
      await session.remove();
      await mine.until("list");
      assert.deepEqual(theirs.heard, []);
    } finally {
      await own.close();
      await foreign.close();
    }
    await other.kill();
  });
}

test("the news are read while a subscription is open, and a revoked key ends it", async (context) => {
  context.mock.timers.enable({ apis: ["setInterval"] });
  await using place = inMemory();
  await using server = await serving(place.sessions, { keys: [] });
  const key = await place.sessions.keys.create({ name: "k" });
  const feeds = (sessions: Sessions): number => coreOf(sessions).newsFeeds.size;
  const client = await server.client({ key: key.token });
  assert.equal(feeds(place.sessions), 0);
  const first = await client.listen({ resourceSubscriptions: ["perdure://session/s"] });
  const second = await client.listen({ resourcesListChanged: true });
  assert.equal(feeds(place.sessions), 1);
  await first.close();
  await call(client, "session_append", { session: "s", key: "k", input: "Hi", create: {} });
  assert.equal(feeds(place.sessions), 1);
  await place.sessions.keys.revoke(key.id);
  context.mock.timers.tick(15_000);
  await second.closed.catch(() => undefined);
  while (feeds(place.sessions) > 0) await tick();
});
