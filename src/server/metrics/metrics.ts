import { channel } from "node:diagnostics_channel";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Host } from "../../host/index.ts";
import type {
  Consultation,
  DiskSpace,
  EventNews,
  Operation,
  Sessions,
  StoreCall,
  SweepNews,
  TurnNews,
  Summarizing,
  Titling,
} from "../../index.ts";
import { countedSessions } from "../../telemetry/listed.ts";
import { BoundedLabels } from "./bounded-labels.ts";
import { agentsMax, HostGauges } from "./host-gauges.ts";
import { AppEventMetrics } from "./app-event-metrics.ts";
import { ModelMetrics } from "./model-metrics.ts";
import { ProcessMetrics } from "./process-metrics.ts";

/** The list of sessions behind the gauges is cached for this time, ms. */
const freshMs = 15_000;

/** Any other method is counted as "other": some listeners pass any word as a method. */
const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** From a second to a week. */
const activeSeconds = [1, 10, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 604_800];

interface GaugeName {
  readonly name: string;
  readonly help: string;
}

const diskGauges: Readonly<Record<keyof DiskSpace, GaugeName>> = {
  freeBytes: {
    name: "perdure_store_disk_free_bytes",
    help: "Bytes that this process may still write to the file system of the store; absent where it is not known",
  },
  totalBytes: {
    name: "perdure_store_disk_size_bytes",
    help: "Size of the file system of the store, bytes; absent where it is not known",
  },
};

