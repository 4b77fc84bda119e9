/** Reads a turn that a dead lease holder left open, and the turns that it replaced. */
import { headOf } from "../../domain/record/change.ts";
import type { Entry, SessionKey } from "../../domain/record/entry.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { readableChunks, type Chunk } from "../../domain/turns/chunk.ts";
import type { AbandonedTurn } from "../../domain/turns/leases.ts";
import { hasReplaced, replacedLog } from "../../domain/turns/replaced-turns.ts";
import { readTurn, resumeOf } from "../../domain/turns/turn.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { eachEntry, readLog } from "../core/log-reader.ts";
import { hasMarks, stayingAfterEnd, type ReplacingEnd, type StayingMarks } from "../turn-marks/turn-changes.ts";

/**
 * The open turn and the readable chunks of its answer: a damaged chunk must not prevent the recovery.
 * @throws SessionError `store_invalid` if the turn itself cannot be read
 */
export async function readAbandonedTurn(
  core: Core,
  record: SessionRecord,
  seq: number,
): Promise<Omit<AbandonedTurn, "replaced">> {
  const { store, options } = core;
  const key = keyOf(record);
  const [entry] = await readLog(core, record, { log: "turns", from: seq, to: seq, order: "ascending", limit: 1 });
  const turn = entry === undefined ? "" : readTurn(entry);
  if (typeof turn === "string") {
    throw new SessionError("store_invalid", { ...sessionIds(record), problem: "open_turn_missing", seq });
  }
  const chunks: Chunk[] = [];
  const written = headOf(record, "chunks");
  const limit = options.limits.readMax;
  for (let from = 1; from <= written;) {
    const range = { log: "chunks", from, to: written, order: "ascending", limit } as const;
    const page = await store.read(key, range);
    chunks.push(...readableChunks(page));
    const last = page.at(-1);
    if (last === undefined) break;
    from = last.seq + 1;
  }
  const notRun = entry === undefined ? [] : (resumeOf(entry)?.notRun ?? []);
  return { turn, chunks, written, notRun };
}

/** What the end of an open turn needs of the turns that it replaced. */
export interface Replaced {
  readonly entries: readonly Entry[];
  /** The marks and ratings that stay; undefined where the turn replaced none, and all stay. */
  readonly marks: StayingMarks | undefined;
}

/** The turns that the open turn replaced, as far as its end needs them. */
export async function readReplaced(
  core: Core,
  record: SessionRecord,
  end: Pick<ReplacingEnd, "open" | "isWordless">,
): Promise<Replaced> {
  if (!hasReplaced(record)) return { entries: [], marks: undefined };
  const entries = end.isWordless || hasMarks(record) ? await readReplacedTurns(core, record) : [];
  return { entries, marks: await stayingAfterEnd(core, record, { ...end, replaced: entries }) };
}

/** A lost entry must not prevent the end of the open turn: the others are returned. */
async function readReplacedTurns(core: Core, record: SessionRecord): Promise<readonly Entry[]> {
  try {
    return await Array.fromAsync(eachEntry(core, record, replacedLog));
  } catch (error) {
    if (!hasCode(error, "store_invalid")) throw error;
  }
  const entries: Entry[] = [];
  for (let seq = 1; seq <= headOf(record, replacedLog); seq++) {
    const range = { log: replacedLog, from: seq, to: seq, order: "ascending", limit: 1 } as const;
    entries.push(...(await core.store.read(keyOf(record), range)));
  }
  return entries;
}

function keyOf({ tenant, id }: SessionRecord): SessionKey {
  return { tenant, id };
}
