/** Compiled only: the adapters' own types of LangGraph and LangChain fit those of the packages, as published. */
import type { BaseListChatMessageHistory } from "@langchain/core/chat_history";
import type { BaseCache, BaseCheckpointSaver, BaseStore } from "@langchain/langgraph-checkpoint";
import { chatHistory } from "../../../src/adapters/langchain.ts";
import { perdureCache, perdureSaver, perdureStore } from "../../../src/adapters/langgraph.ts";
import type { Sessions } from "../../../src/index.ts";

/** Compiles only if a graph takes what the adapter makes. */
export function compiled(sessions: Sessions): readonly [BaseCheckpointSaver, BaseStore, BaseCache] {
  return [perdureSaver(sessions), perdureStore(sessions), perdureCache(sessions)];
}

/** Compiles only if a runnable takes the history, as the value of a function. */
export function history(sessions: Sessions): Pick<BaseListChatMessageHistory, "getMessages" | "addMessages" | "clear"> {
  return chatHistory(sessions, "s");
}
