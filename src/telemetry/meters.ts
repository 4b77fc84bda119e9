/** Metrics. Their attributes name agents, models and kinds, of which there are few; never a session or a user. */
import { channel } from "node:diagnostics_channel";
import type {
  Attributes,
  BatchObservableResult,
  Counter,
  Meter,
  MetricOptions,
  ObservableResult,
} from "@opentelemetry/api";
import { defined } from "../domain/values/defined.ts";
import {
  SessionError,
  type Consultation,
  type EventNews,
  type Operation,
  type Sessions,
  type StoreCall,
  type Summarizing,
  type Titling,
  type SweepNews,
  type TurnNews,
  type Usage,
} from "../index.ts";
import type { HostEvent } from "../host/index.ts";
import { agentOf, errorType } from "./attributes.ts";
import { countedSessions } from "./listed.ts";

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const activeSeconds = [1, 10, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 604_800];
const sizes = [1, 2, 5, 10, 25, 50, 100, 200];
/** Applications choose types of events, so their number is bounded; further types are counted as "app.other". */
const appTypesMax = 50;
/** The list of sessions behind the gauge is cached for this time, ms. */
const freshMs = 15_000;

function time(description: string): MetricOptions {
  return { description, unit: "s", advice: { explicitBucketBoundaries: seconds } };
}

export class Meters {
  readonly #meter: Meter;
  readonly #instruments: Instruments;
  /** Counted errors: one that passes through several operations counts once. */
  readonly #counted = new WeakSet<object>();
  /** Types of events of applications with an attribute of their own. */
  readonly #appTypes = new Set<string>();
  readonly #stops: (() => void)[] = [];

  constructor(meter: Meter) {
    this.#meter = meter;
    this.#instruments = instrumentsOf(meter);
    this.#listen("tracing:perdure:operation:asyncEnd", (operation: Operation) => this.#onOperation(operation));
    this.#listen("tracing:perdure:consult:asyncEnd", ({ error }: Consultation) => this.#countError(error));
    this.#listen("tracing:perdure:summary:asyncEnd", (made: Summarizing) => this.#onSummary(made));
    this.#listen("tracing:perdure:title:asyncEnd", (made: Titling) => this.#onTitle(made));
    this.#listen("tracing:perdure:store:asyncEnd", (call: StoreCall) => this.#onStoreCall(call));
    this.#listen("perdure:turn", (news: TurnNews) => this.#onTurn(news));
    this.#listen("perdure:event", (news: EventNews) => this.#onEvent(news));
    this.#listen("perdure:sweep", (news: SweepNews) => this.#onSweep(news));
    this.#listen("perdure:fallback", () => this.#instruments.fallbackSessions.add(1));
    this.#listen("perdure:host", (news: HostEvent) => this.#onHost(news));
  }

  /** Reads the gauges whenever metrics are collected; `quietly` runs the store's calls without telemetry. */
  watch(quietly: <T>(work: () => T) => T, sessions: Sessions): void {
    this.#watchSessions(quietly, sessions);
    this.#watchDisk(quietly, sessions);
  }

