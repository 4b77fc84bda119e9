import { keyText, type SessionKey } from "../../../domain/record/entry.ts";
import type { SessionRecord } from "../../../domain/record/record.ts";
import type { RecordRow } from "../../row.ts";

/** The number of a session, the identity of its record, and its indexed columns. */
export interface Place extends Pick<
  RecordRow,
  | "version"
  | "commitId"
  | "state"
  | "user"
  | "activeMinute"
  | "stateSince"
  | "sweepAt"
  | "createdAt"
  | "agent"
  | "labels"
> {
  readonly no: number;
}

/** A place, and the last seq of each log of the session. */
interface KnownPlace extends Place, Pick<SessionRecord, "heads"> {}

/** Places in one of the two maps. */
const placesMax = 4096;

/**
 * The places of the sessions that a connection wrote last. They may be outdated: an update that uses one compares the version and
 * the commit id, which no other record has. The places that were written least recently go, half of them at a time.
 */
export class Places {
  #newer = new Map<string, KnownPlace>();
  #older = new Map<string, KnownPlace>();

  get(key: SessionKey): KnownPlace | undefined {
    const text = keyText(key);
    return this.#newer.get(text) ?? this.#older.get(text);
  }

  set(key: SessionKey, { row, heads, no }: { row: RecordRow; no: number } & Pick<SessionRecord, "heads">): void {
    if (this.#newer.size >= placesMax) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    const { version, commitId, state, user, activeMinute, stateSince, sweepAt, createdAt, agent, labels } = row;
    this.#newer.set(keyText(key), {
      no,
      version,
      commitId,
      state,
      user,
      activeMinute,
      stateSince,
      sweepAt,
      createdAt,
      agent,
      labels,
      heads,
    });
  }
}
