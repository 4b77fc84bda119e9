/**
 * Spans, by async context. An operation's span is the parent of what starts within it: calls of the store, tools, and
 * the program's own spans if the SDK has a context manager.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { tracingChannel } from "node:diagnostics_channel";
import type * as OpenTelemetry from "@opentelemetry/api";
import type { Attributes, Context, Span, Tracer } from "@opentelemetry/api";
import { defined } from "../domain/values/defined.ts";
import type { Consultation, Operation, StoreCall, Summarizing, Titling, ToolRun, Traced, Usage } from "../index.ts";
import { agentOf, errorType } from "./attributes.ts";

/** The package `@opentelemetry/api`. */
export type Api = typeof OpenTelemetry;

/** How one kind of channel becomes spans. */
interface Kind<Payload extends Traced> {
  readonly channel: string;
  /** False: only within another of these spans, as the work of timers belongs to no caller. */
  readonly mayBeRoot: boolean;
  readonly name: (payload: Payload) => string;
  readonly attributes: (payload: Payload) => Attributes;
}

/** The active context, also for SDKs without a context manager. */
class ActiveContext extends AsyncLocalStorage<Context> {
  readonly #api: Api;

  constructor(api: Api) {
    super();
    this.#api = api;
  }

  override run<R, Args extends unknown[]>(context: Context, work: (...args: Args) => R, ...args: Args): R {
    return this.#api.context.with(context, () => super.run(context, work, ...args));
  }
}

export class Spans {
  readonly #api: Api;
  readonly #tracer: Tracer;
  readonly #active: ActiveContext;
  readonly #quiet = new AsyncLocalStorage<true>();
  readonly #spans = new WeakMap<object, Span>();
  readonly #stops: (() => void)[] = [];

  constructor(api: Api, tracer: Tracer) {
    this.#api = api;
    this.#tracer = tracer;
    this.#active = new ActiveContext(api);
    this.#trace(operations);
    this.#trace(consultations);
    this.#trace(summaries);
    this.#trace(titles);
    this.#trace(toolRuns);
    this.#trace(storeCalls);
  }

  /** Runs work without spans. */
  quietly<T>(work: () => T): T {
    return this.#quiet.run(true, work);
  }

  stop(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #trace<Payload extends Traced>(kind: Kind<Payload>): void {
    const channel = tracingChannel<Context, Payload>(kind.channel);
    const onEnd = (payload: Payload): void => this.#end(kind, payload);
    channel.start.bindStore(this.#active, (payload) => this.#start(kind, payload));
    channel.asyncEnd.subscribe(onEnd as (message: unknown) => void);
    this.#stops.push(() => {
      channel.start.unbindStore(this.#active);
      channel.asyncEnd.unsubscribe(onEnd as (message: unknown) => void);
    });
  }

  /** Starts the span of an operation and returns its context. */
  #start<Payload extends Traced>({ mayBeRoot, name, attributes }: Kind<Payload>, payload: Payload): Context {
    const context = this.#context();
    const isWithin = this.#api.trace.getSpan(this.#active.getStore() ?? this.#api.ROOT_CONTEXT)?.isRecording() === true;
    if (this.#quiet.getStore() === true || !(mayBeRoot || isWithin)) return context;
    const span = this.#tracer.startSpan(name(payload), { attributes: attributes(payload) }, context);
    this.#spans.set(payload, span);
    return this.#api.trace.setSpan(context, span);
  }

  #context(): Context {
    const active = this.#api.context.active();
    return this.#api.trace.getSpan(active) === undefined ? (this.#active.getStore() ?? active) : active;
  }

  /** Facts known only at the end, the name included, replace those of the start. */
  #end<Payload extends Traced>({ name, attributes }: Kind<Payload>, payload: Payload): void {
    const span = this.#spans.get(payload);
    if (span === undefined) return;
    span.updateName(name(payload)).setAttributes(attributes(payload));
    if (payload.error !== undefined) {
      const type = errorType(payload.error);
      span.setAttribute("error.type", type);
      // The message may repeat message text, or the response of an endpoint.
      span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message: type });
    }
    span.end();
  }
}

