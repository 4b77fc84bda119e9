/** Reads the marks of turns and the ratings, and the turns that they name. */
import { headOf } from "../../domain/record/change.ts";
import { feedbackLog, memoryLog } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { readRating, type StoredRating } from "../../domain/memory/feedback.ts";
import { turnIdentity } from "../../domain/memory/turn-identity.ts";
import { memoryOf, noMemory, type MarkedTurn, type TurnMemory } from "../../domain/memory/turn-memory.ts";
import { readTurn, type Turn } from "../../domain/turns/turn.ts";
import type { Core } from "../core/core.ts";
import { eachEntry, readLog } from "../core/log-reader.ts";

/** Turns of one record by their numbers: those that were read already, and others as they are needed. */
export class KnownTurns {
  readonly #core: Core;
  readonly #record: SessionRecord;
  readonly #turns = new Map<number, Turn | undefined>();

  constructor(core: Core, record: SessionRecord, turns: Iterable<Turn> = []) {
    this.#core = core;
    this.#record = record;
    for (const turn of turns) this.#turns.set(turn.seq, turn);
  }

  /** The turn; undefined where there is none, or it cannot be read. */
  async at(seq: number): Promise<Turn | undefined> {
    if (!this.#turns.has(seq) && seq <= headOf(this.#record, "turns")) {
      const range = { log: "turns", from: seq, to: seq, order: "ascending", limit: 1 } as const;
      const [entry] = await readLog(this.#core, this.#record, range);
      const turn = entry && readTurn(entry);
      this.#turns.set(seq, typeof turn === "string" ? undefined : turn);
    }
    return this.#turns.get(seq);
  }

  /** The turns of these marks, without those of other branches and those that were deleted. */
  async marked(marks: readonly MarkedTurn[]): Promise<readonly Turn[]> {
    const turns = await Promise.all(
      marks.map(async ([seq, identity]) => {
        const turn = await this.at(seq);
        return turn !== undefined && turnIdentity(turn) === identity ? [turn] : [];
      }),
    );
    return turns.flat();
  }
}

/** The marked turns of all branches. */
export async function readTurnMemory(core: Core, record: SessionRecord): Promise<TurnMemory> {
  if (headOf(record, memoryLog) === 0) return noMemory;
  const [entry] = await readLog(core, record, { log: memoryLog, from: 1, to: 1, order: "ascending", limit: 1 });
  return memoryOf(entry);
}

/** The ratings of the turns of all branches. */
export async function storedRatings(core: Core, record: SessionRecord): Promise<readonly StoredRating[]> {
  const ratings: StoredRating[] = [];
  for await (const entry of eachEntry(core, record, feedbackLog)) {
    const rating = readRating(entry);
    if (rating !== undefined) ratings.push(rating);
  }
  return ratings;
}
