import type { Actor, Phase } from "./actor/actor.ts";
import type { HostEvent } from "./actor/actor-context.ts";
import type { Capacity } from "./capacity.ts";

/** Gauges and counters that a host has in memory. */
export interface HostGauges {
  /** Sessions that occupy one of the `maxSessions` slots. */
  readonly live: number;
  readonly liveMax: number;
  /** Sessions that wait for a slot. */
  readonly waiting: number;
  readonly byPhase: Readonly<Record<Phase, number>>;
  readonly byAgent: Readonly<Record<string, number>>;
  /** Messages in all mailboxes. */
  readonly mailbox: number;
  /** Events since the host started, by type. */
  readonly counts: Readonly<Record<HostEvent["type"], number>>;
  /** Sum of the durations of messages and of requests that `updateActivity` reported, ms. */
  readonly requestsMs: number;
  /** Activations refused because all slots were taken. */
  readonly rejected: number;
  /** Pending timers: one for each live session, and one for each that is handling a message. */
  readonly timers: number;
  /** Heap of each worker thread or process, bytes; undefined if unknown. */
  readonly workers: readonly (number | undefined)[];
}

/** {@link HostGauges}, and the numbers of sessions in the store. */
export interface HostMetrics extends HostGauges {
  /** Sessions that a message can activate: those in the states `active` and `inactive`. */
  readonly total: number;
  /** Sessions that run in this host. */
  readonly active: number;
  /** Sessions that a host has passivated: those in the state `inactive`. */
  readonly sleeping: number;
  /** Sessions that eager recoveries of this host activated. */
  readonly recovered: number;
  /** Whether the store keeps sessions when the process ends. */
  readonly durable: boolean;
}

/** Counts the events of a host since its start. */
export class HostCounters {
  readonly counts: Record<HostEvent["type"], number> = {
    activated: 0,
    restarted: 0,
    message: 0,
    request: 0,
    passivated: 0,
    stopped: 0,
    crashed: 0,
    failed: 0,
    fenced: 0,
    recovered: 0,
    untidy: 0,
  };
  /** Sum of the durations of messages and requests, ms. */
  requestsMs = 0;
  /** Activations refused because all slots were taken. */
  rejected = 0;

  count(event: HostEvent): void {
    this.counts[event.type]++;
    if (event.type === "message" || event.type === "request") this.requestsMs += event.ms ?? 0;
  }
}

/** The gauges of a host with these live sessions. */
export function gaugesOf(
  actors: Iterable<Actor>,
  {
    capacity,
    liveMax,
    counters,
    timers,
    workers,
  }: { readonly capacity: Capacity; readonly counters: HostCounters } & Pick<
    HostGauges,
    "liveMax" | "timers" | "workers"
  >,
): HostGauges {
  const byPhase = { starting: 0, live: 0, restarting: 0, failed: 0, stopping: 0, gone: 0 };
  const byAgent = new Map<string, number>();
  let mailbox = 0;
  for (const actor of actors) {
    byPhase[actor.phase]++;
    mailbox += actor.mailbox;
    if (actor.agent !== undefined) byAgent.set(actor.agent, (byAgent.get(actor.agent) ?? 0) + 1);
  }
  return {
    live: capacity.used,
    liveMax,
    waiting: capacity.waiting,
    byPhase,
    byAgent: Object.fromEntries(byAgent),
    mailbox,
    counts: { ...counters.counts },
    requestsMs: counters.requestsMs,
    rejected: counters.rejected,
    timers,
    workers,
  };
}
