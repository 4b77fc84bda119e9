import { headOf } from "../domain/change.ts";
import { chunkOf, type Chunk } from "../domain/chunk.ts";
import type { Entry } from "../domain/entry.ts";
import { stateAt } from "../domain/states.ts";
import { turnOf, type Turn } from "../domain/turn.ts";
import { show } from "../domain/show.ts";
import { SessionError } from "../errors.ts";
import type { Loaded } from "../store/store.ts";
import type { Handle } from "./handle.ts";
import { readLog } from "./log-reader.ts";
import { inContext } from "./operation.ts";

/** Where to begin to watch, and when to stop. */
export interface WatchOptions {
  /** The number of the last turn already known; 0: from the first. @default the last one this object has seen */
  readonly after?: number;
  /** How many pieces of the turn after that are already known, where its answer is still arriving. @default 0 */
  readonly afterChunk?: number;
  /** Ends the watching without an error. */
  readonly signal?: AbortSignal;
}

/**
 * What happened in a session. A turn is told once when it is begun, `open`, and once when it is finished; in between
 * come the pieces of its answer. One that is finished when it is first seen is told once.
 */
export type SessionNews =
  | { readonly type: "turn"; readonly turn: Turn }
  | {
      readonly type: "chunk";
      /** The number of the open turn. */
      readonly turn: number;
      /** The number of the piece in its answer, from 1. */
      readonly seq: number;
      readonly chunk: Chunk;
    }
  /** The turns after this number were taken back. */
  | { readonly type: "truncated"; readonly after: number };

const chunksAtOnce = 64;

/** What has been told so far. */
interface Told {
  /** The last finished turn. */
  turn: number;
  /** The pieces of the turn after that. */
  chunks: number;
  /** Whether the turn after that was told as open. */
  opened: boolean;
}

/** What is committed to a session by any process, in order, as it is committed; ends with the session's life. */
export async function* watchSession(handle: Handle, options: WatchOptions): AsyncGenerator<SessionNews, void, void> {
  const { core } = handle;
  const { signal } = options;
  let changed = Promise.withResolvers<void>();
  const watch = core.lookout.watch(handle.key, () => changed.resolve());
  const stop = (): void => changed.resolve();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const told = beginning(handle, options);
    while (!isAborted(signal)) {
      core.guardOpen();
      changed = Promise.withResolvers();
      const loaded = await lookAt(handle, told);
      watch.saw(loaded.record.version);
      for await (const news of newsOf(handle, loaded, told)) {
        yield news;
        if (isAborted(signal)) return;
      }
      const state = stateAt(loaded.record, core.now());
      if (state !== "active" && state !== "inactive") return;
      await changed.promise;
    }
  } catch (error) {
    const { tenant, id: session, agent } = handle.record;
    throw inContext(error, { command: "watch", tenant, session, agent });
  } finally {
    signal?.removeEventListener("abort", stop);
    watch.stop();
  }
}

function beginning(handle: Handle, { after = handle.seenTurn, afterChunk = 0 }: WatchOptions): Told {
  const chunks = parseCount(afterChunk, "afterChunk");
  return { turn: parseCount(after, "after"), chunks, opened: chunks > 0 };
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** The last turn and the pieces of the open one that were not told yet, from one moment. */
async function lookAt({ core, key }: Handle, told: Told): Promise<Loaded> {
  for (let chunks = chunksAtOnce; ;) {
    const loaded = await core.load(key, [
      { log: "turns", last: 1 },
      { log: "chunks", last: chunks },
    ]);
    const { record } = loaded;
    const untold = headOf(record, "chunks") - (record.openTurn === told.turn + 1 ? told.chunks : 0);
    if (untold <= chunks) return loaded;
    chunks = untold;
  }
}

async function* newsOf(handle: Handle, loaded: Loaded, told: Told): AsyncGenerator<SessionNews, void, void> {
  const { record, tails } = loaded;
  const [[last] = [], chunks = []] = tails;
  const head = headOf(record, "turns");
  if (head < told.turn || (head === told.turn && told.opened)) {
    Object.assign(told, { turn: head, chunks: 0, opened: false } satisfies Told);
    yield { type: "truncated", after: head };
  }
  if (last === undefined || head === told.turn) return;
  for await (const entry of finishedBefore(handle, told.turn + 1, last.seq)) yield finish(turnOf(entry), told);
  const turn = turnOf(last);
  if (turn.status !== "open") {
    yield finish(turn, told);
    return;
  }
  if (!told.opened) {
    told.opened = true;
    yield { type: "turn", turn };
  }
  for (const entry of chunks) {
    if (entry.seq <= told.chunks) continue;
    told.chunks = entry.seq;
    yield { type: "chunk", turn: turn.seq, seq: entry.seq, chunk: chunkOf(entry) };
  }
}

function finish(turn: Turn, told: Told): SessionNews {
  Object.assign(told, { turn: turn.seq, chunks: 0, opened: false } satisfies Told);
  return { type: "turn", turn };
}

/** The turns from one number up to another, which is not among them; a turn before the last is a finished one. */
async function* finishedBefore({ core, record }: Handle, from: number, end: number): AsyncGenerator<Entry, void, void> {
  for (let next = from; next < end;) {
    const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
    const range = { log: "turns", from: next, to: end - 1, order: "ascending", limit, bytesMax } as const;
    const page = await readLog(core, record, range);
    if (page.length === 0) return; // they were taken back meanwhile, which the next look tells
    yield* page;
    next += page.length;
  }
}

function parseCount(value: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new SessionError("argument_invalid", { name, value: show(value), expected: "a whole number, 0 or more" });
}
