/**
 * How long sessions and handoffs last where a command serves agents: `--ttl`, `--retention`, `DEFAULT_SESSION_TTL`; and where the data
 * inside their messages goes: `--inline-bytes-max`, `PERDURE_INLINE_BYTES_MAX`.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { stats } from "../../src/admin.ts";
import { openSessions } from "../../src/index.ts";
import { forwardClock } from "../support/forward-clock.ts";
import { listening, stop, Workplace } from "./command-line.ts";

const runtime = fileURLToPath(new URL("counting-agent.ts", import.meta.url));
const day = 86_400_000;

/** A store with a session that expired, and one that ended, a hundred days ago; no sweep has visited it since. */
async function leftForLong(place: Workplace): Promise<void> {
  const clock = forwardClock();
  clock.forward(-101 * day);
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false, clock });
  await sessions.create({ id: "expired", ttl: "1d" });
  await (await sessions.create({ id: "ended" })).end();
}

for (const command of [["serve"], ["host", "run", runtime]]) {
  const name = command.slice(0, 2).join(" ");
  test(`${name}: --ttl, --retention, DEFAULT_SESSION_TTL and the limit of inline data hold for what it serves`, async () => {
    await using place = await Workplace.open();
    await leftForLong(place);
    const key = (await place.run(["keys", "create", "--name", "test", "--right", "admin"])).stdout.trim();
    const args = [...command, "--port", "0", "--ttl", "2d", "--retention", "90d"];
    if (name === "serve") args.push("--inline-bytes-max", "1000");
    // The option goes before the variable.
    const env = { DEFAULT_SESSION_TTL: "60", PERDURE_INLINE_BYTES_MAX: name === "serve" ? "1000000" : "1000" };
    const { child, url } = await listening(place.start(args, { env }));
    const call = async (method: string, path: string, body: object): Promise<Record<string, string | number>> => {
      const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      const response = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) });
      assert(response.ok, `${method} ${path}: ${response.status}`);
      return (await response.json()) as Record<string, string | number>;
    };
    const time = (instant: string | number | undefined): number => new Date(String(instant)).getTime();
    const info = await call("POST", "/v1/sessions", { id: "new" });
    assert.equal(time(info["expiresAt"]) - time(info["createdAt"]), 2 * day);
    const active = await call("PUT", "/v1/sessions/new/active-agent", { agent: "sales" });
    assert.equal(time(active["expiresAt"]) - time(active["since"]), 60_000);
    const swept = await call("POST", "/v1/sweep", {});
    assert.equal(swept["removed"], 2, "the first sweep after a hundred days");
    const picture = { type: "file", mediaType: "image/png", data: Buffer.alloc(3000, 1).toString("base64") };
    await call("POST", "/v1/sessions/new/turns", { input: [{ role: "user", content: [picture] }] });
    await stop(child);
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    assert.deepEqual((await stats(sessions)).storage.attachments, { count: 1, bytes: 3000 });
  });

  test(`${name}: a wrong lifetime is refused before the store is opened`, async () => {
    await using place = await Workplace.open();
    for (const [option, expected] of [
      ["--ttl", 'Expected a duration such as 30d, or "never".'],
      ["--retention", "Expected a duration such as 90d."],
    ] as const) {
      const { code, stderr } = await place.run([...command, "--port", "0", option, "soon"]);
      assert.equal(code, 2, stderr);
      assert(stderr.includes(expected), stderr);
    }
    const { code, stderr } = await place.run([...command, "--port", "0"], { env: { DEFAULT_SESSION_TTL: "1h" } });
    assert.equal(code, 2);
    assert.match(stderr, /DEFAULT_SESSION_TTL is "1h"/);
    const inline = await place.run([...command, "--port", "0"], { env: { PERDURE_INLINE_BYTES_MAX: "64KiB" } });
    assert.equal(inline.code, 2);
    assert.match(inline.stderr, /PERDURE_INLINE_BYTES_MAX is "64KiB"; set it to a number of bytes/);
  });
}

test("chat: DEFAULT_SESSION_TTL is the time of the handoff that --agent makes", async () => {
  await using place = await Workplace.open({ OPENAI_BASE_URL: "http://127.0.0.1:9", PERDURE_MODEL: "none" });
  {
    await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
    await sessions.create({ id: "s", agent: "ceo" });
  }
  await place.run(["chat", "--session", "s", "--agent", "sales"], { env: { DEFAULT_SESSION_TTL: "60" } });
  await using sessions = await openSessions({ store: place.storeUrl, sweep: false });
  const active = await (await sessions.get("s")).activeAgent();
  assert(active);
  assert.equal(active.expiresAt.getTime() - active.since.getTime(), 60_000);
});
