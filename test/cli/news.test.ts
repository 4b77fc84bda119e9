import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { createServer, listen } from "../../src/server/index.ts";
import { finish, setUp } from "./command-line.ts";

test("news print an item a line, from a store and from a server, until Ctrl-C", async () => {
  await using context = await setUp();
  const { place } = context;
  const sessions = await openSessions(place.storeUrl);
  const listening = await listen(createServer({ sessions }), { port: 0 });
  const { token } = await sessions.keys.create({ name: "test", right: "read" });
  const server = ["--url", listening.url, "--key", token];
  for (const [round, args] of [[], server].entries()) {
    const follower = place.start(["news", "--json", ...args]);
    const ended = finish(follower);
    const lines = createInterface({ input: follower.stdout ?? assert.fail() })[Symbol.asyncIterator]();
    const next = async (): Promise<Record<string, unknown>> => {
      const { value } = await lines.next();
      return JSON.parse(value ?? JSON.stringify(await ended));
    };
    assert.partialDeepStrictEqual(await next(), { reset: true });
    await sessions.create({ id: `s${round}` });
    const { session, cursor } = await next();
    assert.equal(session, `s${round}`);
    follower.kill("SIGINT");
    await ended;

    await (await sessions.get(`s${round}`)).append({ input: "question" });
    const text = place.start(["news", "--after", String(cursor), ...args]);
    const [line] = await Array.fromAsync(
      (async function* () {
        for await (const one of createInterface({ input: text.stdout ?? assert.fail() })) {
          yield one;
          text.kill("SIGINT");
        }
      })(),
    );
    assert.match(line ?? "", new RegExp(`^session {2}s${round} {2}version \\d+ {2}state active {2}turns 1`));
  }
  await listening.close(0);
  await sessions.close();
  assert.equal((await place.run(["news", "--after", "17"])).code, 2);
});
