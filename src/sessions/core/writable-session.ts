/** A session's record, and a way to write to it: the interface of {@link Handle} for the modules below it. */
import type { DocumentChange } from "../../domain/documents/document.ts";
import type { Change, Draft } from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import type { Context, Writer } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { DocumentConflict, Loaded, LoadRequest } from "../../store/store.ts";
import type { Operation, OperationName } from "../tracing/operation.ts";

/** A pure rule, applied to the newest known record; null if there is nothing to change. */
export type Rule = (draft: Draft, context: Context, writer: Writer) => Change | null;

/** Makes the changes of other records for a try of a write, counted from 1: after a conflict from their newest records. */
export type ChangesBeside = (attempt: number) => Promise<readonly Change[]>;

export interface WriteOptions {
  /** Clear the lease of a dead holder (`dead`) or of any holder (`any`) in the same commit, and seal the turn it left open. */
  readonly recovers?: "dead" | "any";
  /** Seal a turn that waits to be resumed, in the same commit, for this reason. @default it keeps waiting until its time is up */
  readonly interruptsWaiting?: string;
  /** The reason in the error of a turn that is sealed on the way. */
  readonly reason?: string;
  /** The caller joins the queue of a session in use: the record that says so need not be the newest. @default false */
  readonly queues?: boolean;
  /** Tries against newer records before the write fails with `contended`. @default 100 */
  readonly attemptsMax?: number;
  /** Changes of other records that land in the same commit, or a function that makes them for each try. @default none */
  readonly beside?: readonly Change[] | ChangesBeside;
  /** Writes of documents that land in the same commit. @default none */
  readonly documents?: DocumentsBeside | undefined;
}

/** The options of a write that may fold with others: it has no changes beside it and takes no lease. */
export type FoldOptions = Omit<WriteOptions, "beside" | "documents" | "attemptsMax">;

/** Writes of documents for a commit that may need several tries. */
export interface DocumentsBeside {
  /** The changes of the next try. */
  changes(): readonly DocumentChange[];
  /** A document of the last try does not fit. @throws SessionError if another try cannot help */
  met(conflict: DocumentConflict): void;
}

/** The outcome of a rule before its commit. */
export type Proposal =
  | {
      readonly status: "proposed";
      readonly change: Change;
      /** Changes of other records that land in the same commit. */
      readonly beside: readonly Change[];
    }
  | Exclude<WriteResult, { readonly status: "ok" }>;

export type WriteResult =
  | { readonly status: "ok"; readonly change: Change }
  | { readonly status: "unchanged" }
  | { readonly status: "duplicate"; readonly entry: Entry };

/**
 * The result of a write that may have folded with others. It lacks the change: a thousand results may wait for their callers,
 * and each would keep the text of its entries.
 */
export type FoldedResult = { readonly status: "ok" } | Exclude<WriteResult, { readonly status: "ok" }>;

/** One view of one session. */
export interface WritableSession {
  readonly key: SessionKey;
  /** The newest record that this view knows; the store may be ahead. */
  readonly record: SessionRecord;
  /** Take over a record that was loaded elsewhere in this process, if it is newer. */
  learn(record: SessionRecord): void;
  /** Apply the rule to the newest known record, and write its change in a commit of its own. */
  write(rule: Rule, options?: WriteOptions): Promise<WriteResult>;
  /** As `write`; other writes of this process to the session may share the commit. */
  fold(rule: Rule, options?: FoldOptions): Promise<FoldedResult>;
  /** Load the newest record, with the ends of logs. */
  peek(tails?: LoadRequest["tails"]): Promise<Loaded>;
  /** The operation to report to the tracing channel. */
  about(operation: OperationName): Operation;
  /** A view of its own on the same record, without a lease. */
  freshView(): WritableSession;
}
