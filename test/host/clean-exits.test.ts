/** A host leaves no worker behind, and no heartbeat of one, however it ends. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startHost, type HostOptions } from "../../src/host/index.ts";
import { resolveHostOptions } from "../../src/host/runtime/options.ts";
import { openWorkerSlots } from "../../src/host/workers/worker-slots.ts";
import { coreOf, sessionsOn } from "../../src/sessions/sessions.ts";
import { systemClock } from "../../src/clock.ts";
import { storeBefore } from "../../src/store/calls/forwarding-store.ts";
import { openMemory } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";
import { settled } from "../support/count-timers.ts";

const runtime = new URL("./mortal.ts", import.meta.url);
const address = "http://127.0.0.1:1";

/** The worker threads and processes of this process. */
function workers(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "MessagePort" || name === "ProcessWrap").length;
}

function withHeartbeat(store: Store, heartbeat: Store["heartbeat"]): Store {
  return Object.assign(storeBefore(store), { heartbeat });
}

for (const isolation of ["pool", "session", "process"] as const) {
  const options: HostOptions = { runtime, isolation, workers: 2, address };

  test(`${isolation}: a host whose address cannot be published ends its workers`, async () => {
    const memory = openMemory({ clock: systemClock });
    // The heartbeats of the workers are written; that of the host itself is refused.
    let self = "";
    const store = withHeartbeat(memory, async (beat, how) => {
      if (beat.id === self && how?.leaving !== true) throw new Error("the store is away");
      await memory.heartbeat(beat, how);
    });
    await using sessions = sessionsOn(store, { sweep: false });
    self = coreOf(sessions).instance.id;
    const before = workers();
    await assert.rejects(startHost(sessions, options), /the store is away/);
    await settled();
    assert.equal(workers(), before);
  });

  test(`${isolation}: closed worker slots start no worker`, async () => {
    await using sessions = sessionsOn(openMemory({ clock: systemClock }), { sweep: false });
    const before = workers();
    const slots = await openWorkerSlots(coreOf(sessions), sessions.tenant, resolveHostOptions(options));
    const closing = slots.close();
    slots.prepareStandby();
    assert.throws(() => slots.free(), { code: "closed" });
    await closing;
    slots.prepareStandby();
    await settled();
    assert.equal(workers(), before);
  });
}

test("a worker that is ended before it has started leaves no heartbeat that other processes take for a host", async () => {
  const memory = openMemory({ clock: systemClock });
  const gate = Promise.withResolvers<void>();
  const beaten = Promise.withResolvers<void>();
  const starting = new Set<string>();
  const store = withHeartbeat(memory, async (beat, how) => {
    if (how?.leaving !== true) {
      starting.add(beat.id);
      beaten.resolve();
      await gate.promise;
    }
    await memory.heartbeat(beat, how);
  });
  await using sessions = sessionsOn(store, { sweep: false });
  const core = coreOf(sessions);
  const opening = openWorkerSlots(
    core,
    sessions.tenant,
    resolveHostOptions({ runtime, isolation: "process", address }),
  );
  const failed = assert.rejects(opening, { code: "runtime_invalid" });
  await beaten.promise;
  const children = process as unknown as { _getActiveHandles(): readonly { kill?: (signal: string) => void }[] };
  for (const child of children._getActiveHandles()) child.kill?.("SIGKILL");
  gate.resolve();
  await failed;
  assert.equal(starting.size, 1);
  assert.deepEqual((await memory.instances("hosts")).instances, []);
});
