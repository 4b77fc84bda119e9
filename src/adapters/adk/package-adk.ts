/** The package `@google/adk`, described by the members that are used. It is loaded at the first append. */
/** @ts-ignore -- The package is a peer: its types may be absent. The declarations have this comment too. */
import type { BaseSessionService } from "@google/adk";
import { loadPeer } from "../peers/load-peer.ts";

/** The class of the package. It has private members, so that no other class has its type. */
export type { BaseSessionService };

/** An event of the ADK, as far as a session reads it; all of its fields are kept. */
export interface AdkEvent {
  id: string;
  invocationId?: string;
  /** `user`, or the name of an agent. */
  author?: string;
  timestamp: number;
  /** A part of an answer that is still streamed: it is never stored. */
  partial?: boolean;
  content?: AdkContent;
  actions?: { stateDelta?: Record<string, unknown>; [name: string]: unknown };
  usageMetadata?: object | undefined;
  modelVersion?: string;
}

/** A content of Gemini. */
export interface AdkContent {
  role?: string;
  parts?: object[];
}

/** A session of the ADK: a plain object, which an append changes. */
export interface AdkSession {
  id: string;
  appName: string;
  userId: string;
  state: Record<string, unknown>;
  events: AdkEvent[];
  /** Epoch ms. */
  lastUpdateTime: number;
}

/** The address of a session. */
export interface AdkSessionKey {
  readonly appName: string;
  readonly userId: string;
  readonly sessionId: string;
}

/** The new session; without an id it gets a random one. */
export interface AdkNewSession {
  readonly appName: string;
  readonly userId: string;
  readonly state?: Record<string, unknown>;
  readonly sessionId?: string;
}

/** The session to get, and which of its events. */
export interface AdkGetSession extends AdkSessionKey {
  readonly config?: { readonly numRecentEvents?: number; readonly afterTimestamp?: number };
}

/** The sessions to list. */
export interface AdkListSessions {
  readonly appName: string;
  readonly userId?: string;
  readonly limit?: number;
  readonly offset?: number;
  /** From 1. */
  readonly page?: number;
  readonly order?: "asc" | "desc";
}

/** One page of sessions, without their events and states. */
export interface AdkSessionList {
  sessions: AdkSession[];
  page: number;
  limit: number;
  totalItems: number;
  totalPages: number;
}

/** What the base class does at an append to a session in memory: it trims `temp:` keys and applies the changes of the state. */
type AppendInMemory = (append: { readonly session: AdkSession; readonly event: AdkEvent }) => Promise<AdkEvent>;

interface PackageAdk {
  readonly BaseSessionService: { readonly prototype: { readonly appendEvent: AppendInMemory } };
}

/** @throws SessionError `argument_invalid` if the package is not installed, or has another form */
export async function appendInMemory(): Promise<AppendInMemory> {
  const { BaseSessionService: service } = await loadPeer<PackageAdk>(
    "@google/adk",
    // @ts-ignore -- The package is a peer: its types may be absent.
    () => import("@google/adk"),
    ["BaseSessionService"],
  );
  // The method calls others of its class, and reads no field.
  const base = Object.create(service.prototype) as { readonly appendEvent: AppendInMemory };
  return (append) => base.appendEvent(append);
}
