/** Main module of a worker thread or process: an inline slot, controlled by the host. */
import { parentPort, workerData } from "node:worker_threads";
import { createBirpc } from "birpc";
import { coreOf, sessionsOn } from "../../sessions/sessions.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Activation } from "./worker-slot.ts";
import { attributeErrors, runAttributed } from "./error-attribution.ts";
import { InlineSlot, isStream } from "./inline-slot.ts";
import { loadRuntime } from "../runtime/runtime.ts";
import { CallCounter } from "./call-counter.ts";
import type { RuntimeFailure } from "../../errors.ts";
import { errorCodec, packError, type HostCalls, type LifeId, type WorkerCalls } from "./wire.ts";
import { workerStore } from "./worker-store.ts";

/** How often the worker reports its heap. */
const heapEveryMs = 5000;

interface Life {
  readonly abort: AbortController;
  opening: Promise<Activation> | undefined;
  activation: Activation | undefined;
  parts: AsyncIterator<unknown> | undefined;
}

let slot: InlineSlot | undefined;
const callCounter = new CallCounter(workerData instanceof SharedArrayBuffer ? workerData : undefined);
const lives = new Map<LifeId, Life>();

function lifeOf(id: LifeId): Life {
  const life = lives.get(id);
  if (life === undefined) throw new Error(`there is no activation ${id} in this worker`);
  return life;
}

function activationOf(id: LifeId): Activation {
  const { activation } = lifeOf(id);
  if (activation === undefined) throw new Error(`activation ${id} has not started`);
  return activation;
}

/** Runs code of a session, counted and attributed. */
function runCall<T>(id: LifeId, work: () => Promise<T>): Promise<T> {
  callCounter.callStarted(id);
  setImmediate(yieldCall); // by then other work of the thread has had its turn
  return runAttributed(id, work);
}

const yieldCall = (): void => callCounter.callYielded();

const calls: WorkerCalls = {
  async start({ runtime, tenant, sessions, capabilities, address, process: hosting, isShared }) {
    if (isShared) attributeErrors(endLife); // before the module can keep a reference to what is replaced
    const loaded = await loadRuntime(runtime);
    const model = defined({ model: loaded.model });
    const core = coreOf(sessionsOn(workerStore(host, capabilities), { ...sessions, ...model, tenant }));
    if (address !== null) await core.instance.announce(address, hosting);
    slot = new InlineSlot(core, loaded);
    setInterval(() => void host.heap.asEvent(process.memoryUsage().heapUsed), heapEveryMs).unref();
    return { repeatable: loaded.repeatable ?? false };
  },
  open: (id, key, reason) => runCall(id, () => openLife(id, key, reason)),
  deliver: (id, message) =>
    runCall(id, async () => {
      const life = lifeOf(id);
      const answer = await activationOf(id).deliver(message);
      if (!isStream(answer)) return { value: answer };
      life.parts = answer[Symbol.asyncIterator]();
      return { inParts: true };
    }),
  next: (id) => runCall(id, async () => (await lifeOf(id).parts?.next()) ?? { done: true, value: undefined }),
  stopReading: (id) => runCall(id, async () => void (await lives.get(id)?.parts?.return?.())),
  activeAt: (id) => runCall(id, async () => await activationOf(id).activeAt()),
  isCurrent: (id) => runCall(id, async () => await activationOf(id).isCurrent()),
  notifyIdle: (id) => runCall(id, async () => await activationOf(id).notifyIdle()),
  passivate: (id, reason) =>
    runCall(id, async () => {
      await activationOf(id).passivate(reason);
      lives.delete(id);
    }),
  ping: async () => undefined,
  drop: (id, reason) =>
    runAttributed(id, async () => {
      const life = lives.get(id);
      lives.delete(id);
      life?.abort.abort(new Error(reason));
      await life?.opening?.catch(() => undefined); // the caller of `open` gets the error
      await life?.activation?.drop(reason);
    }),
};

/** Reports a failure of running activations only. */
function endLife(life: LifeId, how: RuntimeFailure, error: Error): void {
  if (lives.has(life)) void host.ended.asEvent(life, how, packError(error));
}

async function openLife(id: LifeId, key: SessionKey, reason: string): ReturnType<WorkerCalls["open"]> {
  if (slot === undefined) throw new Error("the worker has not started");
  const life: Life = { abort: new AbortController(), opening: undefined, activation: undefined, parts: undefined };
  lives.set(id, life);
  try {
    const { signal } = life.abort;
    life.opening = slot.open(key, { reason, signal, ended: () => undefined });
    life.activation = await life.opening;
    return { fence: life.activation.fence, profile: life.activation.profile };
  } catch (error) {
    lives.delete(id);
    throw error;
  }
}

const port = parentPort;
const host = createBirpc<HostCalls, WorkerCalls>(calls, {
  post: (letter) => {
    if (port === null) process.send?.(letter);
    else port.postMessage(letter);
  },
  on: (hear) => {
    if (port === null) process.on("message", hear);
    else
      port.on("message", (letter) => {
        callCounter.callYielded(); // the call before it has yielded
        hear(letter);
      });
  },
  ...errorCodec,
  timeout: -1,
  // An answer that cannot be cloned is reported as a failure of the runtime.
  onGeneralError: (_, call) => call !== undefined,
});

if (port === null) {
  // A process ends with its host: without it, it has no store.
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  // Ctrl-C and service managers signal the whole process group: only the host decides when this process ends.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined);
}
