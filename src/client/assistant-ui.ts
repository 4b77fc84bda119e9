/**
 * assistant-ui: the history of a thread in a session, over HTTP or in a process. It runs in browsers, and needs no package beside
 * those of assistant-ui.
 *
 * @module perdure/assistant-ui
 */
export { AssistantHistory, assistantHistory, type HistorySession, type HistorySessions } from "./history/history.ts";
export type {
  FormatAdapter,
  FormattedHistory,
  FormattedItem,
  FormattedMessages,
  HistoryItem,
  HistoryMessages,
  StoredContent,
} from "./history/formats.ts";
