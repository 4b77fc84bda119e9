/**
 * LangGraph: a checkpointer whose threads are sessions, a store of memories and a cache of nodes on documents. The program brings the package
 * `@langchain/core`, which is loaded when a value is first read.
 *
 * @module perdure/langgraph
 */
export { PerdureCache, perdureCache, type CacheKey } from "./langgraph/cache.ts";
export { PerdureStore, perdureStore, type SearchOptions, type StoreOperation } from "./langgraph/store.ts";
export { PerdureSaver, perdureSaver, type ListOptions, type SaverOptions } from "./langgraph/saver.ts";
export type {
  ChannelVersion,
  Checkpoint,
  CheckpointMetadata,
  CheckpointTuple,
  DeltaChannelHistory,
  Item,
  PendingWrite,
  RunnableConfig,
  Serializer,
} from "./langgraph/package-checkpoint.ts";
