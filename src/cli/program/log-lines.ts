/** The lines of the log: what the channels of the library publish, without texts of messages, notes, reasons and titles. */
import { channel } from "node:diagnostics_channel";
import type { HostEvent } from "../../host/index.ts";
import {
  SessionError,
  type EventNews,
  type Operation,
  type Sessions,
  type StoreCall,
  type StoreNews,
  type SweepNews,
  type ToolRun,
  type TurnNews,
} from "../../index.ts";
import { coreOf } from "../../sessions/sessions.ts";
import { withoutSecrets } from "./store-wait.ts";
import type { Log, LogComponent, LogLine } from "./log.ts";

/** The start-up line counts at most this many sessions, on one page of the store. */
const countMax = 1000;
const countBytesMax = 8 * 1024 * 1024;

/** Components of the events of the server's own log; those of other events are `server`. */
const componentsOfEvents: Readonly<Record<string, LogComponent>> = {
  fallback: "store",
  replayed: "store",
  parked: "store",
  replay_failed: "store",
  store_away: "store",
  store_back: "store",
  store_retrying: "store",
  store_answering: "store",
  store_unwritable: "store",
  store_writable: "store",
  session_sweep_failed: "sweep",
  sweep_failed: "sweep",
};

export function componentOf(event: string): LogComponent {
  return componentsOfEvents[event] ?? "server";
}

/** Write what the channels publish until the caller calls the returned function. Channels whose lines are off get no listener. */
export function followChannels(log: Log, { serves }: { readonly serves: boolean }): () => void {
  const stops: (() => void)[] = [];
  const follow = (name: string, received: (news: never) => LogLine | undefined): void => {
    const listener = (message: unknown): void => {
      const line = received(message as never);
      if (line !== undefined) log.write(line);
    };
    channel(name).subscribe(listener);
    stops.push(() => channel(name).unsubscribe(listener));
  };
  if (log.isWritten("session", "debug")) {
    follow("tracing:perdure:operation:asyncEnd", operationLine);
    follow("perdure:turn", turnLine);
  }
  if (log.isWritten("store", "debug")) follow("tracing:perdure:store:asyncEnd", storeCallLine);
  if (log.isWritten("agent", "debug")) follow("tracing:perdure:tool:asyncEnd", toolLine);
  follow("perdure:event", eventLine);
  follow("perdure:sweep", sweepLine);
  follow("perdure:host", hostLine);
  // A server's own log has the states of its store.
  if (!serves) follow("perdure:store-state", stateLine);
  return () => {
    for (const stop of stops) stop();
  };
}

function operationLine({ operation, tenant, session, agent, ms, error }: Operation): LogLine {
  const code = codeOf(error);
  return { component: "session", level: "debug", event: "operation", operation, tenant, session, agent, ms, code };
}

function turnLine({
  tenant,
  session,
  turn: { seq, status, agent, model, usage, requests, durationMs, code },
}: TurnNews): LogLine {
  const about = { tenant, session, agent, turn: seq, status, model, requests, tokens: usage?.totalTokens, code };
  return { component: "session", level: "debug", event: "turn", ...about, ms: durationMs };
}

function storeCallLine({ operation, transactions, conflicts, ms, error }: StoreCall): LogLine {
  const code = codeOf(error);
  return { component: "store", level: "debug", event: "store_call", operation, transactions, conflicts, ms, code };
}

function toolLine({ tool, tenant, session, agent, ms, error }: ToolRun): LogLine {
  const code = error === undefined ? undefined : (codeOf(error) ?? "failed");
  return { component: "agent", level: "debug", event: "tool_run", tool, tenant, session, agent, ms, code };
}

function eventLine({ tenant, session, agent, event }: EventNews): LogLine {
  const about = { tenant, session };
  switch (event.type) {
    case "handed_off": {
      const { agent: active, from, ttlMs } = event;
      return { component: "agent", level: "info", event: "agent_active", ...about, agent: active, from, ttlMs };
    }
    case "handoff_ended": {
      const { agent: cleared, reason, activeMs } = event;
      return { component: "agent", level: "info", event: "agent_cleared", ...about, agent: cleared, reason, activeMs };
    }
    default:
      return { component: "session", level: "debug", event: "session_event", ...about, agent, type: event.type };
  }
}

/** A sweep that did nothing is a detail. */
function sweepLine({ tenant, error, complete, looked, failed, lagMs, ...counts }: SweepNews): LogLine | undefined {
  if (error !== undefined) return undefined; // the line `sweep_failed` names it
  const { expired, handoffs, archived, removed, events, documents } = counts;
  const did = { expired, handoffs, archived, removed, events, documents };
  const isIdle = Object.values(did).every((count) => count === 0);
  return {
    component: "sweep",
    level: isIdle ? "debug" : "info",
    event: "swept",
    tenant,
    ...did,
    looked,
    failed,
    complete,
    lagMs,
  };
}

const failures: readonly HostEvent["type"][] = ["crashed", "failed", "fenced", "untidy"];

function hostLine({ type, session: { id: session, tenant }, agent, mailbox, ms, cause }: HostEvent): LogLine {
  if (!failures.includes(type))
    return { component: "host", level: "debug", event: type, tenant, session, agent, mailbox, ms };
  return { component: "host", level: type === "failed" ? "error" : "warn", event: type, session, error: cause };
}

function stateLine({ state, ...rest }: StoreNews): LogLine {
  const level = state === "away" || state === "unwritable" ? "error" : state === "retrying" ? "warn" : "info";
  return { component: "store", level, event: `store_${state}`, ...rest };
}

/** The code of an error; its message may repeat what a caller wrote. */
function codeOf(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  return error instanceof SessionError ? error.code : "internal";
}

/** The store that a server found at its start: the address without its password, the version of its schema, and how many sessions. */
export interface FoundStore {
  readonly store: string;
  readonly schema?: number;
  readonly sessions?: number;
  /** There are at least this many; the count ends there. */
  readonly sessionsAtLeast?: number;
}

/** Only the address of a store that cannot be reached. */
export async function foundStore(url: string, sessions: Sessions): Promise<FoundStore> {
  const store = withoutSecrets(url);
  try {
    const core = coreOf(sessions);
    const page = { order: "key", tenant: sessions.tenant, now: core.now(), limit: countMax } as const;
    const { records, unreadable, next } = await core.store.find({ ...page, bytesMax: countBytesMax });
    const count = records.length + unreadable.length;
    const schema = await schemaOf(url);
    return { store, ...schema, ...(next === undefined ? { sessions: count } : { sessionsAtLeast: count }) };
  } catch {
    return { store };
  }
}

/** An opened store has the schema of this version. */
async function schemaOf(url: string): Promise<{ readonly schema?: number }> {
  if (/^sqlite:/i.test(url)) return { schema: (await import("../../store/sqlite/schema/schema.ts")).migrations.length };
  if (!/^postgres(ql)?:/i.test(url)) return {};
  return { schema: (await import("../../store/postgres/schema/schema.ts")).migrations.length };
}
