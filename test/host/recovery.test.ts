/** A host that starts after another one died answers at once, at any number of sessions of the dead host. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { startHost, type Host } from "../../src/host/index.ts";
import { openSessions, type Sessions } from "../../src/index.ts";
import { openStore } from "../../src/open.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { callStore, forwardingStore } from "../../src/store/calls/forwarding-store.ts";
import { abandon } from "./abandoned.ts";
import { isThorough } from "../support/rounds.ts";

const many = isThorough ? 20_000 : 10_000;
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

/** Counts the calls of a store and the records that it gives back. */
interface Work {
  calls: number;
  records: number;
}

/** The work of the store from the start of a program to its first answer. */
async function workToFirstAnswer({ store: url }: Place): Promise<Work> {
  const work: Work = { calls: 0, records: 0 };
  const store = await openStore(url);
  const own = { capabilities: store.capabilities, watch: store.watch.bind(store), close: () => store.close() };
  const count = (found: unknown): void => {
    type Found = { readonly records?: readonly unknown[]; readonly sessions?: readonly unknown[] } | undefined;
    const { records = [], sessions = [] } = (found as Found) ?? {};
    work.records += records.length + sessions.length;
  };
  const counting = forwardingStore(own, (method, args) => {
    work.calls++;
    const called = callStore(store, method, args);
    called.then(count, () => undefined);
    return called;
  });
  await using sessions = sessionsOn(counting, { sweep: false });
  await using host = await startHost(sessions, { runtime });
  await host.recover();
  assert.equal(await host.send("s0", "hello"), "here");
  assert.equal([...host.each()].length, 1, "the host activates no other session");
  return { ...work };
}

let crowded: Place;
before(async () => {
  crowded = await place(many);
});
after(async () => {
  await crowded[Symbol.asyncDispose]();
});

test(`a host that recovers lazily reads no more for its first answer with ${many} sessions behind it than with ${few}`, async () => {
  await using small = await place(few);
  const [crowdedWork, smallWork] = [await workToFirstAnswer(crowded), await workToFirstAnswer(small)];
  assert.deepEqual(crowdedWork, smallWork);
  assert(smallWork.records < 10, `${smallWork.records} records`);
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
  const { live } = host.gauges();
  assert(live >= 100 && live < 200, `${live} are live`);
  // Some of the live ones were still being activated when the abort came, and are found again.
  const { found, recovered } = await host.recover({ mode: "eager" });
  assert.equal(found, recovered);
  assert(found <= few - 100 && found >= few - live, `${found} were left`);
  assert.equal(host.gauges().live, few, "the second recovery activates the rest");
});

test(`an eager recovery activates all ${many} sessions of a dead host, reports progress, and keeps only the memory they need`, (t) => {
  const program = fileURLToPath(new URL("eager-recovery.ts", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, crowded.store, `${many}`], {
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  t.diagnostic(stdout.trim());
});
