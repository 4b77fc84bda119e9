/** A breakage of a store, and parts of which breakages are made. */
import { storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { isDocumentChange, sessionChanges, type Change } from "../../../src/domain/record/change.ts";
import type { Entry, SessionKey } from "../../../src/domain/record/entry.ts";
import type { SessionRecord } from "../../../src/domain/record/record.ts";
import type { Look, Outcome, Store } from "../../../src/store/store.ts";
import type { StoreStats, StoreStatsQuery } from "../../../src/store/stats.ts";

/** What a broken store does otherwise than the one it stands before. */
export type Breakage = (store: Store) => Partial<Store>;

/** A breakage: its title, the beginning of the title of a case that must notice it, and how it is done. */
export type NamedBreakage = readonly [what: string, noticedBy: string, Breakage];

/** The store with some of its methods in place of its own. */
export function broken(store: Store, breakage: Breakage): Store {
  return { ...storeBefore(store), ...breakage(store) };
}

export function mapStats(work: (stats: Store["stats"], query: StoreStatsQuery) => Promise<StoreStats>): Breakage {
  return (store) => ({ stats: (query) => work((one) => store.stats(one), query) });
}

export function mapChanges(map: (change: Change) => Change): Breakage {
  return (store) => ({
    commit: (batch) =>
      store.commit(
        batch.map((transaction) => transaction.map((change) => (isDocumentChange(change) ? change : map(change)))),
      ),
  });
}

export function mapOutcomes(map: (outcome: Outcome) => Outcome): Breakage {
  return (store) => ({ commit: async (batch) => (await store.commit(batch)).map(map) });
}

export function mapRecords(map: (record: SessionRecord) => SessionRecord): Breakage {
  return mapChanges((change) => ({ ...change, record: change.record && map(change.record) }));
}

export function mapData(map: (text: string) => string): Breakage {
  return mapChanges((change) => ({
    ...change,
    splices: change.splices.map((splice) => ({
      ...splice,
      entries: splice.entries.map((entry) => ({ ...entry, data: map(entry.data) })),
    })),
  }));
}

export function mapTails(map: (entries: readonly Entry[]) => readonly Entry[]): Breakage {
  return mapSessions((sessions) => sessions.map((loaded) => loaded && { ...loaded, tails: loaded.tails.map(map) }));
}

export function mapSessions(map: (sessions: Look["sessions"]) => Look["sessions"]): Breakage {
  return (store) => ({
    load: async (requests) => {
      const { now, sessions } = await store.load(requests);
      return { now, sessions: map(sessions) };
    },
  });
}

/** Sessions live under other keys than they say; only commits and loads are looked at. */
export function mapSessionKeys(map: (key: SessionKey) => SessionKey): Breakage {
  return (store) => ({
    commit: (batch) =>
      store.commit(
        batch.map((transaction) => sessionChanges(transaction).map((change) => ({ ...change, key: map(change.key) }))),
      ),
    load: (requests) => store.load(requests.map((request) => ({ ...request, key: map(request.key) }))),
    read: (key, range) => store.read(map(key), range),
  });
}

export function mapKeys(map: (text: string) => string): Breakage {
  return mapSessionKeys(({ tenant, id }) => ({ tenant, id: map(id) }));
}

export function mapTenants(map: (text: string) => string): Breakage {
  return mapSessionKeys(({ tenant, id }) => ({ tenant: map(tenant), id }));
}
