/** A host that starts where another one died: at once, however many sessions that one had. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHost, type Host } from "../../src/host/index.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { abandon } from "./abandoned.ts";
import { rounds } from "../support/rounds.ts";

const many = rounds(100_000);
const few = 1000;

const runtime = { onMessage: async (): Promise<string> => "here" };

interface Place extends AsyncDisposable {
  readonly store: string;
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
  return { store, open, [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true }) };
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
    assert.equal([...host.each()].length, 1, "nobody else is woken");
  }
  return Math.min(...times);
}

let crowded: Place;
before(async () => {
  crowded = await place(many);
});
after(async () => {
  await crowded[Symbol.asyncDispose]();
});

test(`a host that recovers lazily answers as soon with ${many} sessions behind it as with ${few}`, async (t) => {
  await using small = await place(few);
  const [crowdedMs, smallMs] = [await firstAnswerMs(crowded), await firstAnswerMs(small)];
  t.diagnostic(`${crowdedMs.toFixed(1)} ms with ${many}, ${smallMs.toFixed(1)} ms with ${few}`);
  assert(crowdedMs < 2 * smallMs + 50, `${crowdedMs} ms with ${many} sessions, ${smallMs} ms with ${few}`);
});

test(`an eager recovery of ${few} sessions stops when it is aborted; activated sessions stay live`, async () => {
  await using here = await place(few);
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
  const { live } = host.metrics();
  assert(live >= 100 && live < 200, `${live} are live`);
  // Some of the live ones were still being activated when the abort came, and are found again.
  const { found, recovered } = await host.recover({ mode: "eager" });
  assert.equal(found, recovered);
  assert(found <= few - 100 && found >= few - live, `${found} were left`);
  assert.equal(host.metrics().live, few, "the second recovery activates the rest");
});

test(`an eager recovery activates all ${many} sessions of a dead host, reports progress, and keeps only the memory they need`, (t) => {
  const program = fileURLToPath(new URL("eager-recovery.ts", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, crowded.store, `${many}`], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  t.diagnostic(stdout.trim());
});
