/** Compiled only: the adapter's own types of LangGraph fit those of its packages, as published. */
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { perdureSaver } from "../../../src/adapters/langgraph.ts";
import type { Sessions } from "../../../src/index.ts";

/** Compiles only if a graph takes the saver. */
export function compiled(sessions: Sessions): BaseCheckpointSaver {
  return perdureSaver(sessions);
}
