/**
 * Sessions and turns on the wire: as in the library, with instants as ISO 8601. Values that JSON lacks are tagged by
 * the codec.
 */
import { isSealed } from "../domain/turns/turn.ts";
import { defined } from "../domain/values/defined.ts";
import type { HostMetrics, LiveInfo } from "../host/index.ts";
import type {
  ActiveAgent,
  Branch,
  Budget,
  Chunk,
  Counters,
  FoundText,
  Labels,
  Metadata,
  Message,
  SessionEvent,
  TenantEvent,
  SessionInfo,
  SessionNews,
  Turn,
  WaitingTurn,
} from "../index.ts";

import type { Audience } from "./problem.ts";

/** A session. */
export interface WireSession {
  readonly id: string;
  readonly tenant: string;
  readonly state: SessionInfo["state"];
  readonly agent: string;
  readonly user: string | null;
  readonly title: string | null;
  readonly labels: Labels;
  readonly metadata: Metadata;
  readonly createdAt: string;
  readonly lastActivityAt: string;
  /** Null if the session does not expire. */
  readonly expiresAt: string | null;
  /** The agent that a handoff made active; null without a handoff. */
  readonly activeAgent: WireActiveAgent | null;
  /** Number of the last turn. */
  readonly turn: number;
  readonly counters: Counters;
  readonly budget: Budget | null;
  readonly version: number;
  readonly commitId: string;
  /** The turns that the client has seen with this state. */
  readonly seen: SessionInfo["seen"];
  /** The named logs, and the last seq of each; none for a device. */
  readonly logs: SessionInfo["logs"];
  readonly waiting: number;
  /** The turn that waits to be resumed. */
  readonly waitingTurn: {
    readonly turn: number;
    readonly reason: string;
    readonly since: string;
    readonly expiresAt: string | null;
  } | null;
  /** The reason of the legal hold, which forbids removal and truncation; null without one. */
  readonly legalHold: { readonly reason: string; readonly since: string } | null;
  /** The session whose turns it shares, up to a turn. */
  readonly parent: SessionInfo["parent"];
  /** Size of its logs before and after archiving. */
  readonly archive: SessionInfo["archive"];
}

/** The agent that a handoff made active. */
export interface WireActiveAgent {
  readonly agent: string;
  readonly since: string;
  readonly expiresAt: string;
  readonly note: string | null;
}

/** A message that a search found. */
export interface WireFound extends Omit<FoundText, "at"> {
  readonly at: string;
}

export function wireFound(found: FoundText): WireFound {
  return { ...found, at: found.at.toISOString() };
}

export function foundOfWire(wire: WireFound): FoundText {
  return { ...wire, at: new Date(wire.at) };
}

/** A turn. */
export interface WireTurn extends Omit<Turn, "at"> {
  readonly at: string;
}

/** A turn that waits; a device does not see its state. */
export interface WireWaitingTurn extends Omit<WaitingTurn, "since" | "expiresAt" | "state"> {
  readonly since: string;
  readonly expiresAt: string | null;
  readonly state?: WaitingTurn["state"];
}

/** An event of a session. */
export type WireEvent = Omit<SessionEvent, "at"> & { readonly at: string };

/** An event, with its session. */
export type WireTenantEvent = Omit<TenantEvent, "at"> & { readonly at: string };

/** The response of an answer. */
export interface WireAnswer {
  readonly session: string;
  /** False if the store is unavailable: the turn is replayed later. */
  readonly durable: boolean;
  /** The text of the answer. */
  readonly text: string;
  readonly turn: WireTurn;
}

/** A host of live sessions, with a page of them. */
export interface WireHost {
  /** Memory of its process. */
  readonly memoryBytes: number;
  readonly metrics: Omit<HostMetrics, "workers"> & { readonly workers: readonly (number | null)[] };
  readonly items: readonly LiveInfo[];
  /** Absent on the last page. */
  readonly next?: string;
}

export function wireSession(info: SessionInfo): WireSession {
  const { lease: _, activeAgent, createdAt, lastActivityAt, expiresAt, waitingTurn, legalHold, ...rest } = info;
  return {
    ...rest,
    activeAgent: activeAgent === null ? null : wireActiveAgent(activeAgent),
    createdAt: createdAt.toISOString(),
    lastActivityAt: lastActivityAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    waitingTurn: waitingTurn && {
      ...waitingTurn,
      since: waitingTurn.since.toISOString(),
      expiresAt: waitingTurn.expiresAt?.toISOString() ?? null,
    },
    legalHold: legalHold === null ? null : { reason: legalHold.reason, since: legalHold.since.toISOString() },
  };
}

