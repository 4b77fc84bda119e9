export { openSessions, type OpenOptions } from "./open.ts";
export {
  backupStore,
  restoreStore,
  type BackupOptions,
  type BackupProgress,
  type BackupReport,
  type RestoreStoreOptions,
} from "./backup.ts";
export {
  Sessions,
  type ExportedSession,
  type ExportQuery,
  type ListQuery,
  type SessionPage,
  type UnreadableSession,
  type SessionSelection,
} from "./sessions/sessions.ts";
export type { CreateOptions, EnsureOptions, NewSessionOptions } from "./sessions/opening.ts";
export { Devices, type ClaimOptions, type DevicePage, type UserDevice } from "./sessions/devices.ts";
export type { DeviceOptions } from "./sessions/device-way.ts";
export type { LinkCode } from "./sessions/link-code.ts";
export { Keys, type KeyInfo, type KeyRight, type NewKey } from "./sessions/keys.ts";
export { correlated } from "./sessions/correlation.ts";
export type { FallbackNews, Health } from "./sessions/reach.ts";
export type { HostInfo } from "./sessions/hosts.ts";
export type { OutboxState, ReplayNews } from "./sessions/outbox.ts";
export type { BreakerState } from "./store/breaker.ts";
export type { EventNews, TurnNews } from "./sessions/committed.ts";
export type { Operation, OperationName } from "./sessions/operation.ts";
export type { StoreCall, Traced } from "./store/store-call.ts";
export type { Seen } from "./sessions/seen.ts";
export {
  Session,
  type HandOffOptions,
  type Holder,
  type SessionPatch,
  type TurnInput,
  type WriteKey,
} from "./sessions/session.ts";
export type { ErasureRequest } from "./sessions/erasure.ts";
export type { ErasedCounts, ErasureReceipt } from "./sessions/erasure-receipt.ts";
export type { SharedForks } from "./sessions/shared-forks.ts";
export type { Traces } from "./sessions/traces.ts";
export type { ForkOptions } from "./sessions/fork.ts";
export type { ActiveAgent, SessionInfo } from "./sessions/session-info.ts";
export type { RestoreOptions } from "./sessions/snapshots.ts";
export type { SessionSnapshot, SnapshotEntry } from "./sessions/snapshot-text.ts";
export { SnapshotDirectory, type SavedSnapshot } from "./sessions/snapshot-directory.ts";
export type { ImportItem, ImportOptions, ImportReport, SkippedItem } from "./sessions/importing.ts";
export type { CopyOptions, CopyProgress, CopyReport } from "./sessions/copying.ts";
export type { Conversation } from "./sessions/conversation.ts";
export { exchangesOf, instructionsOf, type Exchange } from "./domain/exchange.ts";
export type { PortableRecord } from "./domain/snapshot.ts";
export { SessionLease } from "./sessions/session-lease.ts";
export { TurnInProgress, type Seal } from "./sessions/turn-in-progress.ts";
export { Answer } from "./domain/answer.ts";
export type { Consultation, ConsultOptions, Routed } from "./sessions/consult.ts";
export { createManager, type Manager, type ManagerOptions, type SendOptions } from "./manager/manager.ts";
export type { Tool, ToolContext, ToolRun } from "./manager/tool.ts";
export { withTools, type ToolLoopOptions } from "./manager/tool-loop.ts";
export type { Router, RouterContext } from "./manager/router.ts";
export { routeByModel, type ModelRouterOptions } from "./manager/model-router.ts";
export { routeByKeywords } from "./manager/keyword-router.ts";
export type { SessionNews, WatchOptions } from "./sessions/watch.ts";
export type { TurnRange } from "./sessions/turn-reader.ts";
export type { DoctorReport, DoctorRequest, Finding } from "./sessions/doctor.ts";
export type { Stats, StatsDay, StatsGroup, StatsQuery } from "./sessions/stats.ts";
export type { Spread } from "./domain/spread.ts";
export type { Budget } from "./domain/budget.ts";
export type { EventFilter, EventPage, EventQuery, EventWalk, TenantEvent } from "./sessions/tenant-events.ts";
export type { SweepDeed, SweepFailure, SweepNews, SweepReport, SweepRequest } from "./sessions/sweep.ts";
export type { Agent, BusyPolicy, RetentionPolicy, SessionsOptions, SweepOptions } from "./sessions/options.ts";
export type { Model, ModelEvent, ModelRequest, ToolDescription } from "./sessions/model.ts";
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
} from "./domain/turn.ts";
export type { EventCategory, EventData, EventKind, EventSeverity, EventType, SessionEvent } from "./domain/event.ts";
export type { Chunk } from "./domain/chunk.ts";
export type {
  Archive,
  ArchivedRange,
  Counters,
  Floor,
  Hold,
  Instance,
  Lease,
  Metadata,
  Parent,
  SessionRecord,
} from "./domain/record.ts";
export type { SessionState } from "./domain/states.ts";
export type { Duration } from "./domain/duration.ts";
export type { Value } from "./domain/codec.ts";
export type { Window } from "./domain/window.ts";
export { defaultLimits, type Limits } from "./domain/limits.ts";
export type { Change, Claim, Transaction } from "./domain/change.ts";
export type { Entry, LogName, SessionKey, Splice } from "./domain/entry.ts";
export type {
  Capabilities,
  CountQuery,
  FoundEvents,
  EventScan,
  FoundEvent,
  InspectOptions,
  Loaded,
  LoadRequest,
  LogRange,
  Outcome,
  Page,
  SessionFilter,
  SessionQuery,
  Store,
  StoreFlaw,
} from "./store/store.ts";
export {
  Tallying,
  type Histogram,
  type SessionDay,
  type SessionFacts,
  type EntryFacts,
  type Tally,
  type TallyKind,
  type TallyQuery,
  type TurnGroup,
  type TurnSums,
} from "./store/tally.ts";
export {
  errorCodes,
  hasCode,
  SessionError,
  type ErrorCode,
  type ErrorContext,
  type ErrorDetails,
  type ErrorRule,
} from "./errors.ts";
export { systemClock, type Clock } from "./clock.ts";