  #watchSessions(quietly: <T>(work: () => T) => T, sessions: Sessions): void {
    const gauge = this.#meter.createObservableGauge("perdure.sessions.live", {
      description: "Live sessions, by state and agent; of the ten thousand most recent",
      unit: "{session}",
    });
    let looked = Number.NEGATIVE_INFINITY;
    let counts: readonly { readonly attributes: Attributes; readonly count: number }[] = [];
    const observe = async (result: ObservableResult): Promise<void> => {
      if (performance.now() - looked >= freshMs) {
        looked = performance.now();
        // If the store is away, the gauge reports nothing rather than an old value.
        counts = [];
        counts = await quietly(() => liveCounts(sessions));
      }
      for (const { attributes, count } of counts) result.observe(count, attributes);
    };
    gauge.addCallback(observe);
    this.#stops.push(() => gauge.removeCallback(observe));
  }

  /** The gauges report nothing for a store in memory or behind a network. */
  #watchDisk(quietly: <T>(work: () => T) => T, sessions: Sessions): void {
    const free = this.#meter.createObservableGauge("perdure.store.disk.free", {
      description: "Bytes that this process may still write to the file system of the store",
      unit: "By",
    });
    const size = this.#meter.createObservableGauge("perdure.store.disk.size", {
      description: "Size of the file system of the store",
      unit: "By",
    });
    const observe = async (result: BatchObservableResult): Promise<void> => {
      const { disk } = await quietly(() => sessions.health());
      if (disk === undefined || disk === null) return;
      result.observe(free, disk.freeBytes);
      result.observe(size, disk.totalBytes);
    };
    this.#meter.addBatchObservableCallback(observe, [free, size]);
    this.#stops.push(() => this.#meter.removeBatchObservableCallback(observe, [free, size]));
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #listen(name: string, receive: (message: never) => void): void {
    const listener = (message: unknown): void => receive(message as never);
    channel(name).subscribe(listener);
    this.#stops.push(() => channel(name).unsubscribe(listener));
  }

  #onOperation({ operation, ms = 0, error }: Operation): void {
    this.#instruments.operations.record(ms / 1000, { "perdure.operation": operation, ...failureOf(error) });
    this.#countError(error);
  }

  #countError(error: unknown): void {
    if (!(error instanceof SessionError) || this.#counted.has(error)) return;
    this.#counted.add(error);
    this.#instruments.errors.add(1, { "error.type": error.code });
  }

  #onStoreCall({ operation, ms = 0, transactions, conflicts = 0, error }: StoreCall): void {
    this.#instruments.storeCalls.record(ms / 1000, { "perdure.store.operation": operation, ...failureOf(error) });
    if (transactions !== undefined) this.#instruments.batches.record(transactions);
    if (conflicts > 0) this.#instruments.conflicts.add(conflicts);
  }

  #onTurn({ turn: { agent, model, status, usage, durationMs } }: TurnNews): void {
    const who = { ...agentOf(agent), ...defined({ "gen_ai.response.model": model }) };
    this.#instruments.turns.add(1, { ...who, "perdure.turn.status": status });
    if (durationMs !== undefined)
      this.#instruments.turnDurations.record(durationMs / 1000, { ...who, "perdure.turn.status": status });
    countTokens(this.#instruments.tokens, usage, who);
  }

  #onSummary({ agent, isAutomatic, summary, ms = 0, error }: Summarizing): void {
    const who = { ...agentOf(agent), ...defined({ "gen_ai.response.model": summary?.model }) };
    const about = { ...who, "perdure.summary.automatic": isAutomatic, ...failureOf(error) };
    this.#instruments.summaries.record(ms / 1000, about);
    countTokens(this.#instruments.summaryTokens, summary?.usage, who);
    this.#countError(error);
  }

  #onTitle({ agent, title, model, usage, ms = 0, error }: Titling): void {
    const who = { ...agentOf(agent), ...defined({ "gen_ai.response.model": model }) };
    const about = { ...who, "perdure.title.made": title !== undefined, ...failureOf(error) };
    this.#instruments.titles.record(ms / 1000, about);
    countTokens(this.#instruments.titleTokens, usage, who);
    this.#countError(error);
  }

  #onEvent({ agent, event: { type, category }, ended }: EventNews): void {
    if (category === "app" && this.#appTypes.size < appTypesMax) this.#appTypes.add(type);
    const isOther = category === "app" && !this.#appTypes.has(type);
    this.#instruments.sessionEvents.add(1, {
      "perdure.event.type": isOther ? "app.other" : type,
      ...agentOf(agent),
    });
    if (ended !== undefined) this.#instruments.activeAgents.record(ended.activeMs / 1000, agentOf(ended.agent));
  }

  #onSweep({ expired, handoffs, archived, removed, events, documents, failed, error, lagMs }: SweepNews): void {
    this.#instruments.sweepLags.record(lagMs / 1000);
    this.#instruments.sweepFailures.add(failed, { "perdure.sweep.failed": "session" });
    if (error !== undefined) this.#instruments.sweepFailures.add(1, { "perdure.sweep.failed": "sweep" });
    for (const [action, count] of Object.entries({ expired, handoffs, archived, removed, events, documents }))
      this.#instruments.swept.add(count, { "perdure.swept": action });
  }

  #onHost({ type, agent, ms, mailbox }: HostEvent): void {
    const who = agentOf(agent);
    this.#instruments.hostEvents.add(1, { "perdure.host.event": type, ...who });
    if (type === "message" && ms !== undefined) this.#instruments.messages.record(ms / 1000, who);
    if (mailbox !== undefined) this.#instruments.mailboxes.record(mailbox, who);
  }
}