/** A session as its reader may see it: a device sees no note of a handoff, no legal hold and no named logs. */
export function wireSessionFor(audience: Audience, info: SessionInfo): WireSession {
  const wire = wireSession(info);
  if (audience === "operator") return wire;
  return {
    ...wire,
    legalHold: null,
    logs: {},
    activeAgent: wire.activeAgent === null ? null : { ...wire.activeAgent, note: null },
  };
}

/** The active agent as its reader may see it: the note is for the agent. */
export function wireActiveAgentFor(audience: Audience, active: ActiveAgent): WireActiveAgent {
  const wire = wireActiveAgent(active);
  return audience === "operator" ? wire : { ...wire, note: null };
}

export function wireHost(
  metrics: HostMetrics,
  items: readonly LiveInfo[],
  { memoryBytes, next }: { readonly memoryBytes: number; readonly next: string | undefined },
): WireHost {
  const workers = metrics.workers.map((bytes) => bytes ?? null);
  return { memoryBytes, metrics: { ...metrics, workers }, items, ...defined({ next }) };
}

/** The stats with their instants as texts. */
export function wireStats<Times extends { readonly at: Date; readonly since: Date | null }>({
  at,
  since,
  ...stats
}: Times): Omit<Times, "at" | "since"> & { readonly at: string; readonly since: string | null } {
  return { ...stats, at: at.toISOString(), since: since?.toISOString() ?? null };
}

export function wireActiveAgent({ agent, since, expiresAt, note }: ActiveAgent): WireActiveAgent {
  return { agent, since: since.toISOString(), expiresAt: expiresAt.toISOString(), note };
}

/** A branch of a session. */
export type WireBranch = Omit<Branch, "lastActivityAt"> & { readonly lastActivityAt: string };

export function wireBranch(branch: Branch): WireBranch {
  return { ...branch, lastActivityAt: branch.lastActivityAt.toISOString() };
}

export function branchOfWire(branch: WireBranch): Branch {
  return { ...branch, lastActivityAt: new Date(branch.lastActivityAt) };
}

export function wireTurn(turn: Turn): WireTurn {
  return { ...turn, at: turn.at.toISOString() };
}

/**
 * A turn as its reader may see it: a device sees that something failed, but not the text of a model's or a tool's
 * error.
 */
export function wireTurnFor(audience: Audience, turn: Turn): WireTurn {
  if (audience === "operator") return wireTurn(turn);
  const { error, output } = turn;
  return wireTurn({
    ...turn,
    output: output.map((message) => (message["is_error"] === true ? { ...message, content: "Error" } : message)),
    ...defined({
      error: error === undefined ? undefined : { code: error.code, message: error.code.replaceAll("_", " ") },
    }),
  });
}

export function wireWaitingFor(audience: Audience, { since, expiresAt, state, ...rest }: WaitingTurn): WireWaitingTurn {
  return {
    ...rest,
    since: since.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    ...(audience === "operator" ? { state } : {}),
  };
}

export function waitingOfWire({ since, expiresAt, state = null, ...rest }: WireWaitingTurn): WaitingTurn {
  const end = expiresAt === null ? null : new Date(expiresAt);
  return { ...rest, state, since: new Date(since), expiresAt: end };
}

export function wireEvent(event: SessionEvent): WireEvent {
  return { ...event, ...textsOf(event) };
}

export function wireTenantEvent(event: TenantEvent): WireTenantEvent {
  return { ...event, ...textsOf(event) };
}

/** The instants of an event as texts. */
function textsOf(event: SessionEvent): { readonly at: string; readonly expiresAt?: string | null } {
  const at = event.at.toISOString();
  return event.type === "turn_waiting" ? { at, expiresAt: event.expiresAt?.toISOString() ?? null } : { at };
}

/** A change of a session as an event of a stream, with the id to resume from. */
export function wireNews(news: SessionNews): { readonly id: string; readonly data: object } {
  switch (news.type) {
    case "turn": {
      const { turn, chunks = 0 } = news;
      const { seq } = turn;
      return {
        id: newsId(isSealed(turn) ? { after: seq, afterChunk: 0 } : { after: seq - 1, afterChunk: chunks }),
        data: { turn: wireTurn(turn), ...(chunks === 0 ? {} : { chunks }) },
      };
    }
    case "chunk":
      return {
        id: newsId({ after: news.turn - 1, afterChunk: news.seq }),
        data: { turn: news.turn, seq: news.seq, chunk: news.chunk },
      };
    case "truncated":
      return { id: newsId({ after: news.after, afterChunk: 0 }), data: { after: news.after } };
  }
}

