import { channel } from "node:diagnostics_channel";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Host } from "../../host/index.ts";
import type { Operation, Sessions, StoreCall, SweepNews } from "../../index.ts";
import { countedSessions } from "../../telemetry/listed.ts";
import { agentsMax, HostGauges } from "./host-gauges.ts";

/** The list of sessions behind the gauges is cached for this time, ms. */
const freshMs = 15_000;

/** Any other method is counted as "other": behind some listeners a method can be any word. */
const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Metrics of the server, for Prometheus. */
export class ServerMetrics {
  readonly #registry = new Registry();
  readonly #requests = new Histogram({
    name: "perdure_http_request_duration_seconds",
    help: "Time until the answer begins, by route and status",
    labelNames: ["method", "route", "status"],
    buckets: seconds,
    registers: [this.#registry],
  });
  readonly #errors = new Counter({
    name: "perdure_errors_total",
    help: "Errors answered, by code",
    labelNames: ["code"],
    registers: [this.#registry],
  });
  readonly #store = new Histogram({
    name: "perdure_store_call_duration_seconds",
    help: "Calls of the store, by operation",
    labelNames: ["operation", "outcome"],
    buckets: seconds,
    registers: [this.#registry],
  });
  readonly #batches = new Histogram({
    name: "perdure_commit_batch_size",
    help: "Transactions per commit",
    buckets: [1, 2, 5, 10, 25, 50, 100, 200],
    registers: [this.#registry],
  });
  readonly #conflicts = new Counter({
    name: "perdure_conflicts_total",
    help: "Transactions that met a newer version",
    registers: [this.#registry],
  });
  readonly #leaseWaits = new Histogram({
    name: "perdure_lease_wait_seconds",
    help: "Waits for a session that was in use",
    buckets: seconds,
    registers: [this.#registry],
  });
  readonly #swept = new Counter({
    name: "perdure_swept_total",
    help: "What sweeps did: sessions marked as expired, floors taken back, sessions removed",
    labelNames: ["what"],
    registers: [this.#registry],
  });
  readonly #sweepFailures = new Counter({
    name: "perdure_sweep_failures_total",
    help: "Sessions that a sweep could not work on, and sweeps that an error of the store ended",
    labelNames: ["of"],
    registers: [this.#registry],
  });
  readonly #fallbackSessions = new Counter({
    name: "perdure_fallback_sessions_total",
    help: "Sessions opened while the store was away",
    registers: [this.#registry],
  });
  readonly #waiting = new Gauge({
    name: "perdure_outbox_waiting_turns",
    help: "Turns that the store has not got yet",
    registers: [this.#registry],
  });
  readonly #parked = new Gauge({
    name: "perdure_outbox_parked_sessions",
    help: "Sessions that the store refused to be told of",
    registers: [this.#registry],
  });
  readonly #sweeps = new Counter({ name: "perdure_sweeps_total", help: "Sweeps", registers: [this.#registry] });
  readonly #unsubscribe: (() => void)[] = [];
  readonly #storeUp = new Gauge({
    name: "perdure_store_up",
    help: "1 where the store answered when it was last asked",
    registers: [this.#registry],
  });
  readonly #gauges = {
    sessions: this.#byAgent("perdure_active_sessions", "Active sessions, by agent; the most recent ten thousand"),
    floors: this.#byAgent("perdure_active_floors", "Sessions whose floor an agent has, by agent"),
    oldestSession: this.#byAgent("perdure_oldest_active_session_seconds", "Age of the oldest active session, by agent"),
    oldestFloor: this.#byAgent("perdure_oldest_floor_seconds", "Age of the oldest floor, by agent"),
  };
  readonly #sessions: Sessions;
  readonly #host: HostGauges | undefined;
  #looked = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  constructor(sessions: Sessions, host: Host | undefined) {
    this.#listen("tracing:perdure:store:asyncEnd", (call: StoreCall) => this.#onStoreCall(call));
    this.#listen("perdure:sweep", (report: SweepNews) => this.#onSweep(report));
    this.#listen("perdure:fallback", () => this.#fallbackSessions.inc());
    this.#listen("tracing:perdure:operation:asyncEnd", ({ operation, ms = 0 }: Operation) => {
      if (operation === "wait") this.#leaseWaits.observe(ms / 1000);
    });
    this.#sessions = sessions;
    this.#host = host === undefined ? undefined : new HostGauges(host, this.#registry);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics, as text. */
  async exposition(): Promise<string> {
    try {
      // Concurrent scrapes share one read of the store.
      this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
      await this.#looking;
      this.#storeUp.set(1);
    } catch {
      // The gauge reports that the store is down.
      this.#storeUp.set(0);
    }
    try {
      const { outbox } = await this.#sessions.health();
      this.#waiting.set(outbox?.waiting ?? 0);
      this.#parked.set(outbox?.parkedItems ?? 0);
    } catch {
      // An outbox that cannot be read must not hide the other metrics; /readyz reports its error.
    }
    this.#host?.look();
    return await this.#registry.metrics();
  }

  countRequest(request: { method: string; route: string; status: number; ms: number }): void {
    const { route, status, ms } = request;
    const method = methods.has(request.method) ? request.method : "other";
    this.#requests.observe({ method, route, status: String(status) }, ms / 1000);
  }

  countError(code: string): void {
    this.#errors.inc({ code });
  }

  /** Unsubscribes from all channels. */
  close(): void {
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe();
  }

  #listen(name: string, heard: (message: never) => void): void {
    const listener = (message: unknown): void => heard(message as never);
    channel(name).subscribe(listener);
    this.#unsubscribe.push(() => channel(name).unsubscribe(listener));
  }

  #onStoreCall({ operation, ms = 0, transactions, conflicts = 0, error }: StoreCall): void {
    this.#store.observe({ operation, outcome: error === undefined ? "ok" : "failed" }, ms / 1000);
    if (transactions !== undefined) this.#batches.observe(transactions);
    this.#conflicts.inc(conflicts);
  }

  #onSweep({ expired, floors, removed, forgotten, failed, error }: SweepNews): void {
    this.#sweeps.inc();
    this.#sweepFailures.inc({ of: "session" }, failed);
    if (error !== undefined) this.#sweepFailures.inc({ of: "sweep" });
    for (const [what, count] of Object.entries({ expired, floors, removed, forgotten }))
      this.#swept.inc({ what }, count);
  }

  /** Reads the gauges of the server's tenant from the store, if the cached ones are old. */
  async #look(): Promise<void> {
    if (performance.now() - this.#looked < freshMs) return;
    const counts = await countByAgent(this.#sessions);
    this.#looked = performance.now();
    for (const gauge of Object.values(this.#gauges)) gauge.reset();
    for (const [agent, { sessions, floors, oldestSessionMs, oldestFloorMs }] of counts) {
      this.#gauges.sessions.set({ agent }, sessions);
      this.#gauges.floors.set({ agent }, floors);
      this.#gauges.oldestSession.set({ agent }, oldestSessionMs / 1000);
      this.#gauges.oldestFloor.set({ agent }, oldestFloorMs / 1000);
    }
  }

  #byAgent(name: string, help: string): Gauge<"agent"> {
    return new Gauge({ name, help, labelNames: ["agent"], registers: [this.#registry] });
  }
}

interface AgentCount {
  sessions: number;
  floors: number;
  oldestSessionMs: number;
  oldestFloorMs: number;
}

async function countByAgent(sessions: Sessions): Promise<ReadonlyMap<string, AgentCount>> {
  const counts = new Map<string, AgentCount>();
  const of = (agent: string): AgentCount => {
    const name = counts.has(agent) || counts.size < agentsMax ? agent : "other";
    const count = counts.get(name) ?? { sessions: 0, floors: 0, oldestSessionMs: 0, oldestFloorMs: 0 };
    counts.set(name, count);
    return count;
  };
  const now = Date.now();
  for await (const { agent, createdAt, activeAgent } of countedSessions(sessions, { state: "active" })) {
    const count = of(agent);
    count.sessions++;
    count.oldestSessionMs = Math.max(count.oldestSessionMs, now - createdAt.getTime());
    if (activeAgent === null) continue;
    const held = of(activeAgent.agent);
    held.floors++;
    held.oldestFloorMs = Math.max(held.oldestFloorMs, now - activeAgent.since.getTime());
  }
  return counts;
}
