import { documentText } from "../../domain/documents/document.ts";
import { headOf, namedLogs } from "../../domain/record/change.ts";
import { keyText } from "../../domain/record/entry.ts";
import type { SessionRecord, SessionState } from "../../domain/record/record.ts";
import { stateAt } from "../../domain/record/states.ts";
import { waitsAt } from "../../domain/turns/leases.ts";
import { isStreamScope } from "../../domain/values/internal-scope.ts";
import { SessionError } from "../../errors.ts";
import type { FoundChange } from "../../store/store.ts";

/** A change in a tenant: a position, no content. The reader reads what it needs. */
export type NewsItem =
  | SessionPosition
  /** A session was removed. */
  | { readonly session: string; readonly removed: true }
  /** A session changed whose record is damaged; `perdure doctor` names the cause. */
  | { readonly session: string; readonly unreadable: true }
  | StreamPosition
  /** A stream of `sessions.streams` was deleted. */
  | { readonly stream: string; readonly removed: true }
  | { readonly document: DocumentPosition }
  /**
   * Changes before this item may be missing: the reader lists sessions and documents again. It comes first to a reader without
   * a cursor, with one of another store, or with one that is too old.
   */
  | { readonly reset: true };

/** A session that was created or changed. */
export interface SessionPosition {
  readonly session: string;
  /** Grows by one with every change. */
  readonly version: number;
  readonly state: SessionState;
  /** The number of the last turn. */
  readonly turns: number;
  /** The version of the last change of the turns: it tells a turn that was replaced. */
  readonly turnsVersion: number;
  /** The number of the turn in progress; null: none. */
  readonly open: number | null;
  /** The turn in progress waits to be resumed. */
  readonly waits: boolean;
  /** The parts of the turn in progress that are written. */
  readonly parts: number;
  /** The last number of each named log that was ever written to. */
  readonly logs: { readonly [name: string]: number };
}

/** A stream of `sessions.streams` that began, grew or ended. */
export interface StreamPosition {
  readonly stream: string;
  /** The session whose answer it is; null: none. */
  readonly of: string | null;
  readonly version: number;
  /** It has not ended. */
  readonly open: boolean;
  /** The number of its last part. */
  readonly parts: number;
}

/** A document that was put, removed or expired. */
export type DocumentPosition =
  | { readonly scope: string; readonly key: string; readonly version: number }
  | { readonly scope: string; readonly key: string; readonly removed: true };

/** A change as its key in a text, to merge changes by, and as an item. */
export type MergedItem = readonly [text: string, item: NewsItem];

export function mergedItem(change: FoundChange, now: number): MergedItem {
  if ("document" in change) return [documentText(change.document), { document: documentPosition(change) }];
  return [keyText(change.session), sessionItem(change, now)];
}

function documentPosition({ document, version }: Extract<FoundChange, { document: unknown }>): DocumentPosition {
  const { scope, key } = document;
  return version === undefined ? { scope, key, removed: true } : { scope, key, version };
}

function sessionItem({ session, record }: Extract<FoundChange, { session: unknown }>, now: number): NewsItem {
  const { id } = session;
  if (isStreamScope(session.tenant)) {
    // A damaged stream cannot be read by its readers either.
    return record === undefined || record instanceof SessionError
      ? { stream: id, removed: true }
      : streamPosition(record);
  }
  if (record === undefined) return { session: id, removed: true };
  return record instanceof SessionError ? { session: id, unreadable: true } : sessionPosition(record, now);
}

function sessionPosition(record: SessionRecord, now: number): SessionPosition {
  return {
    session: record.id,
    version: record.version,
    state: stateAt(record, now),
    turns: headOf(record, "turns"),
    turnsVersion: record.turnsVersion,
    open: record.openTurn,
    waits: waitsAt(record, now),
    parts: record.openTurn === null ? 0 : headOf(record, "chunks"),
    logs: Object.fromEntries(namedLogs(record).map((log) => [log, headOf(record, log)])),
  };
}

function streamPosition(record: SessionRecord): StreamPosition {
  const { id, user, version, openTurn } = record;
  return { stream: id, of: user, version, open: openTurn !== null, parts: headOf(record, "chunks") };
}