/** Metrics of the server, for Prometheus. */
export class ServerMetrics {
  readonly #registry = new Registry();
  readonly #requests = new Histogram({
    name: "perdure_http_request_duration_seconds",
    help: "Time until the response begins, by method, route and status",
    labelNames: ["method", "route", "status"],
    buckets: seconds,
    registers: [this.#registry],
  });
  readonly #errors = new Counter({
    name: "perdure_errors_total",
    help: "Error responses, by code",
    labelNames: ["code"],
    registers: [this.#registry],
  });
  readonly #store = new Histogram({
    name: "perdure_store_call_duration_seconds",
    help: "Duration of store calls, by operation",
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
    help: "Transactions that the store refused because the record had a newer version",
    registers: [this.#registry],
  });
  readonly #leaseWaits = new Histogram({
    name: "perdure_lease_wait_seconds",
    help: "Time that messages wait for the lease of a busy session",
    buckets: seconds,
    registers: [this.#registry],
  });
  readonly #activeAgents = new Histogram({
    name: "perdure_active_agent_seconds",
    help: "Time that an agent was active, from a handoff to the next one or its end, by agent",
    labelNames: ["agent"],
    buckets: activeSeconds,
    registers: [this.#registry],
  });
  readonly #agents = new BoundedLabels();
  readonly #swept = new Counter({
    name: "perdure_swept_total",
    help: "Sessions that sweeps expired or removed, handoffs that they ended, events and documents that they deleted",
    labelNames: ["action"],
    registers: [this.#registry],
  });
  readonly #sweepFailures = new Counter({
    name: "perdure_sweep_failures_total",
    help: "Sessions that a sweep could not process, and sweeps that a store error ended",
    labelNames: ["of"],
    registers: [this.#registry],
  });
  readonly #fallbackSessions = new Counter({
    name: "perdure_fallback_sessions_total",
    help: "Sessions opened in the fallback while the store was unavailable",
    registers: [this.#registry],
  });
  readonly #waiting = new Gauge({
    name: "perdure_outbox_waiting_turns",
    help: "Turns in the outbox that are not yet in the store",
    registers: [this.#registry],
  });
  readonly #parked = new Gauge({
    name: "perdure_outbox_parked_sessions",
    help: "Sessions in the outbox whose replay the store refused",
    registers: [this.#registry],
  });
  readonly #sweeps = new Counter({
    name: "perdure_sweeps_total",
    help: "Sweeps that ran",
    registers: [this.#registry],
  });
  readonly #unsubscribe: (() => void)[] = [];
  readonly #storeUp = new Gauge({
    name: "perdure_store_up",
    help: "1 if the last read of the store for these metrics succeeded, 0 if it failed",
    registers: [this.#registry],
  });
  readonly #storeWritable = new Gauge({
    name: "perdure_store_writable",
    help: "0 from a write that the store refused, as its disk is full or it is read-only, until a write succeeds; else 1",
    registers: [this.#registry],
  });
  readonly #disk = new Map<keyof DiskSpace, Gauge>();
  readonly #gauges = {
    sessions: this.#byAgent(
      "perdure_active_sessions",
      "Active sessions, by agent; at most the ten thousand most recent ones",
    ),
    handoffs: this.#byAgent("perdure_active_handoffs", "Sessions with a handoff in force, by active agent"),
    oldestSession: this.#byAgent("perdure_oldest_active_session_seconds", "Age of the oldest active session, by agent"),
    oldestHandoff: this.#byAgent(
      "perdure_oldest_handoff_seconds",
      "Age of the oldest handoff in force, by active agent",
    ),
  };
  readonly #models = new ModelMetrics(this.#registry);
  readonly #appEvents = new AppEventMetrics(this.#registry);
  readonly #process: ProcessMetrics;
  readonly #sessions: Sessions;
  readonly #host: HostGauges | undefined;
  #looked = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;

  constructor(sessions: Sessions, { host, version }: { readonly host: Host | undefined; readonly version: string }) {
    this.#process = new ProcessMetrics(this.#registry, version);
    this.#listen("perdure:event", (news: EventNews) => this.#appEvents.count(news));
    this.#listen("perdure:turn", (news: TurnNews) => this.#models.countTurn(news));
    this.#listen("tracing:perdure:consult:asyncEnd", (answered: Consultation) => this.#models.countAnswer(answered));
    this.#listen("tracing:perdure:summary:asyncEnd", (made: Summarizing) => this.#models.countSummary(made));
    this.#listen("tracing:perdure:title:asyncEnd", (made: Titling) => this.#models.countTitle(made));
    this.#listen("tracing:perdure:store:asyncEnd", (call: StoreCall) => this.#onStoreCall(call));
    this.#listen("perdure:event", ({ ended }: EventNews) => {
      if (ended !== undefined)
        this.#activeAgents.observe({ agent: this.#agents.labelOf(ended.agent) }, ended.activeMs / 1000);
    });
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
      const { outbox, writes, disk } = await this.#sessions.health();
      this.#showDisk(disk ?? undefined);
      this.#storeWritable.set(writes.since === null ? 1 : 0);
      this.#waiting.set(outbox?.waiting ?? 0);
      this.#parked.set(outbox?.parkedItems ?? 0);
    } catch {
      // An outbox that cannot be read must not hide the other metrics; /readyz reports its error.
    }
    this.#host?.look();
    this.#process.look();
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
    this.#process.close();
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe();
  }

  #listen(name: string, receive: (message: never) => void): void {
    const listener = (message: unknown): void => receive(message as never);
    channel(name).subscribe(listener);
    this.#unsubscribe.push(() => channel(name).unsubscribe(listener));
  }

  #onStoreCall({ operation, ms = 0, transactions, conflicts = 0, error }: StoreCall): void {
    this.#store.observe({ operation, outcome: error === undefined ? "ok" : "failed" }, ms / 1000);
    if (transactions !== undefined) this.#batches.observe(transactions);
    this.#conflicts.inc(conflicts);
  }

  #onSweep({ expired, handoffs, archived, removed, events, documents, failed, error }: SweepNews): void {
    this.#sweeps.inc();
    this.#sweepFailures.inc({ of: "session" }, failed);
    if (error !== undefined) this.#sweepFailures.inc({ of: "sweep" });
    for (const [action, count] of Object.entries({ expired, handoffs, archived, removed, events, documents }))
      this.#swept.inc({ action }, count);
  }

  /** Reads the gauges of the server's tenant from the store, if the cached ones are old. */
  async #look(): Promise<void> {
    if (performance.now() - this.#looked < freshMs) return;
    const counts = await countByAgent(this.#sessions);
    this.#looked = performance.now();
    for (const gauge of Object.values(this.#gauges)) gauge.reset();
    for (const [agent, { sessions, handoffs, oldestSessionMs, oldestHandoffMs }] of counts) {
      this.#gauges.sessions.set({ agent }, sessions);
      this.#gauges.handoffs.set({ agent }, handoffs);
      this.#gauges.oldestSession.set({ agent }, oldestSessionMs / 1000);
      this.#gauges.oldestHandoff.set({ agent }, oldestHandoffMs / 1000);
    }
  }

  /** A gauge without a value would show 0, so it exists only while the space is known. */
  #showDisk(disk: DiskSpace | undefined): void {
    for (const [field, { name, help }] of Object.entries(diskGauges) as [keyof DiskSpace, GaugeName][]) {
      if (disk === undefined) {
        this.#registry.removeSingleMetric(name);
        this.#disk.delete(field);
        continue;
      }
      const gauge = this.#disk.get(field) ?? new Gauge({ name, help, registers: [this.#registry] });
      this.#disk.set(field, gauge);
      gauge.set(disk[field]);
    }
  }

  #byAgent(name: string, help: string): Gauge<"agent"> {
    return new Gauge({ name, help, labelNames: ["agent"], registers: [this.#registry] });
  }
}

interface AgentCount {
  sessions: number;
  handoffs: number;
  oldestSessionMs: number;
  oldestHandoffMs: number;
}

async function countByAgent(sessions: Sessions): Promise<ReadonlyMap<string, AgentCount>> {
  const counts = new Map<string, AgentCount>();
  const of = (agent: string): AgentCount => {
    const name = counts.has(agent) || counts.size < agentsMax ? agent : "other";
    const count = counts.get(name) ?? { sessions: 0, handoffs: 0, oldestSessionMs: 0, oldestHandoffMs: 0 };
    counts.set(name, count);
    return count;
  };
  const now = Date.now();
  for await (const { agent, createdAt, activeAgent } of countedSessions(sessions, { state: "active" })) {
    const count = of(agent);
    count.sessions++;
    count.oldestSessionMs = Math.max(count.oldestSessionMs, now - createdAt.getTime());
    if (activeAgent === null) continue;
    const active = of(activeAgent.agent);
    active.handoffs++;
    active.oldestHandoffMs = Math.max(active.oldestHandoffMs, now - activeAgent.since.getTime());
  }
  return counts;
}
