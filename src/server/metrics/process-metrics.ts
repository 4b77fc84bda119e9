import { monitorEventLoopDelay } from "node:perf_hooks";
import { Gauge, type Registry } from "prom-client";

const resolutionMs = 20;

/** Metrics of the process, for Prometheus, under the names that its dashboards know. */
export class ProcessMetrics {
  readonly #memory: Gauge;
  readonly #heap: Gauge;
  readonly #lag: Gauge<"quantile">;
  /** Measures from the first scrape on, so a server without scrapes has no timer. */
  #delays: ReturnType<typeof monitorEventLoopDelay> | undefined;

  constructor(registry: Registry, version: string) {
    const registers = [registry];
    this.#memory = new Gauge({
      name: "process_resident_memory_bytes",
      help: "Memory of the process, bytes",
      registers,
    });
    this.#heap = new Gauge({
      name: "nodejs_heap_size_used_bytes",
      help: "Used heap of the main thread, bytes",
      registers,
    });
    this.#lag = new Gauge({
      name: "nodejs_eventloop_lag_seconds",
      help: "Delay of the event loop since the last scrape, by quantile; 1 is the longest",
      labelNames: ["quantile"],
      registers,
    });
    const info = new Gauge({
      name: "perdure_build_info",
      help: "1, with the versions of the program and of Node",
      labelNames: ["version", "node"],
      registers,
    });
    info.set({ version, node: process.version }, 1);
  }

  /** Reads the current values. */
  look(): void {
    const { rss, heapUsed } = process.memoryUsage();
    this.#memory.set(rss);
    this.#heap.set(heapUsed);
    if (this.#delays === undefined) {
      this.#delays = monitorEventLoopDelay({ resolution: resolutionMs });
      this.#delays.enable();
    }
    const delays = this.#delays;
    const lag = { "0.5": delays.percentile(50), "0.99": delays.percentile(99), "1": delays.max };
    for (const [quantile, ns] of Object.entries(lag))
      // The histogram has the whole interval of its timer; without a value it has nonsense.
      this.#lag.set({ quantile }, delays.count === 0 ? 0 : Math.max(0, ns / 1e9 - resolutionMs / 1000));
    delays.reset();
  }

  close(): void {
    this.#delays?.disable();
    this.#delays = undefined;
  }
}
