/** The program of a worker thread or process: an inline cell of its own, told by the host what to do. */
import { parentPort } from "node:worker_threads";
import { createBirpc } from "birpc";
import { coreOf, Sessions } from "../sessions/sessions.ts";
import type { Tenant } from "./cell.ts";
import { InlineCell, isStream } from "./inline-cell.ts";
import { loadRuntime } from "./runtime.ts";
import { errorsTravel, type HostCalls, type LifeId, type WorkerCalls } from "./wire.ts";
import { workerStore } from "./worker-store.ts";

/** How often the host hears of the heap. */
const heapEveryMs = 5000;

interface Life {
  readonly abort: AbortController;
  opening: Promise<Tenant> | undefined;
  tenant: Tenant | undefined;
  parts: AsyncIterator<unknown> | undefined;
}

let cell: InlineCell | undefined;
const lives = new Map<LifeId, Life>();

function lifeOf(id: LifeId): Life {
  const life = lives.get(id);
  if (life === undefined) throw new Error(`there is no life ${id} here`);
  return life;
}

function tenantOf(id: LifeId): Tenant {
  const { tenant } = lifeOf(id);
  if (tenant === undefined) throw new Error(`life ${id} has not begun`);
  return tenant;
}

const calls: WorkerCalls = {
  async begin({ runtime, tenant, sessions, capabilities, address, process: hosting }) {
    const loaded = await loadRuntime(runtime);
    const model = loaded.model === undefined ? {} : { model: loaded.model };
    const core = coreOf(Sessions.on(workerStore(host, capabilities), { ...sessions, ...model, tenant }));
    if (address !== null) await core.instance.announce(address, hosting);
    cell = new InlineCell(core, loaded);
    setInterval(() => void host.heap.asEvent(process.memoryUsage().heapUsed), heapEveryMs).unref();
    return core.instance.id;
  },
  async open(id, key, reason) {
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
  },
  async deliver(id, message) {
    const life = lifeOf(id);
    const answer = await tenantOf(id).deliver(message);
    if (!isStream(answer)) return { value: answer };
    life.parts = answer[Symbol.asyncIterator]();
    return { inParts: true };
  },
  async next(id) {
    return (await lifeOf(id).parts?.next()) ?? { done: true, value: undefined };
  },
  async enough(id) {
    await lives.get(id)?.parts?.return?.();
  },
  activeAt: async (id) => await tenantOf(id).activeAt(),
  stands: async (id) => await tenantOf(id).stands(),
  idle: async (id) => await tenantOf(id).idle(),
  async leave(id, reason) {
    await tenantOf(id).leave(reason);
    lives.delete(id);
  },
  async drop(id, reason) {
    const life = lives.get(id);
    lives.delete(id);
    life?.abort.abort(new Error(reason));
    await life?.opening?.catch(() => undefined); // who opened it is told
    await life?.tenant?.drop(reason);
  },
};

const port = parentPort;
const host = createBirpc<HostCalls, WorkerCalls>(calls, {
  post: (letter) => {
    if (port === null) process.send?.(letter);
    else port.postMessage(letter);
  },
  on: (hear) => {
    if (port === null) process.on("message", hear);
    else port.on("message", hear);
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
