import assert from "node:assert/strict";
import { hasCode, type NewsItem, type Sessions } from "../../src/index.ts";
import { streamScope } from "../../src/domain/values/internal-scope.ts";
import { coreOf } from "../../src/sessions/sessions.ts";

/** The versions of a tenant's sessions, streams and documents, by their names. */
export type Versions = ReadonlyMap<string, number>;

/** Keeps the last position of all that the news of a tenant tell, through breaks at random, in a map that must equal the store. */
export class NewsFollower {
  readonly #sessions: () => Sessions;
  readonly #chance: () => number;
  readonly #known = new Map<string, number>();
  #cursor: string | undefined;
  resets = 0;
  breaks = 0;

  /** `sessions`: those to read from after a break. */
  constructor(sessions: () => Sessions, chance: () => number) {
    this.#sessions = sessions;
    this.#chance = chance;
  }

  /** Follow the news until they tell of this session; the versions that are known then. */
  async until(session: string): Promise<Versions> {
    while (!this.#known.has(`session ${session}`)) {
      this.breaks++;
      try {
        await this.#readSome(session);
      } catch (error) {
        if (!hasCode(error, "store_unavailable")) throw error;
      }
    }
    return this.#known;
  }

  async #readSome(session: string): Promise<void> {
    const after = this.#cursor === undefined ? {} : { after: this.#cursor };
    let rounds = Math.floor(this.#chance() * 5);
    for await (const { cursor, items } of this.#sessions().news(after)) {
      for (const item of items) await this.#take(item);
      this.#cursor = cursor;
      if (rounds-- === 0 || this.#known.has(`session ${session}`)) return;
    }
  }

  async #take(item: NewsItem): Promise<void> {
    if ("reset" in item) {
      this.resets++;
      this.#known.clear();
      for (const [name, version] of await versionsIn(this.#sessions())) this.#known.set(name, version);
      return;
    }
    const position = "document" in item ? item.document : item;
    const name =
      "document" in item
        ? `document ${item.document.scope}/${item.document.key}`
        : "stream" in item
          ? `stream ${item.stream}`
          : `session ${item.session}`;
    if ("version" in position) this.#known.set(name, position.version);
    else this.#known.delete(name);
  }
}

/** What the store has. */
export async function versionsIn(sessions: Sessions): Promise<Versions> {
  const versions = new Map<string, number>();
  for await (const { id, version } of sessions.each()) versions.set(`session ${id}`, version);
  for await (const { key, version } of sessions.documents("state").each())
    versions.set(`document state/${key}`, version);
  const { store } = coreOf(sessions);
  const tenant = streamScope(sessions.tenant);
  const { records, next } = await store.find({ order: "key", tenant, limit: 100, now: 0 });
  assert.equal(next, undefined);
  for (const { id, version } of records) versions.set(`stream ${id}`, version);
  return versions;
}

/** The versions in one order, to be compared. */
export function sorted(versions: Versions): readonly (readonly [string, number])[] {
  return [...versions].toSorted(([a], [b]) => (a < b ? -1 : 1));
}
