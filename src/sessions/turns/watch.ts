import { headOf } from "../../domain/record/change.ts";
import type { Chunk } from "../../domain/turns/chunk.ts";
import { stateAt } from "../../domain/record/states.ts";
import { turnOf, type Turn } from "../../domain/turns/turn.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import type { Handle } from "../core/handle.ts";
import { readLog } from "../core/log-reader.ts";
import type { Found, SessionView } from "../polling/change-poller.ts";
import { addContext } from "../tracing/operation.ts";
import { parseWholeNumber } from "../options/arguments.ts";

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
  try {
    yield* watched(handle, options);
  } catch (error) {
    const { tenant, id: session, agent } = handle.record;
    throw addContext(error, { command: "watch", tenant, session, agent });
  }
}

async function* watched(handle: Handle, options: WatchOptions): AsyncGenerator<SessionNews, void, void> {
  const { core } = handle;
  const { signal } = options;
  let changed = Promise.withResolvers<void>();
  /** What the poller found last; a slow reader goes on from there, however much came in between. */
  let found: Found | undefined;
  const told = beginning(handle, options);
  core.guardOpen();
  const watch = core.poller.watch(handle.key, { needs: "turns" }, (news) => {
    found = news;
    changed.resolve();
  });
  const stop = (): void => changed.resolve();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    watch.look();
    for (;;) {
      if (found === undefined && !isAborted(signal)) await changed.promise;
      if (isAborted(signal)) return;
      core.guardOpen();
      const view = viewOf(handle, found);
      found = undefined;
      changed = Promise.withResolvers();
      for await (const news of newsOf(handle, view, told)) {
        yield news;
        if (isAborted(signal)) return;
      }
      const state = stateAt(view.record, core.now());
      if (state !== "active" && state !== "inactive") return;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    watch.stop();
  }
}

/** @throws SessionError `session_not_found`, or the store's */
function viewOf({ key, record }: Handle, found: Found | undefined): SessionView {
  if (found?.status === "found") return found.view;
  if (found?.status === "failed") throw found.error;
  throw new SessionError("session_not_found", { ...sessionIds(record), sessionId: key.id, tenant: key.tenant });
}

function beginning(handle: Handle, { after = handle.seenTurn, afterChunk = 0 }: WatchOptions): Told {
  const chunks = parseWholeNumber(afterChunk, "afterChunk", 0);
  return { turn: parseWholeNumber(after, "after", 0), chunks, opened: chunks > 0 };
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

async function* newsOf(handle: Handle, view: SessionView, told: Told): AsyncGenerator<SessionNews, void, void> {
  const { record, turn, chunks } = view;
  const head = headOf(record, "turns");
  if (head < told.turn || (head === told.turn && told.opened)) {
    Object.assign(told, { turn: head, chunks: 0, opened: false } satisfies Told);
    yield { type: "truncated", after: head };
  }
  if (turn === undefined || head === told.turn) return;
  for await (const finished of finishedBefore(handle, view, { from: told.turn + 1, end: turn.seq }))
    yield finish(finished, told);
  if (turn.status !== "open") {
    yield finish(turn, told);
    return;
  }
  if (!told.opened) {
    told.opened = true;
    yield { type: "turn", turn };
  }
  for (const chunk of chunks.slice(told.chunks)) {
    told.chunks++;
    yield { type: "chunk", turn: turn.seq, seq: told.chunks, chunk };
  }
}

function finish(turn: Turn, told: Told): SessionNews {
  Object.assign(told, { turn: turn.seq, chunks: 0, opened: false } satisfies Told);
  return { type: "turn", turn };
}

/** The last page of finished turns that was read for a view: watches that are equally far behind share it. */
const pagesOf = new WeakMap<SessionView, { readonly from: number; readonly turns: Promise<readonly Turn[]> }>();

/** The turns from one number up to another, which is not among them; a turn before the last is a finished one. */
async function* finishedBefore(
  { core }: Handle,
  view: SessionView,
  { from, end }: { readonly from: number; readonly end: number },
): AsyncGenerator<Turn, void, void> {
  for (let next = from; next < end;) {
    let page = pagesOf.get(view);
    if (page?.from !== next) {
      const limit = core.options.limits.readMax;
      const range = { log: "turns", from: next, to: end - 1, order: "ascending", limit } as const;
      page = { from: next, turns: readLog(core, view.record, range).then((entries) => entries.map(turnOf)) };
      pagesOf.set(view, page);
    }
    const turns = await page.turns;
    if (turns.length === 0) return; // they were taken back meanwhile, which the next view tells
    yield* turns;
    next += turns.length;
  }
}
