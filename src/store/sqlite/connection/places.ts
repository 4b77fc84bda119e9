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
type KnownPlace = Place & Pick<SessionRecord, "heads">;

/** Places in one of the two maps. */
const placesMax = 4096;

/**
 * The places of the sessions that a connection wrote last. They may be outdated: an update that uses one compares the version and
 * the commit id, which no other record has. The places that were written least recently go, half of them at a time.
 */
export class Places {
  #newer = new Map<string, Writable<KnownPlace>>();
  #older = new Map<string, Writable<KnownPlace>>();

  get(key: SessionKey): KnownPlace | undefined {
    const text = keyText(key);
    const place = this.#newer.get(text);
    if (place !== undefined) return place;
    const older = this.#older.get(text);
    if (older !== undefined) this.#add(text, older);
    return older;
  }

  set(key: SessionKey, row: RecordRow, heads: SessionRecord["heads"], no: number): void {
    this.#add(keyText(key), { no, heads, ...placeFields(row) });
  }

  /** The row of a place that {@link get} gave was written. Places live long, and a new one would be one more object to collect. */
  wrote(place: Writable<KnownPlace>, row: RecordRow, heads: SessionRecord["heads"]): void {
    place.heads = heads;
    place.version = row.version;
    place.commitId = row.commitId;
    place.state = row.state;
    place.user = row.user;
    place.activeMinute = row.activeMinute;
    place.stateSince = row.stateSince;
    place.sweepAt = row.sweepAt;
    place.createdAt = row.createdAt;
    place.agent = row.agent;
    place.labels = row.labels;
  }

  #add(text: string, place: KnownPlace): void {
    if (this.#newer.size >= placesMax) {
      this.#older = this.#newer;
      this.#newer = new Map();
    }
    this.#newer.set(text, place);
  }
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

function placeFields(row: RecordRow): Omit<Place, "no"> {
  const { version, commitId, state, user, activeMinute, stateSince, sweepAt, createdAt, agent, labels } = row;
  return { version, commitId, state, user, activeMinute, stateSince, sweepAt, createdAt, agent, labels };
}
