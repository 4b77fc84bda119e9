/** A stream of an answer in the store, which its client resumes while the store is away. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { createServer } from "../../src/server/index.ts";
import { place } from "../support/store-away.ts";

for (const earlier of [0, 1]) {
  test(`a resumed stream fails with store_unavailable in the fallback, where ${earlier} other turns are`, async () => {
    await using here = place();
    const server = createServer({ sessions: here.sessions });
    const [device, key] = [randomUUID(), "asked"];
    const say = async (message: string, headers: Record<string, string> = {}): Promise<Response> =>
      await server.fetch(
        new Request("http://server.test/v1/chat", {
          method: "POST",
          headers: { "content-type": "application/json", "x-device-id": device, ...headers },
          body: JSON.stringify({ message }),
        }),
      );
    const stream = { accept: "text/event-stream", "idempotency-key": key };
    const answered = await (await say("q", stream)).text();
    const id = /^id: (1-[1-9]\d*)$/m.exec(answered)?.[1] ?? "";
    here.state.away = true;
    for (let turn = 0; turn < earlier; turn++) assert.equal((await say(`meanwhile ${turn}`)).status, 200);

    const resumed = await say("q", { ...stream, "last-event-id": id });
    const text = await resumed.text();
    assert.match(text, /"code":"store_unavailable"/);
    assert.doesNotMatch(text, /event: (text|done)/);
    if (earlier === 0) {
      const headers = { "x-device-id": device, "last-event-id": id, accept: "text/event-stream" };
      const read = await server.fetch(new Request("http://server.test/v1/chat/stream", { headers }));
      assert.match(await read.text(), /"code":"store_unavailable"/);
    }

    await here.back();
    assert.match(await (await say("q", { ...stream, "last-event-id": id })).text(), /event: done\n/);
    await server.stop();
  });
}
