/**
 * The package `@langchain/langgraph-checkpoint`, described by the members that are used. Its classes are the bases of the saver,
 * the store and the cache, so this module needs the package.
 */
// @ts-ignore -- The package is a peer: its types may be absent.
import * as checkpointPackage from "@langchain/langgraph-checkpoint";

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

/** What the saver has of its base. */
export interface SaverBase {
  serde: Serializer;
  toJSON(): string;
  get(config: RunnableConfig): Promise<Checkpoint | undefined>;
}

/** What the cache has of its base. */
export interface CacheBase {
  serde: Serializer;
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

/** What the store has of its base, which makes operations of its methods. */
export interface StoreBase {
  get(namespace: string[], key: string): Promise<Item | null>;
  search(
    namespacePrefix: string[],
    options?: { filter?: Record<string, unknown>; limit?: number; offset?: number; query?: string },
  ): Promise<Item[]>;
  put(namespace: string[], key: string, value: Record<string, unknown>, index?: false | string[]): Promise<void>;
  delete(namespace: string[], key: string): Promise<void>;
  listNamespaces(options?: {
    prefix?: string[];
    suffix?: string[];
    maxDepth?: number;
    limit?: number;
    offset?: number;
  }): Promise<string[][]>;
  start(): void | Promise<void>;
  stop(): void | Promise<void>;
}

interface CheckpointPackage {
  readonly BaseCheckpointSaver: abstract new (serde?: Serializer) => SaverBase;
  readonly BaseStore: abstract new () => StoreBase;
  readonly BaseCache: abstract new (serde?: Serializer) => CacheBase;
  /** Absent in versions without delta channels. */
  readonly DeltaSnapshot?: new (value: unknown) => object;
}

const found = checkpointPackage as unknown as CheckpointPackage;

export const BaseCheckpointSaver: abstract new (serde?: Serializer) => SaverBase = found.BaseCheckpointSaver;
export const BaseStore: abstract new () => StoreBase = found.BaseStore;
export const BaseCache: abstract new (serde?: Serializer) => CacheBase = found.BaseCache;

/** A snapshot of a channel that is stored as differences. @throws Error if the installed package knows none */
export function deltaSnapshot(value: unknown): object {
  const { DeltaSnapshot } = found;
  if (DeltaSnapshot === undefined)
    throw new Error("the installed @langchain/langgraph-checkpoint has no DeltaSnapshot");
  return new DeltaSnapshot(value);
}
