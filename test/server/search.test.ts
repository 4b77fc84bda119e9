import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../src/client/index.ts";
import { openStore } from "../../src/open.ts";
import { assertProblem, serve } from "./serving.ts";

test("a client finds messages by text, filters and pages, each in the tenant of its key", async () => {
  await using here = serve({ store: await openStore("sqlite::memory:") });
  const key = await here.key("read");
  const bread = await here.sessions.create({
    id: "bread",
    title: "A second oven",
    user: "ada",
    labels: { team: "ops" },
  });
  await bread.append({ input: "Shall we buy an oven?", output: "An oven pays off." });
  await (await here.sessions.for("other").create({ id: "theirs" })).append({ input: "another oven" });
  const client = connect({
    url: "http://perdure.test",
    key,
    fetch: async (input, init) => await here.server.fetch(new Request(input, init)),
  });
  const page = await client.search({
    text: "oven",
    user: "ada",
    labels: { team: true },
    state: "active",
    since: new Date(0),
  });
  assert.deepEqual(
    page.items.map(({ session, turn, role, at }) => [session, turn, role, at instanceof Date]),
    [
      ["bread", 1, "assistant", true],
      ["bread", 1, "user", true],
      ["bread", null, null, true],
    ],
  );
  assert.equal(page.isCurrent, true);
  const [first] = page.items;
  assert.deepEqual(first?.snippet, { text: "An oven pays off.", marks: [[3, 7]] });
  const one = await client.search({ text: "oven", limit: 1 });
  const rest = await client.search({ text: "oven", after: one.next ?? assert.fail() });
  assert.deepEqual([...one.items, ...rest.items], page.items);
  assert.deepEqual((await client.search({ text: '") OR words : *', session: "bread" })).items, []);
  assert.equal((await client.search({ text: "oven", session: "bread", waitMs: 0 })).items.length, 3);
});

test("a search over HTTP refuses wrong queries and keys, and its text is in no log", async () => {
  const log: unknown[] = [];
  await using here = serve({ store: await openStore("sqlite::memory:"), server: { log: (entry) => log.push(entry) } });
  const key = await here.key("read");
  const ask = (query: string): ReturnType<typeof here.call> => here.call("GET", `/v1/search?${query}`, { key });
  assertProblem(await ask("limit=2"), 400, "request_invalid");
  assertProblem(await ask("text=a&limit=0"), 400, "request_invalid");
  assertProblem(await ask("text=a&after=x"), 400, "argument_invalid");
  assertProblem(await ask(`text=${"a".repeat(1001)}`), 400, "argument_invalid");
  assertProblem(await ask("text=a&session=none"), 404, "session_not_found");
  assertProblem(await ask("text=a&session=s&user=u"), 400, "argument_invalid");
  assertProblem(await here.call("GET", "/v1/search?text=a"), 401, "key_missing");
  assert.equal((await ask("text=%00%22%F0%9F%8D%A3")).status, 200);
  await ask("text=verysecretword");
  assert.ok(!JSON.stringify(log).includes("verysecretword"));
});
