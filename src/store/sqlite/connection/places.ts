import type { SessionKey } from "../../../domain/record/entry.ts";
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
export type KnownPlace = Place & Pick<SessionRecord, "heads">;

/** Places in one of the two maps. */
const placesMax = 4096;

/** Places by tenant and id. The key as one text would be a new text at each append, which is hashed and compared. */
type PlacesByKey = Map<string, Map<string, Writable<KnownPlace>>>;

/**
 * The places of the sessions that a connection wrote last. They may be outdated: an update that uses one compares the version and
 * the commit id, which no other record has. The places that were written least recently go, half of them at a time.
 */
export class Places {
  #newer: PlacesByKey = new Map();
  #older: PlacesByKey = new Map();
  /** The number of places in the newer map. */
  #count = 0;

  get(key: SessionKey): KnownPlace | undefined {
    const place = this.#newer.get(key.tenant)?.get(key.id);
    if (place !== undefined) return place;
    const older = this.#older.get(key.tenant)?.get(key.id);
    if (older !== undefined) this.#add(key, older);
    return older;
  }

  set(key: SessionKey, row: RecordRow, heads: SessionRecord["heads"], no: number): void {
    this.#add(key, { no, heads, ...placeFields(row) });
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

  #add({ tenant, id }: SessionKey, place: KnownPlace): void {
    if (this.#count >= placesMax) {
      this.#older = this.#newer;
      this.#newer = new Map();
      this.#count = 0;
    }
    let ofTenant = this.#newer.get(tenant);
    if (ofTenant === undefined) this.#newer.set(tenant, (ofTenant = new Map()));
    if (!ofTenant.has(id)) this.#count++;
    ofTenant.set(id, place);
  }
}

type Writable<T> = { -readonly [Name in keyof T]: T[Name] };

function placeFields(row: RecordRow): Omit<Place, "no"> {
  const { version, commitId, state, user, activeMinute, stateSince, sweepAt, createdAt, agent, labels } = row;
  return { version, commitId, state, user, activeMinute, stateSince, sweepAt, createdAt, agent, labels };
}
