/**
 * Sessions, agents, models: everything that the author of a chat needs.
 *
 * @module perdure
 */
export { sharedSessions } from "./shared-sessions.ts";
export { openSessions, type OpenOptions } from "./open.ts";
export { Sessions } from "./sessions/sessions.ts";
export type { ListQuery, SessionPage, SessionSelection } from "./sessions/session/session-list.ts";
export type { CreateOptions, EnsureOptions, NewSessionOptions } from "./sessions/session/opening.ts";
export type { UnreadableSession } from "./sessions/session/unreadable-session.ts";
export {
  Devices,
  type ActiveAgentsOptions,
  type ClaimOptions,
  type UnreadableDevice,
  type UserDevice,
} from "./sessions/devices.ts";
export {
  Streams,
  type AcquiredStream,
  type AcquiredToken,
  type AcquireOptions,
  type AcquireTokenOptions,
  type PartInput,
  type ReadOptions,
  type StandingStatus,
  type StreamInfo,
  type StreamPage,
  type StreamPart,
  type StreamQuery,
  type StreamStatus,
  type UnreadableStream,
  type TokenEnd,
  type TokenWrite,
} from "./sessions/streams.ts";
export { Documents, type Document, type DocumentPage } from "./sessions/documents.ts";
export type {
  DocumentListQuery,
  DocumentSelection,
  IfVersion,
  PutOptions,
} from "./domain/documents/document-options.ts";
export type {
  DocumentDeletion,
  DocumentPutWrite,
  DocumentWrite,
  ScopedDocumentWrite,
} from "./sessions/documents/document-write.ts";
export { StreamProducer, type PartOptions, type StreamEnd } from "./sessions/streams/producer.ts";
export { Conversations, type ConversationSearch } from "./sessions/conversations.ts";
export type { ConversationInfo, ConversationPage } from "./sessions/conversations/conversation-list.ts";
export type { ConversationOwner } from "./sessions/conversations/reach.ts";
export {
  SharedSession,
  type SharedInfo,
  type SharedNews,
  type ShareInfo,
  type ShareOptions,
} from "./sessions/shares.ts";
export type { SharedMessage, SharedTurn } from "./sessions/shares/shared-turn.ts";
export type { DeviceOptions } from "./sessions/devices/device-route.ts";
export type { LinkCode } from "./sessions/devices/link-code.ts";
export { Keys, type KeyInfo, type RevokeKeyOptions, type KeyRight, type NewKey } from "./sessions/keys.ts";
export { correlated } from "./sessions/tracing/correlation.ts";
export type { DiskSpace } from "./store/calls/disk-space.ts";
export type { FallbackNews, Health } from "./sessions/fallback/fallback-router.ts";
export type { ReplayNews } from "./sessions/fallback/outbox.ts";
export type { OutboxState, ParkedItem } from "./sessions/fallback/outbox-sums.ts";
export type { BreakerState } from "./store/calls/breaker.ts";
export type { StoreNews, WritesState } from "./store/calls/write-watch.ts";
export type { EventNews, TurnNews } from "./sessions/tracing/committed.ts";
export type { Operation, OperationName } from "./sessions/tracing/operation.ts";
export type { StoreCall, Traced } from "./store/calls/store-call.ts";
export type { SweepNews } from "./sessions/retention/sweep-run.ts";
export type { Seen } from "./sessions/core/seen.ts";
export { Session } from "./sessions/session/session.ts";
export {
  Attachments,
  type AttachmentRange,
  type RangeOfAttachment,
  type OpenAttachment,
  type PutAttachmentOptions,
  type StoredAttachment,
} from "./sessions/session/attachments.ts";
export { folder } from "./files/attachments/folder.ts";
export type { AttachmentStore, ObjectRange } from "./domain/attachments/attachment-store.ts";
export type { AttachmentSource } from "./sessions/attachments/pieces.ts";
export type { Attachment } from "./domain/attachments/attachment.ts";
export type { TurnInput } from "./sessions/operations/turn-input.ts";
export type { WriteKey } from "./sessions/operations/append.ts";
export type { BeginTurnOptions } from "./sessions/operations/begin.ts";
export type { SessionPatch } from "./sessions/operations/update.ts";
export type { HandOffOptions } from "./sessions/operations/handoff.ts";
export type { LeaseHolder } from "./sessions/operations/lease.ts";
export type { NewRating, RatingQuery, SessionMemory, SummarizeOptions } from "./sessions/operations/memory.ts";
export type { Summarizing } from "./sessions/memory/summarize.ts";
export type { Rating } from "./domain/memory/feedback.ts";
export type { Summary } from "./domain/memory/summary.ts";
export type { MadeTitle, TitleRequest, Titler, Titles } from "./sessions/options/titles.ts";
export type { Titling } from "./sessions/titles/title-work.ts";
export type { Compaction, MadeSummary, Summarizer, SummaryRequest } from "./sessions/options/compaction.ts";
export type { EndOptions } from "./sessions/operations/end.ts";
export type { ForkOptions } from "./sessions/session/fork.ts";
export type { ActiveAgent, SessionInfo } from "./sessions/session/session-info.ts";
export type { SessionWithLook } from "./sessions/open-session.ts";
export type { SessionLook, TailQuery } from "./sessions/session/look.ts";
export { SessionLog, type KeyRangeOptions, type LogEntryRange } from "./sessions/logs/session-log.ts";
export type { KeyRange } from "./sessions/logs/key-range.ts";
export type { FollowOptions } from "./sessions/logs/follow-log.ts";
export type { LogEntry } from "./sessions/logs/log-entry.ts";
export type {
  LogEntryInput,
  LogWrite,
  SessionWrite,
  TurnsWrite,
  TurnWait,
  WriteOutcome,
  WriteResult,
  WrittenEntries,
} from "./sessions/logs/session-write.ts";
export type { WritesOutcome, WriteTo } from "./sessions/logs/write-many.ts";
export { idFor } from "./sessions/logs/id-for.ts";
export type { IfPresent, Onto } from "./domain/writes/named-logs.ts";
export type { RestoreOptions } from "./sessions/transfer/snapshots.ts";
export type { SessionSnapshot, SnapshotEntry } from "./sessions/snapshots/snapshot-text.ts";
export type { PortableRecord } from "./domain/copies/snapshot.ts";
export type { Waiting } from "./domain/record/record.ts";
export type { StoredHandoff } from "./domain/record/handoff.ts";
export { fromFormat, toFormat } from "./formats/conversion.ts";
export type { MessageFormatName } from "./formats/message-format.ts";
export { exchangesOf, instructionsOf, type Exchange } from "./domain/turns/exchange.ts";
export { SessionLease } from "./sessions/turns/session-lease.ts";
export type { ApproveOptions, Decisions } from "./sessions/operations/approve.ts";
export { TurnInProgress } from "./sessions/turns/progress/turn-in-progress.ts";
export type { Seal } from "./sessions/turns/progress/seal.ts";
export type { WaitingTurn, WaitOptions } from "./sessions/turns/progress/waiting-turn.ts";
export { Answer } from "./domain/turns/answer.ts";
export type { Consultation } from "./sessions/turns/model-answer.ts";
export type { ConsultOptions, Routed } from "./sessions/turns/question.ts";
export { createManager, type Manager, type ManagerOptions, type SendOptions } from "./manager/manager.ts";
export type { Tool, ToolContext, ToolRun } from "./manager/tool.ts";
export { withTools, type ToolLoopOptions } from "./manager/tool-loop.ts";
export type { Router, RouterContext } from "./manager/router.ts";
export { routeByModel, type ModelRouterOptions } from "./manager/model-router.ts";
export { routeByKeywords } from "./manager/keyword-router.ts";
export type { News } from "./sessions/polling/news-feed.ts";
export type { DocumentPosition, NewsItem, SessionPosition, StreamPosition } from "./sessions/polling/news-item.ts";
export type { NewsOptions } from "./sessions/news.ts";
export type { FoundText } from "./sessions/search/found-text.ts";
export type { IndexingProgress, SearchPage, SearchQuery } from "./sessions/search/search.ts";
export type { Snippet } from "./domain/search/snippet.ts";
export type { SessionNews, WatchOptions } from "./sessions/turns/watch.ts";
export type { Branch, BranchComparison, BranchQuery } from "./sessions/branches/branches.ts";
export type { RegenerateOptions } from "./sessions/session/session.ts";
export type { EntryRange, TurnRange } from "./sessions/turns/entry-reader.ts";
export type { MessagesQuery } from "./sessions/session/messages-as.ts";
export type { UnreadableEntry } from "./domain/record/entry.ts";
export type {
  EventFilter,
  EventPage,
  EventQuery,
  EventWalk,
  TenantEvent,
  UnreadableEvent,
} from "./sessions/tenant-events.ts";
export type { AppEvent, RecordedEvent } from "./sessions/operations/record.ts";
export type { DeviceIds } from "./domain/values/device.ts";
export type {
  Agent,
  AttachmentOptions,
  AttachmentUrl,
  BusyPolicy,
  RetentionPolicy,
  SessionsOptions,
  SweepOptions,
} from "./sessions/options/options.ts";
export type {
  DecidedCalls,
  Decision,
  Model,
  ModelContext,
  ModelEvent,
  ModelRequest,
  ModelSettings,
  ToolDescription,
} from "./sessions/options/model.ts";
export { parseModelSettings } from "./sessions/options/model-settings.ts";
export type { Flush } from "./domain/writes/flush.ts";
export type {
  Message,
  MessageInput,
  ReportedUsage,
  Step,
  ToolCall,
  Turn,
  TurnStatus,
  TurnSummary,
  Usage,
} from "./domain/turns/turn.ts";
export type {
  EventCategory,
  EventData,
  EventKind,
  EventSeverity,
  AppEventData,
  AppEventType,
  EventType,
  OwnEventType,
  SessionEvent,
} from "./domain/record/event.ts";
export type { AnswerEvent } from "./domain/turns/answer-event.ts";
export type { Chunk } from "./domain/turns/chunk.ts";
export type { Window } from "./domain/request/window.ts";
export type { DailyBudget, DailyBudgets } from "./domain/record/daily-usage.ts";
export type { LabelFilter, LabelPatch, Labels } from "./domain/values/labels.ts";
export type { Budget, Counters, Lease, Metadata, SessionState } from "./domain/record/record.ts";
export type { Duration, Lifetime } from "./domain/values/duration.ts";
export type { Page, PageQuery } from "./domain/values/pages.ts";
export { encode as encodeValue, type Value } from "./domain/values/codec.ts";
export { sameValue } from "./domain/values/same-value.ts";
export { defaultLimits, type Limits } from "./domain/values/limits.ts";
export {
  errorCodes,
  hasCode,
  SessionError,
  type ErrorCode,
  type ErrorContext,
  type ErrorDetails,
  type DetailKind,
  type SessionErrorOptions,
  type ErrorRule,
  type RuntimeFailure,
  type StreamFailure,
} from "./errors.ts";
export type {
  ExceededSteps,
  ReachedDailyBudget,
  InterruptedAnswer,
  Interruption,
  ModelFailure,
  ModelProblem,
} from "./errors/answer-problems.ts";
export type { FailedRuntime, InvalidRuntime, SessionStop, UnreachableOwner } from "./errors/host-problems.ts";
export type { Expectation, Expected, Mismatch } from "./errors/expectations.ts";
export type { InvalidStore, InvalidProblem, UnavailableProblem, UnavailableStore } from "./errors/store-problems.ts";
export { systemClock, type Clock } from "./clock.ts";
