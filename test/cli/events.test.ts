import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { createServer, listen } from "../../src/server/index.ts";
import { jsonLines, finish, setUp } from "./command-line.ts";

test("events for people and for programs, by type, severity and session", async () => {
  await using context = await setUp();
  const { place } = context;
  const sessions = await openSessions(place.storeUrl);
  for (const id of ["a", "b"]) await sessions.create({ id, agent: "ceo" });
  // Of events in the same millisecond, those of the session with the later id come last.
  await (await sessions.get("b")).end({ reason: "\u001b[2J enough" });
  await sessions.close();

  const shown = (await place.run(["events"])).stdout.split("\n");
  assert.match(shown[0] ?? "", /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}info {5}[ab] {2}created {2}agent "ceo"$/);
  assert.match(shown[2] ?? "", /b {2}ended {2}reason ".*enough"$/);
  assert.ok(!shown.join("").includes("\u001b"), "no text moves the terminal");
  const events = jsonLines(await place.run(["events", "--session", "b", "--type", "ended", "created", "--json"]));
  assert.deepEqual(
    events.map(({ type, seq }) => [type, seq]),
    [
      ["created", 1],
      ["ended", 2],
    ],
  );
  assert.match(String(events[0]?.["at"]), /^\d{4}-\d\d-\d\dT.*Z$/);
  const last = await place.run(["events", "--limit", "1"]);
  assert.match(last.stdout, /^[^\n]*b {2}ended[^\n]*\n$/);
  assert.match(last.stderr, /only the last 1/);
  assert.equal((await place.run(["sessions", "end", "a", "--reason", "the case is closed"])).code, 0);
  assert.match((await place.run(["events", "--limit", "1"])).stdout, /a {2}ended {2}reason "the case is closed"\n$/);
  const grave = await place.run(["events", "--severity", "warning"]);
  assert.deepEqual([grave.stdout, grave.stderr, grave.code], ["", "no events\n", 0]);
  assert.equal((await place.run(["events", "--type", "born"])).code, 2);
});

test("--url asks a server in the place of the store, and follows it, with a key", async () => {
  await using context = await setUp();
  const { place } = context;
  const sessions = await openSessions(place.storeUrl);
  const listening = await listen(createServer({ sessions }), { port: 0 });
  const { token } = await sessions.keys.create({ name: "test", right: "read" });
  await sessions.create({ id: "before" });
  const server = ["--url", listening.url, "--key", token];
  assert.match((await place.run(["events", ...server])).stdout, /info {5}before {2}created {2}agent/);
  const follower = place.start(["events", "--follow", "--json", "--since", "1m", ...server]);
  const ended = finish(follower);
  const [first] = (await once(follower.stdout ?? follower, "data")) as [Buffer];
  assert.match(String(first), /"session":"before"/);
  const heard = once(follower.stdout ?? follower, "data") as Promise<[Buffer]>;
  await sessions.create({ id: "after" });
  assert.match(String((await heard)[0]), /"session":"after"/);
  follower.kill("SIGINT");
  const { code, stdout, stderr } = await ended;
  assert.deepEqual([code, stderr, stdout.trim().split("\n").length], [130, "", 2]);
  const refused = await place.run(["events", "--url", listening.url, "--key", "pdk_wrong"]);
  assert.match(refused.stderr, /needs a valid key/);
  assert.equal((await place.run(["events", "--url", "nowhere", "--key", token])).code, 2);
  assert.match((await place.run(["events", "--url", listening.url])).stderr, /PERDURE_KEY/);
  assert.equal((await place.run(["events", "--url", listening.url, "--store", place.storeUrl])).code, 2);
  await listening.close(0);
  await sessions.close();
});

test("--follow prints events of another process as they happen, until Ctrl-C or until the reader closes the pipe", async () => {
  await using context = await setUp();
  const { place } = context;
  const sessions = await openSessions(place.storeUrl);
  await sessions.create({ id: "before" });
  const follower = place.start(["events", "--follow", "--json", "--since", "1m"]);
  const ended = finish(follower);
  const [first] = (await once(follower.stdout ?? follower, "data")) as [Buffer];
  assert.match(String(first), /"session":"before"/);
  const heard = once(follower.stdout ?? follower, "data") as Promise<[Buffer]>;
  await sessions.create({ id: "after" });
  assert.match(String((await heard)[0]), /"session":"after"/);
  follower.kill("SIGINT");
  const { code, stdout, stderr } = await ended;
  assert.deepEqual([code, stderr, stdout.trim().split("\n").length], [130, "", 2]);

  const unread = place.start(["events", "--follow", "--since", "1m"]);
  const left = once(unread, "close");
  await once(unread.stdout ?? unread, "data");
  unread.stdout?.destroy();
  for (let index = 0; index < 20 && unread.exitCode === null; index++) {
    await sessions.create({ id: `more ${index}` });
    await Promise.race([left, new Promise((resolve) => setTimeout(resolve, 500))]);
  }
  await left;
  await sessions.close();
});
