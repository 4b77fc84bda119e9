/** The base class of histories of `@langchain/core`, described by the members that are used. */
// @ts-ignore -- The package is a peer: its types may be absent.
import * as historyPackage from "@langchain/core/chat_history";

/** What a history has of its base. */
export interface HistoryBase {
  addUserMessage(message: string): Promise<void>;
  addAIMessage(message: string): Promise<void>;
}

export const BaseListChatMessageHistory: abstract new () => HistoryBase = (
  historyPackage as unknown as { readonly BaseListChatMessageHistory: abstract new () => HistoryBase }
).BaseListChatMessageHistory;
