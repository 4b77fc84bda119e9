/** Sessions that are made and ended leave nothing behind. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startHost, type Host, type HostOptions, type Isolation } from "../../src/host/index.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { coreOf } from "../../src/sessions/sessions.ts";
import { heapBytes } from "../support/heap.ts";
import { until } from "../support/until.ts";
import { removeSession } from "../../src/admin.ts";

interface Place extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly host: Host;
}

async function place(options: Partial<HostOptions>): Promise<Place> {
  const sessions = await openSessions({ store: "memory:", sweep: false });
  const runtime = new URL("./mortal.ts", import.meta.url);
  const host = await startHost(sessions, { runtime, workers: 2, restart: { backoff: "1ms" }, ...options });
  return {
    sessions,
    host,
    async [Symbol.asyncDispose]() {
      await host.close();
      await sessions.close();
    },
  };
}

/** One life: a session is made, answers a message, ends in one of the ways there are, and is removed. */
async function live({ host, sessions }: Place, id: string, index: number): Promise<void> {
  await host.ensure(id);
  await host.send(id, "x");
  switch (index % 8) {
    case 1:
      await host.kill(id);
      await removeSession(sessions, id);
      break;
    case 2: {
      const hanging = assert.rejects(host.send(id, "hang"), { code: "session_stopped" });
      await Promise.all([host.remove(id), hanging]);
      break;
    }
    case 3:
      await assert.rejects(host.send(id, "throw"), { code: "runtime_failed" });
      await host.remove(id);
      break;
    default:
      await host.stop(id);
      await removeSession(sessions, id);
  }
}

async function liveAll(place: Place, { lives, atOnce }: { lives: number; atOnce: number }): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < lives) {
        const index = next++;
        await live(place, `s${index}`, index);
      }
    }),
  );
}

function guardEmpty({ host, sessions }: Place): void {
  const { live, waiting, timers, mailbox } = host.gauges();
  assert.deepEqual({ live, waiting, timers, mailbox }, { live: 0, waiting: 0, timers: 0, mailbox: 0 });
  assert.deepEqual([...host.each()], []);
  const core = coreOf(sessions);
  assert.equal(core.leases.size, 0);
  assert.equal(core.turns.size, 0);
}

/** The test finds a leak of a hundred bytes a life: the heap without leaks grows by some ten bytes a life. */
const inlineLives = 2000;

test(`inline: ${inlineLives} sessions made and ended leave no entry, timer, place or lease, and less than 100 bytes each`, async (t) => {
  await using here = await place({ isolation: "inline" });
  await liveAll(here, { lives: 1000, atOnce: 100 }); // makes what is made once
  const before = await heapBytes();
  await liveAll(here, { lives: inlineLives, atOnce: 100 });
  guardEmpty(here);
  const grown = (await heapBytes()) - before;
  t.diagnostic(`the heap grew by ${(grown / 1024).toFixed()} KiB`);
  assert(grown < 100 * inlineLives, `the heap grew by ${grown} bytes`);
});

const inWorkers: readonly [isolation: Isolation, lives: number, atOnce: number][] = [
  ["pool", 300, 10],
  ["session", 24, 4],
];
for (const [isolation, lives, atOnce] of inWorkers) {
  test(`${isolation}: ${lives} sessions made and ended leave no entry, timer, place, lease or thread`, async () => {
    const ports = (): number => process.getActiveResourcesInfo().filter((name) => name === "MessagePort").length;
    const portsBefore = ports();
    {
      await using here = await place({ isolation });
      await liveAll(here, { lives, atOnce });
      guardEmpty(here);
      assert(here.host.gauges().workers.length <= (isolation === "pool" ? 2 : 1));
    }
    await until(() => ports() === portsBefore);
  });
}
