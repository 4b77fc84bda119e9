/**
 * assistant-ui: the history of a thread in a session, over HTTP or in a process. It runs in browsers, and needs no package beside
 * those of assistant-ui.
 *
 * @module perdure/assistant-ui
 */
export { AssistantHistory, assistantHistory, type HistorySession, type HistorySessions } from "./history/history.ts";
export {
  AssistantSession,
  assistantSession,
  type AnsweringSession,
  type AnsweringSessions,
  type AssistantResult,
  type AssistantRun,
  type AssistantSessionOptions,
} from "./history/session-thread.ts";
export {
  AssistantThreads,
  assistantThreads,
  type AssistantThread,
  type AssistantThreadsOptions,
  type ListedSession,
  type ListedSessions,
} from "./history/thread-list.ts";
export type {
  FormatAdapter,
  FormattedHistory,
  FormattedItem,
  FormattedMessages,
  HistoryItem,
  HistoryMessages,
  StoredContent,
} from "./history/formats.ts";