/** The part of a session that a client has received: all turns up to one, and a number of chunks of the next. */
export interface Received {
  readonly after: number;
  readonly afterChunk: number;
}

function newsId({ after, afterChunk }: Received): string {
  return `${after}.${afterChunk}`;
}

/** Returns null for an id that is not one of a watch stream. */
export function parseNewsId(id: string): Received | null {
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(id);
  return match === null ? null : { after: Number(match[1]), afterChunk: Number(match[2]) };
}

/** The text of the assistant's messages. */
export function textOf(messages: readonly Message[]): string {
  return messages
    .map(({ role, content }) => (role === "assistant" && typeof content === "string" ? content : ""))
    .join("");
}

export function infoOfWire(wire: WireSession): SessionInfo {
  const { activeAgent, createdAt, lastActivityAt, expiresAt, waitingTurn, legalHold, ...rest } = wire;
  return {
    ...rest,
    activeAgent: activeAgent === null ? null : activeAgentOfWire(activeAgent),
    createdAt: new Date(createdAt),
    lastActivityAt: new Date(lastActivityAt),
    expiresAt: expiresAt === null ? null : new Date(expiresAt),
    waitingTurn: waitingTurn && {
      ...waitingTurn,
      since: new Date(waitingTurn.since),
      expiresAt: waitingTurn.expiresAt === null ? null : new Date(waitingTurn.expiresAt),
    },
    legalHold: legalHold === null ? null : { reason: legalHold.reason, since: new Date(legalHold.since) },
    lease: null,
  };
}

export function activeAgentOfWire({ agent, since, expiresAt, note }: WireActiveAgent): ActiveAgent {
  return { agent, since: new Date(since), expiresAt: new Date(expiresAt), note };
}

export function turnOfWire(wire: WireTurn): Turn {
  return { ...wire, at: new Date(wire.at) };
}

export function eventOfWire(wire: WireEvent): SessionEvent {
  return { ...wire, ...datesOf(wire) } as SessionEvent;
}

export function tenantEventOfWire(wire: WireTenantEvent): TenantEvent {
  return { ...wire, ...datesOf(wire) } as TenantEvent;
}

function datesOf(wire: WireEvent): { readonly at: Date; readonly expiresAt?: Date } {
  const at = new Date(wire.at);
  const expiresAt = "expiresAt" in wire && wire.type === "turn_waiting" ? wire.expiresAt : null;
  return typeof expiresAt === "string" ? { at, expiresAt: new Date(expiresAt) } : { at };
}

/** Decodes events of {@link wireNews}; undefined for events of other kinds. */
export function newsOfWire(event: string | undefined, data: unknown): SessionNews | undefined {
  switch (event) {
    case "turn": {
      const { turn, chunks } = data as { readonly turn: WireTurn; readonly chunks?: number };
      return { type: "turn", turn: turnOfWire(turn), ...defined({ chunks }) };
    }
    case "chunk":
      return { type: "chunk", ...(data as { turn: number; seq: number; chunk: Chunk }) };
    case "truncated":
      return { type: "truncated", after: (data as { after: number }).after };
    default:
      return undefined;
  }
}

/** The state of a session that a client has seen. */
export type SessionView = Pick<SessionInfo, "version" | "commitId" | "turn" | "seen">;

/** The state that a client has seen, for `ETag` and `If-Match`: the record, the number of turns, and their last change. */
export function wireEtag({ version, commitId, turn, seen }: SessionView): string {
  return `"${[version, commitId, turn, seen.version, seen.commitId].join("-")}"`;
}

/** Null for an invalid tag. */
export function parseEtag(tag: string): SessionView | null {
  const match = /^(?:W\/)?"(\d{1,16})-([\w.]{0,100})-(\d{1,15})-(\d{1,16})-([\w.]{0,100})"$/.exec(tag.trim());
  if (match === null) return null;
  const [, version, commitId = "", turns, seenVersion, seenCommitId = ""] = match;
  const turn = Number(turns);
  const seen = { version: Number(seenVersion), commitId: seenCommitId, turn };
  return { version: Number(version), commitId, turn, seen };
}

/** The length of a whole attachment: a proxy may leave out `content-length`, or give that of compressed bytes. */
export const lengthHeader = "x-attachment-length";
