import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { test } from "node:test";
import { openSessions } from "../../src/index.ts";
import { Workplace } from "./command-line.ts";

/** Starts the studio, and reads its link. */
async function studio(place: Workplace, args: readonly string[]): Promise<{ child: ChildProcess; link: URL }> {
  const child = place.start(["studio", "--port", "0", ...args]);
  let said = "";
  child.once("exit", (code) => assert.equal(code, 0, "it ended before it was stopped"));
  for (;;) {
    const link = /^(http:\S+)$/m.exec(said)?.[1];
    if (link !== undefined) return { child, link: new URL(link) };
    const [data] = (await once(child.stdout ?? child, "data")) as [Buffer];
    said += data.toString();
  }
}

async function exchange({ origin, hash }: URL): Promise<Response> {
  return await fetch(`${origin}/studio/exchange`, { method: "POST", body: hash.slice("#token=".length) });
}

/** The status of a request with another name in `Host`, which `fetch` does not send. */
async function statusFor(origin: string, host: string): Promise<number | undefined> {
  const sent = request(`${origin}/studio/`, { headers: { host } }).end();
  const [response] = (await once(sent, "response")) as [{ statusCode?: number; resume: () => void }];
  response.resume();
  return response.statusCode;
}

test("perdure studio prints a link that opens it once, read-only without --write, and creates no store", async () => {
  await using place = await Workplace.open();
  assert.notEqual((await place.run(["studio", "--port", "0"])).code, 0, "without a store");
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  await sessions.create({ id: "s", title: "Parcels" });
  await sessions.close();
  for (const [args, right, status] of [
    [[], "read", 403],
    [["--write"], "admin", 200],
  ] as const) {
    const { child, link } = await studio(place, args);
    const { key } = (await (await exchange(link)).json()) as { key: string };
    assert.equal((await exchange(link)).status, 403, "used twice");
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const api = `${link.origin}/studio/v1`;
    assert.equal(((await (await fetch(`${api}/key`, { headers })).json()) as { right: string }).right, right);
    const found = (await (await fetch(`${api}/search?text=parcels`, { headers })).json()) as { items: unknown[] };
    assert.equal(found.items.length, 1, "a reader searches");
    const end = { method: "POST", headers: { authorization: headers.authorization } };
    assert.equal((await fetch(`${api}/sessions/s/end`, end)).status, status);
    assert.equal(await statusFor(link.origin, "evil.example"), 421);
    const exited = once(child, "exit");
    child.kill();
    assert.deepEqual(await exited, [0, null]);
  }
});
