/** The list of threads, as assistant-ui's adapter. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import type { RemoteThreadListAdapter } from "@assistant-ui/core";
import { AssistantMessageStream } from "assistant-stream";
import assert from "node:assert/strict";
import { test } from "node:test";
import { assistantThreads, type AssistantThreadsOptions } from "../../../src/client/assistant-ui.ts";
import { connect } from "../../../src/client/index.ts";
import { serve, type Serving } from "../../server/serving.ts";
import { messageOf } from "./messages.ts";

async function threadsOf(here: Serving, options: AssistantThreadsOptions): Promise<RemoteThreadListAdapter> {
  const fetch = async (url: string | URL | Request, init?: RequestInit): Promise<Response> =>
    await here.server.fetch(new Request(url, init));
  return assistantThreads(connect({ url: "http://server.test", key: await here.key("admin"), fetch }), options);
}

async function titleOf(threads: RemoteThreadListAdapter, id: string, ...texts: readonly string[]): Promise<string> {
  const stream = await threads.generateTitle(id, texts.map((text) => messageOf(text, "user")) as never);
  let title = "";
  for await (const { parts } of AssistantMessageStream.fromAssistantStream(stream))
    title = parts.map((part) => (part.type === "text" ? part.text : "")).join("");
  return title;
}

test("threads are sessions of their user: made, named, archived, restored and removed, over HTTP", async () => {
  await using here = serve();
  const threads = await threadsOf(here, { user: "ada", labels: { app: "shop" }, limit: 2 });
  assert.deepEqual(await threads.list(), { threads: [] });
  const ids = [];
  for (const custom of [{ color: "red" }, undefined, undefined])
    ids.push((await threads.initialize("__LOCALID_1", { custom })).remoteId);
  assert.equal(new Set(ids).size, 3, "pages with the same id have threads of their own");
  const [first = "", second = "", third = ""] = ids;
  const session = await here.sessions.get(first);
  assert.deepEqual([session.info.user, session.info.labels], ["ada", { app: "shop" }]);
  await threads.rename(first, "Bread");
  await threads.updateCustom?.(second, { color: "blue" });
  await threads.archive(second);
  await threads.delete(third);
  await threads.delete(third);
  await here.sessions.create({ id: "other", user: "bob", labels: { app: "shop" } });
  await here.sessions.create({ id: "elsewhere", user: "ada" });
  const { threads: all } = await threads.list();
  const shown = all.map(({ remoteId, status, title, custom }) => [remoteId, { status, title, custom }] as const);
  assert.deepEqual(Object.fromEntries(shown), {
    [first]: { status: "regular", title: "Bread", custom: { color: "red" } },
    [second]: { status: "archived", title: undefined, custom: { color: "blue" } },
  });
  await threads.unarchive?.(second);
  assert.equal((await threads.fetch(second)).status, "regular");
  for (const id of ["other", "elsewhere", third]) {
    await assert.rejects(threads.fetch(id), { code: "session_not_found" });
    await assert.rejects(threads.rename(id, "x"), { code: "session_not_found" });
  }
  await threads.delete("other");
  assert.equal((await here.sessions.get("other")).info.user, "bob");
});

test("the list has pages, and a title is stored before its stream ends", async () => {
  await using here = serve();
  const threads = await threadsOf(here, { limit: 2 });
  for (let at = 0; at < 5; at++) await threads.initialize(String(at));
  const found = new Set<string>();
  let after: string | undefined;
  do {
    const page = await threads.list({ after });
    for (const { remoteId } of page.threads) found.add(remoteId);
    after = page.nextCursor;
  } while (after !== undefined);
  assert.equal(found.size, 5);
  const [one = "", two = ""] = found;
  assert.equal(await titleOf(threads, one, "How do I bake bread?\nAnd when?", "x"), "How do I bake bread?");
  assert.equal((await here.sessions.get(one)).info.title, "How do I bake bread?");
  assert.equal(await titleOf(threads, one, "Another"), "How do I bake bread?", "a title stays");
  const own = await threadsOf(here, { titleOf: (texts) => texts.join("+") });
  assert.equal(await titleOf(own, two, "a", "b"), "a+b");
  assert.equal(await titleOf(threads, [...found][2]!, "x".repeat(100)), `${"x".repeat(59)}…`);
});
