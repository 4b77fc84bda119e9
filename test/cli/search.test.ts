import assert from "node:assert/strict";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { jsonLines, setUp } from "./command-line.ts";

test("search prints what it finds, marked on a terminal, and makes no store", async () => {
  await using context = await setUp();
  const { place } = context;
  const missing = await place.run(["search", "oven"]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /store_unavailable/);
  const sessions = await openSessions(place.storeUrl);
  const bread = await sessions.create({ id: "bread", title: "Ovens", labels: { team: "ops" } });
  await bread.append({ input: "Shall we buy\n a second  oven?", output: "yes \u001b[31m oven" });
  await sessions.close();
  const found = await place.run(["search", "oven", "--limit", "1"]);
  assert.equal(found.code, 0, found.stderr);
  assert.match(found.stdout, /^bread {2}turn 1 {2}assistant {2}\d{4}.* {2}"Ovens"\n {2}yes \\u001b\[31m oven\n$/);
  const cursor = /--after (\S+)/.exec(found.stderr)?.[1] ?? assert.fail(found.stderr);
  const marked = await place.run(["search", "second", "oven", "--after", cursor, "--label", "team=ops"], {
    env: { FORCE_COLOR: "1" },
  });
  assert.match(marked.stdout, /Shall we buy a \S*second\S* \S*oven/);
  assert.ok(marked.stdout.includes("\u001b[1m"));
  const [line] = jsonLines(await place.run(["search", '"a second"', "--session", "bread", "--json"]));
  assert.partialDeepStrictEqual(line, { session: "bread", turn: 1, role: "user" });
  const nothing = await place.run(["search", "nothing"]);
  assert.deepEqual([nothing.code, nothing.stdout, nothing.stderr], [0, "", "nothing found\n"]);
  assert.equal((await place.run(["search"])).code, 2);
});
