import { changeOf, headOf, splice } from "../../domain/record/change.ts";
import { decode, encode } from "../../domain/values/codec.ts";
import { keyText } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { ErrorCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "../core/handle.ts";

/** What of a session of the fallback the store has got. */
export interface Told {
  /** The number of the last turn that was told, or refused. */
  turns: number;
  /** Events; the first one tells of the session's creation, which the store tells itself. */
  events: number;
  /** Turns that the store refused for good, by number, and why. */
  readonly refused: { [turn: string]: ErrorCode };
}

interface Known {
  readonly bornAt: number;
  readonly told: Told;
  /** As it stands in the log; undefined where nothing does. */
  kept: string | undefined;
}

/**
 * How far each session of the fallback is told. It stands in a log of the session itself, so that a successor does not
 * tell again what has been told: where a device's way leads elsewhere by then, no key would make that once.
 */
export class ToldLog {
  readonly #fallback: Core;
  readonly #known = new Map<string, Known>();

  constructor(fallback: Core) {
    this.#fallback = fallback;
  }

  /** To be changed in place, and then kept by {@link keep}. */
  async of(record: SessionRecord): Promise<Told> {
    return (await this.#of(record)).told;
  }

  /** What is known without reading; undefined where the log must be read. */
  known(record: SessionRecord): Told | undefined {
    const known = this.#known.get(keyText(record));
    if (known?.bornAt === record.createdAt) return known.told;
    return headOf(record, "told") === 0 ? nothingTold() : undefined;
  }

  async #of(record: SessionRecord): Promise<Known> {
    const key = keyText(record);
    const known = this.#known.get(key);
    // Another process on the same file may have forgotten one that was told, and begun it anew.
    if (known?.bornAt === record.createdAt) return known;
    const range = { log: "told", from: 1, to: 1, order: "ascending", limit: 1 } as const;
    const [entry] = headOf(record, "told") === 0 ? [] : await this.#fallback.store.read(record, range);
    const read: Known = {
      bornAt: record.createdAt,
      told: entry === undefined ? nothingTold() : (decode(entry.data) as unknown as Told),
      kept: entry?.data,
    };
    // Somebody else may have read it in this moment: there is one of each.
    const meanwhile = this.#known.get(key);
    if (meanwhile?.bornAt === record.createdAt) return meanwhile;
    this.#known.set(key, read);
    return read;
  }

  /** Write down how far it is told, where that is further than it was. */
  async keep(record: SessionRecord): Promise<void> {
    const known = await this.#of(record);
    const data = encode(known.told);
    if (known.kept === data) return;
    await new Handle(this.#fallback, record).write((draft, { now }) => {
      splice(draft, "told", 1, [{ seq: 1, key: null, at: now, data }]);
      return changeOf(draft);
    });
    known.kept = data;
  }

  forget(record: SessionRecord): void {
    this.#known.delete(keyText(record));
  }
}

function nothingTold(): Told {
  return { turns: 0, events: 1, refused: {} };
}
