/** Readers of streams: each gets every part once and in order, from any place, in any process. */
import { headOf } from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { stateAt } from "../../domain/record/states.ts";
import { readChunk } from "../../domain/turns/chunk.ts";
import { birthOf, isSameStream } from "../../domain/turns/stream.ts";
import { turnOf } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { recoverFollowed } from "../handle/recoveries.ts";
import { parseWholeNumber } from "../options/arguments.ts";
import type { Found } from "../polling/change-poller.ts";
import { failureOf } from "./stream-error.ts";

/** A part of a stream. */
export interface StreamPart {
  /** The place behind this part, to read on from. */
  readonly cursor: string;
  /** Its number in the stream, from 1. */
  readonly seq: number;
  readonly part: Value;
}

/** A stream to read, under the names that its callers know. */
export interface StreamName {
  readonly key: SessionKey;
  readonly tenant: string;
}

/** The place of a cursor in its stream. */
interface Place {
  /** The beginning of the stream: distinguishes it from another one with its id. Absent for the number of a part. */
  readonly birth?: { readonly at: number; readonly id: string | undefined };
  /** The number of the last part that the reader has. */
  readonly seq: number;
}

/** The place of a cursor, or of the number of a part. @throws SessionError `argument_invalid` */
export function parsePlace(cursor: string | number): Place {
  if (typeof cursor === "number") return { seq: parseWholeNumber(cursor, "after", 0) };
  const match = /^(\d{1,15})(?:\.([\w-]{1,32}))?\.(\d{1,15})$/.exec(cursor);
  if (match === null) throw invalidArgument("after", cursor, { expected: "event_id" });
  const [, at, id, seq] = match;
  return { birth: { at: Number(at), id }, seq: Number(seq) };
}

/** The place behind a part. */
function cursorOf(record: SessionRecord, seq: number): string {
  const id = birthOf(record);
  return id === undefined ? `${record.createdAt}.${seq}` : `${record.createdAt}.${id}.${seq}`;
}

/** True if the cursor may be of this stream. One of an earlier version names its time of creation alone. */
function isOf(place: Place | undefined, record: SessionRecord): boolean {
  const birth = place?.birth;
  if (birth === undefined) return true;
  return birth.at === record.createdAt && (birth.id === undefined || birth.id === birthOf(record));
}

/** True for a stream whose time to live has passed; a stream in progress lives. */
export function hasLapsed(record: SessionRecord, now: number): boolean {
  return record.openTurn === null && stateAt(record, now) !== "active";
}

/**
 * The parts of a stream behind a place, as they are committed, until the stream is over.
 * @throws SessionError `stream_not_found`, `stream_failed` after the last part, or the store's
 */
export async function* readParts(
  core: Core,
  { key, tenant }: StreamName,
  { place, signal }: { readonly place: Place | undefined; readonly signal: AbortSignal | undefined },
): AsyncGenerator<StreamPart, void, void> {
  let seq = place?.seq ?? 0;
  let before: SessionRecord | undefined;
  const view = new LatestView(core, key, signal);
  const unfollow = recoverFollowed(core, key);
  const notFound = (): SessionError => new SessionError("stream_not_found", { stream: key.id, tenant });
  try {
    for (;;) {
      const found = await view.next();
      if (found === undefined) return;
      if (found.status === "failed") throw found.error;
      const record = found.status === "missing" ? undefined : found.view.record;
      if (record === undefined || hasLapsed(record, core.now())) throw notFound();
      if (before === undefined ? !isOf(place, record) : !isSameStream(before, record)) throw notFound();
      before = record;
      for (
        let page = await pageOf(core, record, seq + 1);
        page.length > 0;
        page = await pageOf(core, record, seq + 1)
      ) {
        for (const entry of page) {
          if (signal?.aborted === true) return;
          seq = entry.seq;
          yield { cursor: cursorOf(record, seq), seq, part: partOf(entry) };
        }
      }
      if (record.openTurn !== null || seq < headOf(record, "chunks")) continue;
      const over = await core.find(key, [{ log: "turns", last: 1 }]);
      const turn = over?.tails[0]?.[0];
      // It was deleted since: the next look finds that.
      if (over === undefined || turn === undefined || !isSameStream(over.record, record)) continue;
      const failure = failureOf(turnOf(turn), { stream: key.id, tenant });
      if (failure !== undefined) throw failure;
      return;
    }
  } finally {
    unfollow();
    view.stop();
  }
}

/** The newest state of a stream, for a reader that may be slower than its changes. */
class LatestView {
  readonly #signal: AbortSignal | undefined;
  readonly stop: () => void;
  #found: Found | undefined;
  #wake: () => void = () => undefined;

  constructor(core: Core, key: SessionKey, signal: AbortSignal | undefined) {
    core.guardOpen();
    this.#signal = signal;
    const watch = core.poller.watch(key, { needs: "record", isEager: true }, (found) => {
      this.#found = found;
      this.#wake();
    });
    const abort = (): void => this.#wake();
    signal?.addEventListener("abort", abort);
    this.stop = () => {
      signal?.removeEventListener("abort", abort);
      watch.stop();
    };
    watch.look();
  }

  /** The state that the reader has not seen, once there is one; undefined once its signal aborts. */
  async next(): Promise<Found | undefined> {
    while (this.#found === undefined && this.#signal?.aborted !== true)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    const found = this.#signal?.aborted === true ? undefined : this.#found;
    this.#found = undefined;
    return found;
  }
}

/** The last page that was read for a record: readers that are equally far share it. */
const pages = new WeakMap<SessionRecord, { readonly from: number; readonly entries: Promise<readonly Entry[]> }>();

/** The entries from a number on that the record has, within the limits of a read; none behind its last one. */
async function pageOf(core: Core, record: SessionRecord, from: number): Promise<readonly Entry[]> {
  const to = headOf(record, "chunks");
  if (from > to) return [];
  const known = pages.get(record);
  if (known?.from === from) return await known.entries;
  const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
  const range = { log: "chunks", from, to, order: "ascending", limit, bytesMax } as const;
  // Entries that came after this record are of another stream, which took its id since.
  const entries = core.store.read(record, range).then((page) => page.filter(({ at }) => at <= record.lastActivityAt));
  pages.set(record, { from, entries });
  try {
    return await entries;
  } catch (error) {
    // The next reader reads it again.
    pages.delete(record);
    throw error;
  }
}

/** @throws SessionError `store_invalid` for a part that cannot be read: a reader would not know of the gap */
function partOf(entry: Entry): Value {
  const chunk = readChunk(entry);
  if (chunk !== undefined && "part" in chunk) return chunk.part;
  throw new SessionError("store_invalid", { problem: "entry_invalid", log: "chunks", seq: entry.seq });
}
