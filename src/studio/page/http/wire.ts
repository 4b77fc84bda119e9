/** The parts of the HTTP interface that the page reads. */

export type State = "active" | "inactive" | "expired" | "ended" | "archived";
export const states: readonly State[] = ["active", "inactive", "expired", "ended", "archived"];

export interface Session {
  readonly id: string;
  readonly tenant: string;
  readonly state: State;
  readonly agent: string;
  readonly user: string | null;
  readonly title: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly createdAt: string;
  readonly lastActivityAt: string;
  readonly expiresAt: string | null;
  readonly activeAgent: { readonly agent: string; readonly expiresAt: string; readonly note: string | null } | null;
  readonly turn: number;
  readonly counters: Readonly<Record<string, number>>;
  readonly budget: { readonly tokens?: number; readonly turns?: number } | null;
  /** The named logs. */
  readonly logs?: Readonly<Record<string, { readonly end: number }>>;
  readonly version: number;
  /** The version of the last change of the turns. */
  readonly seen: { readonly version: number };
  readonly waiting: number;
  readonly waitingTurn: { readonly turn: number; readonly reason: string; readonly expiresAt: string | null } | null;
  readonly legalHold: { readonly reason: string; readonly since: string } | null;
  readonly parent: { readonly id: string; readonly turn: number } | null;
  readonly archive: { readonly bytes: number; readonly packedBytes: number } | null;
  readonly leaseHolder?: LeaseHolder;
}

export interface LeaseHolder {
  readonly instance: string;
  readonly host: string | null;
  readonly pid: number | null;
  readonly fence: number;
  readonly acquiredAt: string;
  readonly expiresAt?: string | null;
  readonly heldMs: number;
  readonly alive: boolean;
}

export interface Message {
  readonly role: string;
  readonly content?: unknown;
  readonly name?: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_call_id?: string;
  readonly is_error?: boolean;
  readonly [field: string]: unknown;
}

export interface ToolCall {
  readonly id: string;
  readonly function: { readonly name: string; readonly arguments: string };
}

export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly totalTokens: number;
  readonly cachedTokens?: number;
  readonly reasoningTokens?: number;
  readonly estimated?: true;
}

export interface Turn {
  readonly seq: number;
  readonly key: string | null;
  readonly at: string;
  readonly status: "open" | "waiting" | "done" | "failed" | "interrupted";
  readonly agent: string;
  readonly model?: string;
  readonly input: readonly Message[];
  readonly output: readonly Message[];
  readonly usage?: Usage;
  readonly requests: number;
  readonly durationMs?: number;
  readonly waitedMs?: number;
  readonly steps?: readonly {
    readonly agent?: string;
    readonly model?: string;
    readonly usage: Usage;
    readonly durationMs: number;
  }[];
  readonly finish?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface SessionEvent {
  readonly seq: number;
  readonly type: string;
  readonly at: string;
  readonly category: string;
  readonly severity: "info" | "warning" | "error";
  readonly status: "ok" | "failed";
  readonly correlation: string | null;
  readonly session?: string;
  readonly [field: string]: unknown;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next?: string;
  readonly unreadable?: readonly object[];
}

/** A page of a log: `next` continues it, `before` names the page in front of it. */
export interface LogPage<Item> {
  readonly items: readonly Item[];
  readonly next?: number;
  readonly before?: number;
  readonly unreadable?: readonly { readonly seq: number; readonly reason: string }[];
}

export interface StoredEntry {
  readonly seq: number;
  readonly key: string | null;
  readonly at: string | null;
  readonly bytes: number;
  readonly data: string;
}

export interface WaitingTurn {
  readonly turn: number;
  readonly reason: string;
  readonly since: string;
  readonly expiresAt: string | null;
  readonly token: string;
  readonly calls: readonly ToolCall[];
}

export interface Percentiles {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
  readonly max: number;
}

export interface Sums {
  readonly key: string | null;
  readonly turns: number;
  readonly failed: number;
  readonly interrupted: number;
  readonly truncated: number;
  readonly totalTokens: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly estimated: number;
  readonly durationMs: number;
  readonly bytes: number;
  readonly conflicts: number;
}

/** Sessions that came and went on one day of UTC. */
export interface SessionDay {
  readonly day: string;
  readonly created: number;
  readonly ended: number;
  readonly expired: number;
}

export interface Stats {
  readonly tenant: string;
  readonly at: string;
  readonly since: string | null;
  readonly sessions: {
    readonly total: number;
    readonly states: Readonly<Record<State, number>>;
    readonly turns: Percentiles | null;
    readonly lifeMs: Percentiles | null;
  };
  readonly turns: Omit<Sums, "key"> & { readonly durationPercentilesMs: Percentiles | null };
  readonly handoffs: { readonly active: number; readonly expired: number; readonly activeMs: Percentiles | null };
  readonly ratings: {
    readonly up: number;
    readonly down: number;
    readonly scores: number;
    readonly meanScore: number | null;
  };
  readonly storage: {
    readonly bytes: number;
    readonly entries: number;
    readonly bytesPerSession: number;
    readonly attachments: { readonly count: number; readonly bytes: number };
  };
  readonly unreadable: { readonly sessions: number; readonly entries: number };
  readonly days: readonly SessionDay[];
  readonly groups: { readonly [kind: string]: readonly Sums[] };
}

export type Right = "read" | "write" | "admin";

export interface Key {
  readonly name: string;
  readonly tenant: string;
  readonly right: Right;
}
