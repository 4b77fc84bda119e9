/**
 * LangGraph: a checkpointer whose threads are sessions. The program brings the packages `@langchain/langgraph-checkpoint` and
 * `@langchain/core`, which this entry point loads.
 *
 * @module perdure/langgraph
 */
export { PerdureSaver, perdureSaver, type ListOptions, type SaverOptions } from "./langgraph/saver.ts";
export type {
  ChannelVersion,
  Checkpoint,
  CheckpointMetadata,
  CheckpointTuple,
  DeltaChannelHistory,
  PendingWrite,
  RunnableConfig,
  Serializer,
} from "./langgraph/package-checkpoint.ts";