function idsOf({
  tenant,
  session,
  agent,
}: {
  tenant?: string | undefined;
  session?: string;
  agent?: string | undefined;
}): Attributes {
  return {
    ...defined({ "perdure.tenant": tenant, "gen_ai.conversation.id": session }),
    ...agentOf(agent),
  };
}

const operations: Kind<Operation> = {
  channel: "perdure:operation",
  mayBeRoot: true,
  name: ({ operation }) => `perdure ${operation}`,
  attributes: (payload) => ({ "perdure.operation": payload.operation, ...idsOf(payload) }),
};

/** By the semantic conventions for agents that run in this process: https://opentelemetry.io/docs/specs/semconv/gen-ai/ */
const consultations: Kind<Consultation> = {
  channel: "perdure:consult",
  mayBeRoot: true,
  name: ({ agent }) => `invoke_agent ${agent}`,
  attributes({ model, turn, repeated, firstTextMs, answer, ...ids }) {
    return {
      "gen_ai.operation.name": "invoke_agent",
      // Only the model knows the provider behind it.
      "gen_ai.provider.name": "perdure",
      ...idsOf(ids),
      ...defined({
        "gen_ai.request.model": model,
        "perdure.turn": turn,
        "perdure.turn.repeated": repeated,
        "gen_ai.response.time_to_first_chunk": firstTextMs === undefined ? undefined : firstTextMs / 1000,
      }),
      ...answerOf(answer),
    };
  },
};

function answerOf(answer: Consultation["answer"]): Attributes {
  const { status, model, usage, requests } = answer ?? {};
  return defined({
    "perdure.turn.status": status,
    "perdure.turn.requests": requests,
    "gen_ai.response.model": model,
    ...usageOf(usage),
  });
}

function usageOf(usage: Usage | undefined): Attributes {
  if (usage === undefined) return {};
  return {
    "gen_ai.usage.input_tokens": usage.inputTokens,
    "gen_ai.usage.output_tokens": usage.outputTokens,
    "perdure.usage.estimated": usage.estimated === true,
  };
}

const summaries: Kind<Summarizing> = {
  channel: "perdure:summary",
  mayBeRoot: true,
  name: ({ agent }) => `summarize ${agent}`,
  attributes({ from, to, isAutomatic, summary, ...ids }) {
    return {
      ...idsOf(ids),
      "perdure.summary.from": from,
      "perdure.summary.to": to,
      "perdure.summary.automatic": isAutomatic,
      ...defined({ "gen_ai.response.model": summary?.model }),
      ...usageOf(summary?.usage),
    };
  },
};

const titles: Kind<Titling> = {
  channel: "perdure:title",
  mayBeRoot: true,
  name: ({ agent }) => `title ${agent}`,
  // A title has words of the conversation.
  attributes: ({ title, model, usage, ...ids }) => ({
    ...idsOf(ids),
    "perdure.title.made": title !== undefined,
    ...defined({ "gen_ai.response.model": model }),
    ...usageOf(usage),
  }),
};

const toolRuns: Kind<ToolRun> = {
  channel: "perdure:tool",
  mayBeRoot: true,
  name: ({ tool }) => `execute_tool ${tool}`,
  attributes: ({ tool, callId, ...ids }) => ({
    "gen_ai.operation.name": "execute_tool",
    "gen_ai.tool.name": tool,
    "gen_ai.tool.call.id": callId,
    "gen_ai.tool.type": "function",
    ...idsOf(ids),
  }),
};

const storeCalls: Kind<StoreCall> = {
  channel: "perdure:store",
  mayBeRoot: false,
  name: ({ operation }) => `perdure.store ${operation}`,
  attributes: ({ operation, transactions, writes, conflicts }) => ({
    "perdure.store.operation": operation,
    ...defined({
      "perdure.store.transactions": transactions,
      "perdure.store.writes": writes,
      "perdure.store.conflicts": conflicts,
    }),
  }),
};
