/**
 * For authors of stores: the contract of a store, and the types of its arguments and results. The conformance suite is in
 * `perdure/testing`.
 *
 * @module perdure/store
 */
export type {
  Capabilities,
  CountQuery,
  DeletedDocuments,
  DocumentConflict,
  DocumentPaging,
  DocumentQuery,
  DocumentRange,
  EventScan,
  FoundChange,
  FoundDocuments,
  FoundEvent,
  FoundEvents,
  FoundMessage,
  FoundMessages,
  FoundNews,
  IndexProgress,
  InspectOptions,
  Loaded,
  LoadRequest,
  LogRange,
  Look,
  NewsQuery,
  Outcome,
  FoundRecords,
  MessageQuery,
  SessionFilter,
  SessionQuery,
  Store,
  StoreProblem,
  UsageName,
} from "./store.ts";
export {
  headOfData,
  inheritedLog,
  StatsAccumulator,
  type EntryFacts,
  type Histogram,
  type RatingSums,
  type SessionDay,
  type SessionFacts,
  type StatsKind,
  type StoreStats,
  type StoreStatsQuery,
  type TurnGroup,
  type TurnSums,
  type UnreadableCounts,
} from "./stats.ts";
export type { Change, CountedUsage, KeyClaim, Transaction, UsageAddition } from "../domain/record/change.ts";
export type {
  DocumentChange,
  DocumentKey,
  DocumentPut,
  DocumentRemoval,
  DocumentTouch,
  StoredDocument,
} from "../domain/documents/document.ts";
export { truncatedUsageLog, type Entry, type LogName, type SessionKey, type Splice } from "../domain/record/entry.ts";
export type {
  Archive,
  ArchivedRange,
  Budget,
  Cancel,
  Counters,
  Handoff,
  Identity,
  Instance,
  Lease,
  LegalHold,
  Metadata,
  Parent,
  Reset,
  Segments,
  SessionRecord,
  SessionState,
  SettledState,
  Waiter,
} from "../domain/record/record.ts";
export type { SearchedWord } from "../domain/search/search-terms.ts";
export { searchedMessages, titleSeq, type SearchedMessage } from "../domain/search/searched-messages.ts";
export { wordsOf } from "../domain/search/words.ts";