type Instruments = ReturnType<typeof instrumentsOf>;

function instrumentsOf(meter: Meter) {
  const size = (description: string, unit: string): MetricOptions => ({
    description,
    unit,
    advice: { explicitBucketBoundaries: sizes },
  });
  return {
    operations: meter.createHistogram("perdure.operation.duration", time("Calls of sessions, an append for one")),
    errors: meter.createCounter("perdure.errors", { description: "Errors of calls, by code", unit: "{error}" }),
    storeCalls: meter.createHistogram("perdure.store.call.duration", time("Calls of the store")),
    batches: meter.createHistogram("perdure.commit.size", size("Transactions per commit", "{transaction}")),
    conflicts: meter.createCounter("perdure.commit.conflicts", {
      description: "Transactions that met a newer version",
      unit: "{transaction}",
    }),
    turns: meter.createCounter("perdure.turns", { description: "Finished turns", unit: "{turn}" }),
    turnDurations: meter.createHistogram("perdure.turn.duration", time("From the question to the whole answer")),
    tokens: meter.createCounter("perdure.tokens", { description: "Tokens of finished turns", unit: "{token}" }),
    summaries: meter.createHistogram("perdure.summary.duration", time("Summaries of past turns")),
    summaryTokens: meter.createCounter("perdure.summary.tokens", {
      description: "Tokens of summaries, which are no tokens of turns",
      unit: "{token}",
    }),
    titles: meter.createHistogram("perdure.title.duration", time("Titles that are asked for")),
    titleTokens: meter.createCounter("perdure.title.tokens", {
      description: "Tokens of titles, which are no tokens of turns",
      unit: "{token}",
    }),
    sessionEvents: meter.createCounter("perdure.session.events", {
      description: "Entries of the sessions' logs of events: created, expired, handed_off and so on",
      unit: "{event}",
    }),
    activeAgents: meter.createHistogram("perdure.agent.active.duration", {
      ...time("How long an agent was active, from a handoff to the next one or its end"),
      advice: { explicitBucketBoundaries: activeSeconds },
    }),
    sweepLags: meter.createHistogram("perdure.sweep.lag", time("How long the most overdue session had waited")),
    swept: meter.createCounter("perdure.swept", { description: "What sweeps did", unit: "{change}" }),
    sweepFailures: meter.createCounter("perdure.sweep.failures", {
      description: "Sessions that a sweep could not work on, and sweeps that an error of the store ended",
      unit: "{failure}",
    }),
    fallbackSessions: meter.createCounter("perdure.fallback.sessions", {
      description: "Sessions opened while the store was away",
      unit: "{session}",
    }),
    hostEvents: meter.createCounter("perdure.host.events", {
      description: "Changes of live sessions: activated, crashed, restarted and so on",
      unit: "{event}",
    }),
    messages: meter.createHistogram("perdure.host.message.duration", time("Messages to live sessions")),
    mailboxes: meter.createHistogram("perdure.host.mailbox.depth", size("Messages that wait", "{message}")),
  };
}

function countTokens(counter: Counter, usage: Usage | undefined, who: Attributes): void {
  if (usage === undefined) return;
  const about = { ...who, "perdure.usage.estimated": usage.estimated === true };
  counter.add(usage.inputTokens, { ...about, "gen_ai.token.type": "input" });
  counter.add(usage.outputTokens, { ...about, "gen_ai.token.type": "output" });
}

function failureOf(error: unknown): Attributes {
  return defined({ "error.type": error === undefined ? undefined : errorType(error) });
}

async function liveCounts(sessions: Sessions): Promise<{ attributes: Attributes; count: number }[]> {
  const counts = new Map<string, { attributes: Attributes; count: number }>();
  for await (const { state, agent } of countedSessions(sessions, { state: ["active", "inactive"] })) {
    const key = `${state} ${agent}`;
    const counted = counts.get(key) ?? { attributes: { "perdure.session.state": state, ...agentOf(agent) }, count: 0 };
    counted.count++;
    counts.set(key, counted);
  }
  return [...counts.values()];
}
