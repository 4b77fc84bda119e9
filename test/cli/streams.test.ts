/** Streams on the command line: list and show, which read alone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StreamProducer } from "../../src/index.ts";
import { jsonLines, workplaceOfFile, type Finished } from "./command-line.ts";

const { place, sessions } = await workplaceOfFile();

async function run(command: string, ...args: string[]): Promise<Finished> {
  return await place.run(["streams", command, ...args]);
}

async function produce(id: string, options = {}): Promise<StreamProducer> {
  const acquired = await sessions.streams.acquire(id, { flush: { ms: 0 }, ...options });
  return acquired.role === "producer" ? acquired.stream : assert.fail();
}

test("list prints the streams by status and session, page by page, and show the parts that are stored", async () => {
  const empty = await run("list");
  assert.deepEqual([empty.code, empty.stdout, empty.stderr], [0, "", "no streams\n"]);
  await sessions.create({ id: "chat" });
  const done = await produce("done", { session: "chat" });
  for (const part of ["a\u001bb", { text: "c" }]) await done.write(part);
  await done.end();
  await (await produce("failed")).fail("no");
  await using running = await produce("running", { session: "chat" });
  await running.write(1);
  const named = (finished: Finished) =>
    jsonLines(finished).map(({ stream, status }) => `${String(stream)} ${String(status)}`);
  const all = named(await run("list", "--json")).toSorted();
  assert.deepEqual(all, ["done done", "failed error", "running streaming"]);
  assert.deepEqual(named(await run("list", "--status", "done", "--session", "chat", "--json")), ["done done"]);
  const first = await run("list", "--limit", "1", "--json");
  const cursor = /^more: --after (\S+)\n$/.exec(first.stderr)?.[1] ?? assert.fail(first.stderr);
  assert.equal(named(await run("list", "--after", cursor, "--json")).length, 2);
  const line = (await run("list", "--status", "done")).stdout;
  assert.match(line, /^done {2}done {2}2 parts {2}\S+ \S+ {2}session chat {2}expires \S+ \S+\n$/);
  assert.deepEqual((await run("show", "done")).stdout.split("\n").slice(1), ["1  a\\u001bb", '2  {"text":"c"}', ""]);
  assert.deepEqual(jsonLines(await run("show", "done", "--after", "1", "--json")), [{ seq: 2, part: { text: "c" } }]);
  // The parts of a stream in progress are printed once they are stored, and the command ends.
  for await (const { seq } of sessions.streams.read("running")) if (seq === 1) break;
  assert.deepEqual(jsonLines(await run("show", "running", "--json")), [{ seq: 1, part: 1 }]);
  assert.equal((await run("show", "none")).code, 3);
  assert.equal((await run("list", "--status", "missing")).code, 2);
});
