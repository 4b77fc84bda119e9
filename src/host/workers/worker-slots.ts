import { defined } from "../../domain/values/defined.ts";
import type { Core } from "../../sessions/core/core.ts";
import type { SessionsOptions } from "../../sessions/options/options.ts";
import { ownIdentity } from "../../sessions/instances/process-identity.ts";
import { SessionError } from "../../errors.ts";
import type { WorkerSlot } from "./worker-slot.ts";
import { InlineSlot } from "./inline-slot.ts";
import type { ResolvedHostOptions } from "../runtime/options.ts";
import { loadRuntime } from "../runtime/runtime.ts";
import { ThreadSlot, type WorkerPlan } from "./thread-slot.ts";

/** All worker slots of a host. */
export interface WorkerSlots {
  /** The slot for a session's next activation. */
  free(): WorkerSlot;
  /** All displaced sessions have restarted: start the next standby worker. */
  prepareStandby(): void;
  all(): readonly WorkerSlot[];
  close(): Promise<void>;
}

/**
 * Opens the worker slots for a kind of isolation.
 * @throws SessionError `runtime_invalid`
 */
export async function openWorkerSlots(core: Core, tenant: string, options: ResolvedHostOptions): Promise<WorkerSlots> {
  const { runtime, isolation, memoryMax, stallTimeoutMs, address } = options;
  if (isolation === "inline") {
    return new SingleSlot(new InlineSlot(core, typeof runtime === "string" ? await loadRuntime(runtime) : runtime));
  }
  if (typeof runtime !== "string") throw new Error("a worker loads its runtime from a module");
  const { capabilities } = core.store;
  const plan: WorkerPlan = {
    core,
    kind: isolation === "process" ? "process" : "thread",
    memoryMax,
    stallTimeoutMs,
    start: {
      runtime,
      tenant,
      sessions: optionsOf(core),
      capabilities: { ...capabilities },
      address,
      process: ownIdentity(),
      isShared: isolation === "pool",
    },
    isOwn: isolation !== "pool",
  };
  const slots = isolation === "pool" ? new Pool(plan, options.workers) : new OwnSlots(plan);
  try {
    await slots.begun;
  } catch (cause) {
    await slots.close();
    if (cause instanceof SessionError) throw cause;
    const reported = cause instanceof Error ? cause.message : String(cause);
    throw new SessionError("runtime_invalid", { module: runtime, problem: "worker_ended", reported }, { cause });
  }
  return slots;
}

/** The options that can be sent to another thread. */
function optionsOf({ options }: Core): SessionsOptions {
  const { agents, ttlMs, maxAgeMs, handoffTtlMs, budget, budgets, busy, waitMs, staleAfterMs, limits } = options;
  return {
    ...defined({ agents: agents && Object.fromEntries(agents) }),
    ttl: ttlMs,
    ...(maxAgeMs === null ? {} : { maxAge: maxAgeMs }),
    handoffTtl: handoffTtlMs,
    ...(budget === null ? {} : { budget }),
    budgets,
    busy,
    wait: waitMs,
    staleAfter: staleAfterMs,
    sweep: false,
    limits,
  };
}

/** All sessions in the host's own thread. */
class SingleSlot implements WorkerSlots {
  readonly #slot: WorkerSlot;

  constructor(slot: WorkerSlot) {
    this.#slot = slot;
  }

  free(): WorkerSlot {
    return this.#slot;
  }

  prepareStandby(): void {}

  all(): readonly WorkerSlot[] {
    return [this.#slot];
  }

  async close(): Promise<void> {
    await this.#slot.close();
  }
}

/**
 * Many sessions in each of a few workers. A session goes to the worker with the fewest. A worker that ended is replaced
 * by a standby, so that its sessions need not wait for a thread to start.
 */
class Pool implements WorkerSlots {
  readonly #plan: WorkerPlan;
  readonly #slots: ThreadSlot[];
  #standby: ThreadSlot | undefined;
  #isClosed = false;

  constructor(plan: WorkerPlan, workers: number) {
    this.#plan = plan;
    this.#slots = Array.from({ length: workers }, () => new ThreadSlot(plan));
    this.prepareStandby();
  }

  get begun(): Promise<unknown> {
    return Promise.all(this.#slots.map(({ started }) => started));
  }

  free(): WorkerSlot {
    guardOpen(this.#isClosed);
    const ended = this.#slots.findIndex(({ isOver }) => isOver);
    if (ended >= 0) this.#slots[ended] = this.#takeStandby();
    const [freest] = this.#slots.toSorted((a, b) => a.size - b.size);
    if (freest === undefined) throw new Error("a pool has a worker");
    return freest;
  }

  #takeStandby(): ThreadSlot {
    const standby = this.#standby;
    this.#standby = undefined; // restarting sessions need the processor more than another standby does
    return standby === undefined || standby.isOver ? new ThreadSlot(this.#plan) : standby;
  }

  prepareStandby(): void {
    if (!this.#isClosed) this.#standby ??= new ThreadSlot(this.#plan);
  }

  all(): readonly WorkerSlot[] {
    return this.#slots;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const slots = this.#standby === undefined ? this.#slots : [...this.#slots, this.#standby];
    await Promise.all(slots.map((slot) => slot.close()));
  }
}

/** One worker for each session. A standby is always started, so that an activation does not wait for a thread to start. */
class OwnSlots implements WorkerSlots {
  readonly #plan: WorkerPlan;
  readonly #slots = new Set<ThreadSlot>();
  #next: ThreadSlot;
  #isClosed = false;

  constructor(plan: WorkerPlan) {
    this.#plan = plan;
    this.#next = this.#start();
  }

  get begun(): Promise<void> {
    return this.#next.started;
  }

  free(): WorkerSlot {
    guardOpen(this.#isClosed);
    const slot = this.#next.isOver ? this.#start() : this.#next;
    this.#next = this.#start();
    return slot;
  }

  prepareStandby(): void {}

  #start(): ThreadSlot {
    for (const slot of this.#slots) if (slot.isOver) this.#slots.delete(slot);
    const slot = new ThreadSlot(this.#plan);
    this.#slots.add(slot);
    return slot;
  }

  all(): readonly WorkerSlot[] {
    return [...this.#slots].filter(({ isOver }) => !isOver);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#slots].map((slot) => slot.close()));
  }
}

/**
 * A worker that started after the close would outlive its host.
 * @throws SessionError `closed`
 */
function guardOpen(isClosed: boolean): void {
  if (isClosed) throw new SessionError("closed", { name: "host" });
}
