import { changeOf, headOf, splice } from "../../domain/record/change.ts";
import { decode, encode } from "../../domain/values/codec.ts";
import { keyText } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { ErrorCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "../handle/handle.ts";

/** How much of a session of the fallback was replayed to the store. */
export interface ReplayProgress {
  /** The number of the last turn that was replayed or refused. */
  turns: number;
  /** Events; the first one is the session's creation, for which the store appends its own. */
  events: number;
  /** The codes of turns that the store refused for good, by turn number. */
  readonly refused: { [turn: string]: ErrorCode };
}

interface Known {
  readonly bornAt: number;
  readonly progress: ReplayProgress;
  /** The entry as stored; undefined: the log is empty. */
  stored: string | undefined;
}

/**
 * How far each session of the fallback was replayed. Stored in a log of the session, so that the next process does not
 * replay a turn again: if the device leads to another session by then, the key of the turn is unknown there.
 */
export class ProgressLog {
  readonly #fallback: Core;
  readonly #known = new Map<string, Known>();

  constructor(fallback: Core) {
    this.#fallback = fallback;
  }

  /** The progress of a session, to be changed in place and then stored by {@link store}. */
  async of(record: SessionRecord): Promise<ReplayProgress> {
    return (await this.#of(record)).progress;
  }

  /** The progress without a read; undefined if the log must be read. */
  known(record: SessionRecord): ReplayProgress | undefined {
    const known = this.#known.get(keyText(record));
    if (known?.bornAt === record.createdAt) return known.progress;
    return headOf(record, "told") === 0 ? noProgress() : undefined;
  }

  async #of(record: SessionRecord): Promise<Known> {
    const key = keyText(record);
    const known = this.#known.get(key);
    // Another process on the same file may have removed the replayed session and created it again.
    if (known?.bornAt === record.createdAt) return known;
    const range = { log: "told", from: 1, to: 1, order: "ascending", limit: 1 } as const;
    const [entry] = headOf(record, "told") === 0 ? [] : await this.#fallback.store.read(record, range);
    const read: Known = {
      bornAt: record.createdAt,
      progress: entry === undefined ? noProgress() : (decode(entry.data) as unknown as ReplayProgress),
      stored: entry?.data,
    };
    // Another call may have read it meanwhile: both must share one object.
    const meanwhile = this.#known.get(key);
    if (meanwhile?.bornAt === record.createdAt) return meanwhile;
    this.#known.set(key, read);
    return read;
  }

  /** Store the progress if it changed. */
  async store(record: SessionRecord): Promise<void> {
    const known = await this.#of(record);
    const data = encode(known.progress);
    if (known.stored === data) return;
    await new Handle(this.#fallback, record).write((draft, { now }) => {
      splice(draft, "told", 1, [{ seq: 1, key: null, at: now, data }]);
      return changeOf(draft);
    });
    known.stored = data;
  }

  forget(record: SessionRecord): void {
    this.#known.delete(keyText(record));
  }
}

function noProgress(): ReplayProgress {
  return { turns: 0, events: 1, refused: {} };
}
