import type { Core } from "../../sessions/core/core.ts";
import type { SessionsOptions } from "../../sessions/options/options.ts";
import { ownIdentity } from "../../sessions/instances/process-identity.ts";
import { SessionError } from "../../errors.ts";
import type { Cell } from "./worker-slot.ts";
import { InlineCell } from "./inline-slot.ts";
import type { ResolvedHostOptions } from "../runtime/options.ts";
import { loadRuntime } from "../runtime/runtime.ts";
import { WorkerCell, type WorkerPlan } from "./thread-slot.ts";

/** The cells of a host. */
export interface Cells {
  /** Where a session that wakes up is to run. */
  free(): Cell;
  /** All that lost its cell is back: time to make ready what the next loss needs. */
  settle(): void;
  all(): readonly Cell[];
  close(): Promise<void>;
}

/** The cells for a kind of isolation. @throws SessionError `runtime_invalid` */
export async function openCells(core: Core, tenant: string, options: ResolvedHostOptions): Promise<Cells> {
  const { runtime, isolation, memoryMax, stallTimeoutMs, address } = options;
  if (isolation === "inline") {
    return new OneCell(new InlineCell(core, typeof runtime === "string" ? await loadRuntime(runtime) : runtime));
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
  const { agents, ttlMs, maxAgeMs, floorTtlMs, busy, waitMs, staleAfterMs, limits } = options;
  return {
    ...(agents === undefined ? {} : { agents: Object.fromEntries(agents) }),
    ttl: ttlMs,
    ...(maxAgeMs === null ? {} : { maxAge: maxAgeMs }),
    floorTtl: floorTtlMs,
    busy,
    wait: waitMs,
    staleAfter: staleAfterMs,
    sweep: false,
    limits,
  };
}

/** All sessions in the host's own thread. */
class OneCell implements Cells {
  readonly #cell: Cell;

  constructor(cell: Cell) {
    this.#cell = cell;
  }

  free(): Cell {
    return this.#cell;
  }

  settle(): void {}

  all(): readonly Cell[] {
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
class Pool implements Cells {
  readonly #plan: WorkerPlan;
  readonly #cells: WorkerCell[];
  #spare: WorkerCell | undefined;

  constructor(plan: WorkerPlan, workers: number) {
    this.#plan = plan;
    this.#cells = Array.from({ length: workers }, () => new WorkerCell(plan));
    this.settle();
  }

  get begun(): Promise<unknown> {
    return Promise.all(this.#cells.map(({ begun }) => begun));
  }

  free(): Cell {
    const place = this.#cells.findIndex(({ isOver }) => isOver);
    if (place >= 0) this.#cells[place] = this.#takeSpare();
    const [freest] = this.#cells.toSorted((a, b) => a.size - b.size);
    if (freest === undefined) throw new Error("a pool has a worker");
    return freest;
  }

  #takeSpare(): WorkerCell {
    const spare = this.#spare;
    this.#spare = undefined; // starting another takes a processor, which those that come back need first
    return spare === undefined || spare.isOver ? new WorkerCell(this.#plan) : spare;
  }

  settle(): void {
    this.#spare ??= new WorkerCell(this.#plan);
  }

  all(): readonly Cell[] {
    return this.#cells;
  }

  async close(): Promise<void> {
    const cells = this.#spare === undefined ? this.#cells : [...this.#cells, this.#spare];
    await Promise.all(cells.map((cell) => cell.close()));
  }
}

/** A worker for each session. The next one is kept ready, so that waking up does not wait for a thread to start. */
class OwnCells implements Cells {
  readonly #plan: WorkerPlan;
  readonly #cells = new Set<WorkerCell>();
  #next: WorkerCell;

  constructor(plan: WorkerPlan) {
    this.#plan = plan;
    this.#next = this.#start();
  }

  get begun(): Promise<void> {
    return this.#next.begun;
  }

  free(): Cell {
    const cell = this.#next.isOver ? this.#start() : this.#next;
    this.#next = this.#start();
    return cell;
  }

  settle(): void {}

  #start(): WorkerCell {
    for (const cell of this.#cells) if (cell.isOver) this.#cells.delete(cell);
    const cell = new WorkerCell(this.#plan);
    this.#cells.add(cell);
    return cell;
  }

  all(): readonly Cell[] {
    return [...this.#cells].filter(({ isOver }) => !isOver);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#cells].map((cell) => cell.close()));
  }
}
