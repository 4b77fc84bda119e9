/** The program of a worker thread or process: an inline cell of its own, told by the host what to do. */
import { parentPort, workerData } from "node:worker_threads";
import { createBirpc } from "birpc";
import { coreOf, Sessions } from "../../sessions/sessions.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { Activation } from "./worker-slot.ts";
import { attributeErrors, runAttributed } from "./error-attribution.ts";
import { InlineSlot, isStream } from "./inline-slot.ts";
import { loadRuntime } from "../runtime/runtime.ts";
import { CallCounter } from "./call-counter.ts";
import type { RuntimeFailure } from "../../errors.ts";
import { errorsTravel, packError, type HostCalls, type LifeId, type WorkerCalls } from "./wire.ts";
import { workerStore } from "./worker-store.ts";

/** How often the host hears of the heap. */
const heapEveryMs = 5000;

interface Life {
  readonly abort: AbortController;
  opening: Promise<Activation> | undefined;
  tenant: Activation | undefined;
  parts: AsyncIterator<unknown> | undefined;
}

let cell: InlineSlot | undefined;
const turnstile = new CallCounter(workerData instanceof SharedArrayBuffer ? workerData : undefined);
const lives = new Map<LifeId, Life>();

function lifeOf(id: LifeId): Life {
  const life = lives.get(id);
  if (life === undefined) throw new Error(`there is no life ${id} here`);
  return life;
}

function tenantOf(id: LifeId): Activation {
  const { tenant } = lifeOf(id);
  if (tenant === undefined) throw new Error(`life ${id} has not begun`);
  return tenant;
}

/** Let a session's code run. */
function inLife<T>(id: LifeId, work: () => Promise<T>): Promise<T> {
  turnstile.enter(id);
  setImmediate(leave); // what goes on after that has let others have their turn
  return runAttributed(id, work);
}

const leave = (): void => turnstile.leave();

const calls: WorkerCalls = {
  async begin({ runtime, tenant, sessions, capabilities, address, process: hosting, isShared }) {
    if (isShared) attributeErrors(endLife); // before the module can take aside what it is kept from
    const loaded = await loadRuntime(runtime);
    const model = loaded.model === undefined ? {} : { model: loaded.model };
    const core = coreOf(Sessions.on(workerStore(host, capabilities), { ...sessions, ...model, tenant }));
    if (address !== null) await core.instance.announce(address, hosting);
    cell = new InlineSlot(core, loaded);
    setInterval(() => void host.heap.asEvent(process.memoryUsage().heapUsed), heapEveryMs).unref();
    return { instance: core.instance.id, repeatable: loaded.repeatable ?? false };
  },
  open: (id, key, reason) => inLife(id, () => openLife(id, key, reason)),
  deliver: (id, message) =>
    inLife(id, async () => {
      const life = lifeOf(id);
      const answer = await tenantOf(id).deliver(message);
      if (!isStream(answer)) return { value: answer };
      life.parts = answer[Symbol.asyncIterator]();
      return { inParts: true };
    }),
  next: (id) => inLife(id, async () => (await lifeOf(id).parts?.next()) ?? { done: true, value: undefined }),
  enough: (id) => inLife(id, async () => void (await lives.get(id)?.parts?.return?.())),
  activeAt: (id) => inLife(id, async () => await tenantOf(id).activeAt()),
  stands: (id) => inLife(id, async () => await tenantOf(id).stands()),
  idle: (id) => inLife(id, async () => await tenantOf(id).idle()),
  leave: (id, reason) =>
    inLife(id, async () => {
      await tenantOf(id).leave(reason);
      lives.delete(id);
    }),
  breathe: async () => undefined,
  drop: (id, reason) =>
    runAttributed(id, async () => {
      const life = lives.get(id);
      lives.delete(id);
      life?.abort.abort(new Error(reason));
      await life?.opening?.catch(() => undefined); // who opened it is told
      await life?.tenant?.drop(reason);
    }),
};

/** What goes on after a life is over concerns nobody. */
function endLife(life: LifeId, how: RuntimeFailure, error: Error): void {
  if (lives.has(life)) void host.ended.asEvent(life, how, packError(error));
}

async function openLife(id: LifeId, key: SessionKey, reason: string): ReturnType<WorkerCalls["open"]> {
  if (cell === undefined) throw new Error("it has not begun");
  const life: Life = { abort: new AbortController(), opening: undefined, tenant: undefined, parts: undefined };
  lives.set(id, life);
  try {
    const { signal } = life.abort;
    life.opening = cell.open(key, { reason, signal, ended: () => undefined });
    life.tenant = await life.opening;
    return { fence: life.tenant.fence, profile: life.tenant.profile };
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
        turnstile.leave(); // who was let in last has given way
        hear(letter);
      });
  },
  ...errorsTravel,
  timeout: -1,
  // An answer that cannot be copied to another thread is a failure of who gave it, and told as one.
  onGeneralError: (_, call) => call !== undefined,
});

if (port === null) {
  // A process does not outlive the host whose sessions it runs: it could reach no store.
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  // Ctrl-C and service managers signal all processes of a group: the host alone decides when this one ends.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => undefined);
}
