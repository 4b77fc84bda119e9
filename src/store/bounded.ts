import { keyText } from "../domain/entry.ts";
import { SessionError } from "../errors.ts";
import type { Store } from "./store.ts";

/** What a session costs beside its entries, near enough. */
const recordBytes = 1000;

/**
 * A store that takes so many bytes of entries and refuses more with `outbox_full`. What stood in it when it was opened is
 * not counted, save as it is written over.
 */
export function boundedStore(store: Store, bytesMax: number): Store {
  const held = new Map<string, number>();
  let total = 0;
  return {
    ...delegating(store),
    async commit(batch) {
      const changes = batch.flat();
      const sizes = changes.map(({ record, splices }) =>
        record === null
          ? 0
          : recordBytes + splices.flatMap(({ entries }) => entries).reduce((sum, { data }) => sum + 2 * data.length, 0),
      );
      const wanted = sizes.reduce((sum, size) => sum + size, 0);
      const adds = changes.some(({ splices }) =>
        splices.some(({ log, entries }) => log === "turns" && entries.length > 0),
      );
      if (adds && total + wanted > bytesMax) throw new SessionError("outbox_full", { bytes: total + wanted, bytesMax });
      const outcomes = await store.commit(batch);
      const landed = batch.flatMap((transaction, index) => transaction.map(() => outcomes[index]?.status === "ok"));
      changes.forEach(({ key, record }, index) => {
        if (landed[index] !== true) return;
        const text = keyText(key);
        const before = held.get(text) ?? 0;
        const now = record === null ? 0 : before + (sizes[index] ?? 0);
        total += now - before;
        if (record === null) held.delete(text);
        else held.set(text, now);
      });
      return outcomes;
    },
  };
}

function delegating(store: Store): Store {
  return {
    capabilities: store.capabilities,
    commit: (batch) => store.commit(batch),
    load: (requests) => store.load(requests),
    read: (key, range) => store.read(key, range),
    find: (query) => store.find(query),
    count: (query) => store.count(query),
    tally: (query) => store.tally(query),
    inspect: (options) => store.inspect(options),
    events: (scan) => store.events(scan),
    forgetEvents: (past) => store.forgetEvents(past),
    heartbeat: (instance, options) => store.heartbeat(instance, options),
    instances: (ids) => store.instances(ids),
    watch: (key, wake) => store.watch(key, wake),
    scrub: () => store.scrub(),
    close: () => store.close(),
  };
}
