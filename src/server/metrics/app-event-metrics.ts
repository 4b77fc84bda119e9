import { Counter, type Registry } from "prom-client";
import type { EventNews } from "../../index.ts";
import { BoundedLabels } from "./bounded-labels.ts";

/** Counts the events that applications record, for Prometheus: of all sessions of this process. */
export class AppEventMetrics {
  readonly #types = new BoundedLabels();
  readonly #events: Counter<"type" | "severity">;

  constructor(registry: Registry) {
    this.#events = new Counter({
      name: "perdure_app_events_total",
      help: "Events that applications recorded, by type and severity",
      labelNames: ["type", "severity"],
      registers: [registry],
    });
  }

  count({ event: { type, category, severity } }: EventNews): void {
    if (category === "app") this.#events.inc({ type: this.#types.labelOf(type), severity });
  }
}
