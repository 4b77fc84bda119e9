/** A host that starts where another one died: at once, however many sessions that one had. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { startHost, type Host } from "../../src/host/index.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { abandon } from "./abandoned.ts";

const many = 100_000;
const few = 1000;

const runtime = { onMessage: async (): Promise<string> => "here" };

interface Place extends AsyncDisposable {
  /** The store, opened anew, as by a program that has just started. */
  open(): Promise<Sessions>;
}

/** A file in which a dead program left so many sessions. */
async function place(count: number): Promise<Place> {
  const folder = await mkdtemp(join(tmpdir(), "perdure-recovery-"));
  const store = `sqlite:${join(folder, "s.db")}?synchronous=normal`;
  const open = async (): Promise<Sessions> => await openSessions({ store, sweep: false });
  await using sessions = await open();
  await abandon(sessions, count);
  return { open, [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true }) };
}

/** From the start of a program to its first answer, ms: of several, the fastest, which what else goes on disturbs least. */
async function firstAnswerMs(place: Place): Promise<number> {
  const times: number[] = [];
  for (let start = 0; start < 5; start++) {
    const began = performance.now();
    await using sessions = await place.open();
    await using host = await startHost(sessions, { runtime });
    await host.recover();
    assert.equal(await host.send(`s${start}`, "hello"), "here");
    times.push(performance.now() - began);
    assert.equal(host.list().length, 1, "nobody else is woken");
  }
  return Math.min(...times);
}

test(`a host that recovers lazily answers as soon with ${many} sessions behind it as with ${few}`, async (t) => {
  await using crowded = await place(many);
  await using small = await place(few);
  const [crowdedMs, smallMs] = [await firstAnswerMs(crowded), await firstAnswerMs(small)];
  t.diagnostic(`${crowdedMs.toFixed(1)} ms with ${many}, ${smallMs.toFixed(1)} ms with ${few}`);
  assert(crowdedMs < 2 * smallMs + 50, `${crowdedMs} ms with ${many} sessions, ${smallMs} ms with ${few}`);
});

test(`an eager recovery wakes all ${few} sessions of a dead host, says how far it is, and stops when it is told to`, async () => {
  await using here = await place(few);
  {
    await using sessions = await here.open();
    await using host: Host = await startHost(sessions, { runtime });
    const stopped = new AbortController();
    const recovering = host.recover({
      mode: "eager",
      signal: stopped.signal,
      onProgress: ({ recovered }) => {
        if (recovered === 100) stopped.abort(new Error("enough"));
      },
    });
    await assert.rejects(recovering, /enough/);
    assert(host.metrics().live < 150);
  }
  await using sessions = await here.open();
  await using host = await startHost(sessions, { runtime });
  const seen: number[] = [];
  const { found, recovered, elsewhere, broken } = await host.recover({
    mode: "eager",
    onProgress: ({ recovered }) => seen.push(recovered),
  });
  assert(found >= few - 150 && found <= few - 100, `${found}: those that sleep are left asleep`);
  assert.deepEqual([recovered, elsewhere, broken], [found, 0, []]);
  assert.deepEqual(
    seen,
    seen.toSorted((a, b) => a - b),
  );
  assert.equal(seen.at(-1), found);
  assert.equal(host.metrics().live, found);
  assert.deepEqual((await host.recover({ mode: "eager" })).found, 0, "nothing is left to recover");
});
