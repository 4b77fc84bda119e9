/** Conversations and shares of `perdure/client`, over real HTTP. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, test } from "node:test";
import { chat, connect, openShare } from "../../src/client/index.ts";
import { listen } from "../../src/server/index.ts";
import { serve } from "./serving.ts";

const here = serve();
const listening = await listen(here.server, { port: 0 });
const { url } = listening;
after(async () => {
  await listening.close(1000);
  await here[Symbol.asyncDispose]();
});

// oxlint-disable-next-line typescript/no-explicit-any -- the options are wrong on purpose
const misspelt: any = { dryrun: true };
const refusal = { code: "argument_invalid", message: /"dryrun"/ } as const;

test("a device creates, lists, renames, pins, selects, searches and removes its conversations", async () => {
  const phone = chat({ url, device: randomUUID() });
  const mine = phone.conversations;
  const [first, second] = [await mine.create({ title: "First" }), await mine.create()];
  assert.deepEqual([first.info.title, first.info.turns, second.info.title], ["First", 0, null]);
  await mine.select(first.id);
  assert.equal(await (await phone.say("a parcel")).text(), "you said: a parcel");
  assert.equal((await first.refresh()).turns, 1);
  await mine.rename(second.id, "Second");
  await mine.pin(second.id);
  const { items, next } = await mine.list({ limit: 1 });
  assert.partialDeepStrictEqual(items, [{ id: second.id, title: "Second", isPinned: true }]);
  assert.ok(items[0]?.createdAt instanceof Date && typeof next === "string");
  await mine.unpin(second.id);
  const all = await Array.fromAsync(mine.each());
  assert.deepEqual(new Set(all.map(({ id }) => id)), new Set([first.id, second.id]));
  const found = await mine.search("parcel", { limit: 1 });
  assert.deepEqual([found.items[0]?.session, typeof found.next], [first.id, "string"]);
  await mine.remove(second.id);
  await mine.rename(first.id, null);
  assert.equal((await mine.get(first.id)).title, null);
  await assert.rejects(mine.open(second.id), { code: "session_not_found" });
  const theirs = chat({ url, device: randomUUID() }).conversations;
  await assert.rejects(theirs.open(first.id), { code: "session_not_found" });
  await assert.rejects(theirs.remove(first.id), { code: "session_not_found" });
});

test("a conversation of a device answers, edits, asks again, switches, and shares", async () => {
  const mine = chat({ url, device: randomUUID() }).conversations;
  const { id } = await mine.create();
  const conversation = await mine.open(id);
  for (const message of ["one", "two"]) await (await conversation.say(message)).done;
  assert.equal(await (await conversation.edit(2, "two, differently")).text(), "you said: two, differently");
  await (
    await conversation.regenerate({ turn: 2 })
  ).done;
  const versions = await conversation.branches({ at: 2 });
  assert.deepEqual(
    versions.map(({ index, isCurrent }) => [index, isCurrent]),
    [
      [1, false],
      [2, false],
      [3, true],
    ],
  );
  await conversation.switchTo(versions[0]?.id ?? "");
  const inputs = async (range = {}): Promise<unknown[]> =>
    (await Array.fromAsync(conversation.turns(range))).map(({ input }) => input[0]?.content);
  assert.deepEqual(await inputs(), ["one", "two"]);
  assert.deepEqual(await inputs({ last: 1, branch: versions[1]?.id }), ["two, differently"]);
  assert.equal(await conversation.running(), undefined);
  assert.equal(await conversation.cancel(), false);

  const { token, ...link } = await conversation.share({ ttl: "1h" });
  assert.deepEqual(await conversation.shares(), [link]);
  const shared = openShare({ url, token });
  assert.partialDeepStrictEqual(await shared.info(), { title: null, turns: 2, expiresAt: link.expiresAt });
  const seen = await Array.fromAsync(shared.turns({ last: 1 }));
  assert.partialDeepStrictEqual(seen, [{ seq: 2, input: [{ role: "user", content: "two" }] }]);
  assert.ok(seen[0]?.at instanceof Date);
  assert.equal(await conversation.unshare("nothing"), false);
  assert.equal(await conversation.unshare(link.id), true);
  await assert.rejects(shared.info(), { code: "share_not_found" });
});

test("a key manages the conversations of its users, and the shares of its sessions", async () => {
  const sessions = connect({ url, key: await here.key("admin", "shop") });
  const [ada, bob] = [sessions.conversations({ user: "ada" }), sessions.conversations({ user: "bob" })];
  const session = await ada.create({ title: "Hers" });
  assert.equal(session.info.user, "ada");
  await session.append({ input: "hi", output: "hello" });
  await ada.pin(session.id);
  assert.partialDeepStrictEqual((await ada.list()).items, [
    { id: session.id, title: "Hers", isPinned: true, turns: 1 },
  ]);
  assert.deepEqual((await bob.list()).items, []);
  await assert.rejects(bob.open(session.id), { code: "session_not_found" });
  assert.equal((await ada.open(session.id)).info.title, "Hers");
  const { id, token } = await sessions.share(session.id);
  assert.deepEqual(
    (await sessions.shares(session.id)).map((share) => share.id),
    [id],
  );
  assert.equal((await openShare({ url, token }).info()).title, "Hers");
  assert.deepEqual([await sessions.unshare(id), await sessions.unshare(id)], [true, false]);
  await ada.remove(session.id);
  assert.deepEqual((await ada.list()).items, []);
});

test("a watch of a share resumes after its connection broke, and ends with the session or the share", async () => {
  const session = await here.sessions.create();
  await session.append({ input: "one" });
  const { token, id } = await here.sessions.share(session.id);
  const asked: (string | null)[] = [];
  // The first stream ends after one event.
  const lossy: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    const response = await fetch(request);
    if (!request.url.includes("/watch")) return response;
    asked.push(request.headers.get("last-event-id"));
    if (asked.length > 1) return response;
    const reader = response.body?.getReader();
    const body = new ReadableStream({
      async pull(controller) {
        controller.enqueue((await reader?.read())?.value);
        controller.close();
        await reader?.cancel();
      },
    });
    return new Response(body, response);
  };
  const news = openShare({ url, token, fetch: lossy }).watch({ after: 0 });
  const next = async (): Promise<unknown> => {
    const { value } = await news.next();
    return value?.type === "turn" ? value.turn.input[0]?.content : value;
  };
  assert.equal(await next(), "one");
  await session.append({ input: "two" });
  assert.equal(await next(), "two");
  assert.deepEqual(asked, ["0.0", "1.0"]);
  await session.truncate(1);
  assert.deepEqual(await next(), { type: "truncated", after: 1 });
  const revoked = openShare({ url, token }).watch();
  const last = revoked.next();
  await session.end();
  assert.deepEqual(await news.next(), { done: true, value: undefined });
  assert.deepEqual(await last, { done: true, value: undefined });
  await here.sessions.unshare(id);
  await assert.rejects(openShare({ url, token }).watch({ after: 0 }).next(), { code: "share_not_found" });
});

test("an option that does not exist is refused, and nothing is sent", async () => {
  let sent = 0;
  const options = {
    url,
    fetch: async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
      sent++;
      return await fetch(input, init);
    },
  };
  const mine = chat({ ...options, device: randomUUID() }).conversations;
  const sessions = connect({ ...options, key: await here.key("write") });
  const one = await mine.create();
  const before = sent;
  const calls: readonly (() => Promise<unknown>)[] = [
    () => mine.list(misspelt),
    () => mine.create(misspelt),
    () => mine.search("x", misspelt),
    () => one.say("x", misspelt),
    () => one.edit(1, "x", misspelt),
    () => one.regenerate(misspelt),
    () => one.branches(misspelt),
    () => one.cancel(misspelt),
    () => one.share(misspelt),
    () => sessions.share("s", misspelt),
    () =>
      openShare({ ...options, token: "x" })
        .watch(misspelt)
        .next(),
    async () => sessions.conversations(misspelt),
    async () => openShare({ ...options, token: "x", ...misspelt }),
  ];
  for (const call of calls) await assert.rejects(call, refusal, String(call));
  await assert.rejects(async () => sessions.conversations({ user: "" }), { code: "id_invalid" });
  assert.equal(sent, before);
});
