/**
 * The package `@langchain/langgraph-checkpoint`, described by its shapes. Nothing of it is loaded: a graph takes a saver, a store and
 * a cache by their methods.
 */

/** The configuration of a run, as far as savers read it. */
export interface RunnableConfig {
  // oxlint-disable-next-line typescript/no-explicit-any -- as LangChain declares it, so that its own configurations fit
  configurable?: Record<string, any>;
}

/** The version of the value of a channel. */
export type ChannelVersion = string | number;

/** The state of a graph after a step. */
export interface Checkpoint {
  v: number;
  id: string;
  ts: string;
  channel_values: Record<string, unknown>;
  channel_versions: Record<string, ChannelVersion>;
  versions_seen: Record<string, Record<string, ChannelVersion>>;
}

/** The origin of a checkpoint; other fields are kept as they are. */
export interface CheckpointMetadata {
  source: "input" | "loop" | "update" | "fork";
  step: number;
  parents: Record<string, string>;
  counters_since_delta_snapshot?: Record<string, [number, number]>;
}

/** The task, the channel and the value of a write. */
export type PendingWrite = [taskId: string, channel: string, value: unknown];

/** A checkpoint with its surroundings. */
export interface CheckpointTuple {
  config: RunnableConfig;
  checkpoint: Checkpoint;
  metadata?: CheckpointMetadata;
  parentConfig?: RunnableConfig;
  pendingWrites?: PendingWrite[];
}

/** The history of a channel that is stored as differences. */
export interface DeltaChannelHistory {
  writes: PendingWrite[];
  seed?: unknown;
}

/** Values as a type and bytes. */
export interface Serializer {
  dumpsTyped(this: void, data: unknown): Promise<[string, Uint8Array]>;
  // oxlint-disable-next-line typescript/no-explicit-any -- as the package declares it
  loadsTyped(this: void, type: string, data: Uint8Array | string): Promise<any>;
}

/** A value of the store. */
export interface Item {
  // oxlint-disable-next-line typescript/no-explicit-any -- as the package declares it
  value: Record<string, any>;
  key: string;
  namespace: string[];
  createdAt: Date;
  updatedAt: Date;
}

/** A snapshot of a channel that is stored as differences: the package knows it by the name. */
export class DeltaSnapshot {
  readonly lg_name: string = "DeltaSnapshot";
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}
