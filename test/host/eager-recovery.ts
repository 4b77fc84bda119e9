/**
 * As a program: wakes all of so many sessions that a dead host left in a store. Fails where one of them is lost, or they cost
 * too much; says how long it took. A program of its own, for a test runner follows every promise, which costs more than all
 * of them.
 */
import assert from "node:assert/strict";
import { startHost } from "../../src/host/index.ts";
import { openSessions } from "../../src/index.ts";
import { heapBytes, heapBytesNow } from "../support/heap.ts";
import { stats } from "../../src/admin.ts";

/** As much as one that was spoken to may take. */
const bytesMax = 4096;
/** What the activations that run and the records of their page may take besides. */
const runningBytesMax = 2 ** 21;

async function recoverAll(store: string, many: number): Promise<void> {
  const sessions = await openSessions({ store, sweep: false });
  const alreadyAsleep = (await stats(sessions, { by: "agent" })).sessions.states.inactive;
  const heapBefore = await heapBytes();
  let [excess, calls, last] = [-Infinity, 0, 0];
  const began = performance.now();
  const runtime = { onMessage: async (): Promise<string> => "here" };
  const host = await startHost(sessions, { runtime, maxSessions: many });
  const { found, recovered, elsewhere, left, broken } = await host.recover({
    mode: "eager",
    onProgress: (progress) => {
      assert(progress.recovered === last + 1 && progress.recovered <= progress.found, "one more each time");
      last = progress.recovered;
      // Garbage does not count: how much of it there is, is up to the collector. Five collections take little time.
      if (++calls % (many / 5) === 0) excess = Math.max(excess, heapBytesNow() - heapBefore - bytesMax * last);
    },
  });
  const ms = performance.now() - began;
  assert.equal(found, many - alreadyAsleep);
  assert.deepEqual([recovered, elsewhere, left, broken], [found, 0, 0, []]);
  assert.equal(calls, found);
  assert.equal(host.gauges().live, found);
  const each = ((await heapBytes()) - heapBefore) / found;
  process.stdout.write(
    `${(ms / 1000).toFixed(1)} s, ${each.toFixed()} bytes each, at most ${(excess / 1e6).toFixed(1)} MB above their own\n`,
  );
  assert(each <= bytesMax, `${each} bytes per session that was woken`);
  assert(excess <= runningBytesMax, `${excess} bytes more than the recovered sessions may take`);
  assert.equal(await host.send(`s${many - 1}`, "hello"), "here");
  assert.equal((await host.recover({ mode: "eager" })).found, 0, "nothing is left to recover");
  process.exit(0); // without a word, as programs end that are recovered
}

await recoverAll(process.argv[2] ?? "", Number(process.argv[3]));
