import { Counter, Gauge, type Registry } from "prom-client";
import type { Host } from "../../host/index.ts";

/** The maximum number of agents with a time series of their own; further agents are counted as "other". */
export const agentsMax = 100;

/** Gauges of a host of live sessions, for Prometheus. */
export class HostGauges {
  readonly #host: Host;
  readonly #slots: Gauge<"slots">;
  readonly #byAgent: Gauge<"agent">;
  readonly #byPhase: Gauge<"phase">;
  readonly #mailbox: Gauge;
  readonly #workerHeap: Gauge;
  readonly #events: Counter<"type">;

  constructor(host: Host, registry: Registry) {
    const registers = [registry];
    this.#host = host;
    this.#slots = new Gauge({
      name: "perdure_live_slots",
      help: "Slots for live sessions: all, taken, and wanted by sessions that wait",
      labelNames: ["slots"],
      registers,
    });
    this.#byAgent = new Gauge({
      name: "perdure_live_sessions",
      help: "Sessions that the host supervises, by agent",
      labelNames: ["agent"],
      registers,
    });
    this.#byPhase = new Gauge({
      name: "perdure_live_sessions_by_phase",
      help: "Sessions that the host supervises, by phase",
      labelNames: ["phase"],
      registers,
    });
    this.#mailbox = new Gauge({
      name: "perdure_mailbox_messages",
      help: "Messages waiting in the mailboxes of live sessions",
      registers,
    });
    this.#workerHeap = new Gauge({
      name: "perdure_worker_heap_bytes",
      help: "Heap of all worker threads or processes, in bytes",
      registers,
    });
    this.#events = new Counter({
      name: "perdure_live_events_total",
      help: "Events of live sessions, by type: messages answered, requests reported, sessions activated, passivated, crashed, restarted, …",
      labelNames: ["type"],
      registers,
    });
  }

  /** Reads the host's current metrics. */
  look(): void {
    const { live, liveMax, waiting, byAgent, byPhase, mailbox, workers, counts, rejected } = this.#host.gauges();
    for (const [slots, count] of Object.entries({ all: liveMax, taken: live, wanted: waiting })) {
      this.#slots.set({ slots }, count);
    }
    this.#byAgent.reset();
    for (const [index, [agent, count]] of Object.entries(byAgent).entries()) {
      this.#byAgent.inc({ agent: index < agentsMax ? agent : "other" }, count);
    }
    for (const [phase, count] of Object.entries(byPhase)) this.#byPhase.set({ phase }, count);
    this.#mailbox.set(mailbox);
    this.#workerHeap.set(workers.reduce((sum: number, bytes = 0) => sum + bytes, 0));
    this.#events.reset();
    for (const [type, count] of Object.entries({ ...counts, rejected })) this.#events.inc({ type }, count);
  }
}
