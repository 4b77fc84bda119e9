import { Counter, Gauge, type Registry } from "prom-client";
import type { Host } from "../../host/index.ts";

/** Further agents are counted as "other", as each is a time series of its own. */
export const agentsMax = 100;

/** Gauges of a host of live sessions, for Prometheus. */
export class HostGauges {
  readonly #host: Host;
  readonly #places: Gauge<"places">;
  readonly #byAgent: Gauge<"agent">;
  readonly #byPhase: Gauge<"phase">;
  readonly #mailbox: Gauge;
  readonly #workerHeap: Gauge;
  readonly #events: Counter<"type">;

  constructor(host: Host, registry: Registry) {
    const registers = [registry];
    this.#host = host;
    this.#places = new Gauge({
      name: "perdure_live_places",
      help: "Places for live sessions: those there are, those taken, and the sessions that wait for one",
      labelNames: ["places"],
      registers,
    });
    this.#byAgent = new Gauge({
      name: "perdure_live_sessions",
      help: "Sessions under the care of the host, by agent",
      labelNames: ["agent"],
      registers,
    });
    this.#byPhase = new Gauge({
      name: "perdure_live_sessions_by_phase",
      help: "Sessions under the care of the host, by phase",
      labelNames: ["phase"],
      registers,
    });
    this.#mailbox = new Gauge({
      name: "perdure_mailbox_messages",
      help: "Messages that wait for live sessions",
      registers,
    });
    this.#workerHeap = new Gauge({
      name: "perdure_worker_heap_bytes",
      help: "The heaps of all worker threads or processes together",
      registers,
    });
    this.#events = new Counter({
      name: "perdure_live_events_total",
      help: "What happened to live sessions, by kind: messages answered, woken, put to sleep, crashed, restarted, …",
      labelNames: ["type"],
      registers,
    });
  }

  /** Reads the host's current metrics. */
  look(): void {
    const { live, liveMax, waiting, byAgent, byPhase, mailbox, workers, counts, rejected } = this.#host.metrics();
    for (const [places, count] of Object.entries({ all: liveMax, taken: live, wanted: waiting })) {
      this.#places.set({ places }, count);
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
