import type { Core } from "../../sessions/core/core.ts";
import type { SessionsOptions } from "../../sessions/options/options.ts";
import { ownIdentity } from "../../sessions/instances/process-identity.ts";
import { SessionError } from "../../errors.ts";
import type { WorkerSlot } from "./worker-slot.ts";
import { InlineSlot } from "./inline-slot.ts";
import type { ResolvedHostOptions } from "../runtime/options.ts";
import { loadRuntime } from "../runtime/runtime.ts";
import { ThreadSlot, type WorkerPlan } from "./thread-slot.ts";

/** The cells of a host. */
export interface WorkerSlots {
  /** Where a session that wakes up is to run. */
  free(): WorkerSlot;
  /** All that lost its cell is back: time to make ready what the next loss needs. */
  settle(): void;
  all(): readonly WorkerSlot[];
  close(): Promise<void>;
}

/** The cells for a kind of isolation. @throws SessionError `runtime_invalid` */
export async function openWorkerSlots(core: Core, tenant: string, options: ResolvedHostOptions): Promise<WorkerSlots> {
  const { runtime, isolation, memoryMax, stallTimeoutMs, address } = options;
  if (isolation === "inline") {
    return new OneCell(new InlineSlot(core, typeof runtime === "string" ? await loadRuntime(runtime) : runtime));
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
  const cells = isolation === "pool" ? new Pool(plan, options.workers) : new OwnCells(plan);
  try {
    await cells.begun;
  } catch (cause) {
    await cells.close();
    if (cause instanceof SessionError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SessionError("runtime_invalid", { module: runtime, reason: `it ended its worker: ${reason}` }, { cause });
  }
  return cells;
}

/** What of the options another thread can be told. */
function optionsOf({ options }: Core): SessionsOptions {
  const { agents, ttlMs, maxAgeMs, handoffTtlMs, busy, waitMs, staleAfterMs, limits } = options;
  return {
    ...(agents === undefined ? {} : { agents: Object.fromEntries(agents) }),
    ttl: ttlMs,
    ...(maxAgeMs === null ? {} : { maxAge: maxAgeMs }),
    handoffTtl: handoffTtlMs,
    busy,
    wait: waitMs,
    staleAfter: staleAfterMs,
    sweep: false,
    limits,
  };
}

/** All sessions in the host's own thread. */
class OneCell implements WorkerSlots {
  readonly #cell: WorkerSlot;

  constructor(cell: WorkerSlot) {
    this.#cell = cell;
  }

  free(): WorkerSlot {
    return this.#cell;
  }

  settle(): void {}

  all(): readonly WorkerSlot[] {
    return [this.#cell];
  }

  async close(): Promise<void> {
    await this.#cell.close();
  }
}

/**
 * Many sessions in each of a few workers: one that wakes up goes where the fewest live. One that ended is replaced by
 * another that was kept ready, so that its sessions do not wait for a thread to start.
 */
class Pool implements WorkerSlots {
  readonly #plan: WorkerPlan;
  readonly #cells: ThreadSlot[];
  #spare: ThreadSlot | undefined;

  constructor(plan: WorkerPlan, workers: number) {
    this.#plan = plan;
    this.#cells = Array.from({ length: workers }, () => new ThreadSlot(plan));
    this.settle();
  }

  get begun(): Promise<unknown> {
    return Promise.all(this.#cells.map(({ begun }) => begun));
  }

  free(): WorkerSlot {
    const place = this.#cells.findIndex(({ isOver }) => isOver);
    if (place >= 0) this.#cells[place] = this.#takeSpare();
    const [freest] = this.#cells.toSorted((a, b) => a.size - b.size);
    if (freest === undefined) throw new Error("a pool has a worker");
    return freest;
  }

  #takeSpare(): ThreadSlot {
    const spare = this.#spare;
    this.#spare = undefined; // starting another takes a processor, which those that come back need first
    return spare === undefined || spare.isOver ? new ThreadSlot(this.#plan) : spare;
  }

  settle(): void {
    this.#spare ??= new ThreadSlot(this.#plan);
  }

  all(): readonly WorkerSlot[] {
    return this.#cells;
  }

  async close(): Promise<void> {
    const cells = this.#spare === undefined ? this.#cells : [...this.#cells, this.#spare];
    await Promise.all(cells.map((cell) => cell.close()));
  }
}

/** A worker for each session. The next one is kept ready, so that waking up does not wait for a thread to start. */
class OwnCells implements WorkerSlots {
  readonly #plan: WorkerPlan;
  readonly #cells = new Set<ThreadSlot>();
  #next: ThreadSlot;

  constructor(plan: WorkerPlan) {
    this.#plan = plan;
    this.#next = this.#start();
  }

  get begun(): Promise<void> {
    return this.#next.begun;
  }

  free(): WorkerSlot {
    const cell = this.#next.isOver ? this.#start() : this.#next;
    this.#next = this.#start();
    return cell;
  }

  settle(): void {}

  #start(): ThreadSlot {
    for (const cell of this.#cells) if (cell.isOver) this.#cells.delete(cell);
    const cell = new ThreadSlot(this.#plan);
    this.#cells.add(cell);
    return cell;
  }

  all(): readonly WorkerSlot[] {
    return [...this.#cells].filter(({ isOver }) => !isOver);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#cells].map((cell) => cell.close()));
  }
}
