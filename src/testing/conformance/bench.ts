/** The tools of all cases of the conformance suite. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import type { Change } from "../../domain/record/change.ts";
import type { Entry, LogName, SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Outcome, Store } from "../../store/store.ts";
import type { ScriptedClock } from "../scripted-clock.ts";
import { sampleRecord } from "../samples.ts";

/** The store under test. */
export interface StoreHarness {
  /** How the titles call the store. */
  readonly name: string;
  /**
   * A handle on the store under test. Every call opens the same place, which may hold sessions already. Where
   * `capabilities.shared`, the suite holds several handles at once; it opens again after closing in any case.
   */
  readonly open: () => Promise<Store>;
  /** The clock that the store reads, where a test can set it; one case needs it. */
  readonly clock?: ScriptedClock;
  /**
   * The URL of a module whose default export is a function that opens the same place. The suite imports it in processes of its
   * own, and kills them at work. @default those cases are skipped
   */
  readonly module?: string;
  /**
   * A handle on the same place, of a machine whose clock is ahead by this time, ms; behind for a negative one.
   * @default the case of skewed clocks is skipped
   */
  readonly openAhead?: (ms: number) => Promise<Store>;
}

/** Registers one case: a title that begins with the name of an invariant, and what must hold. */
export type Check = (title: string, body: (bench: Bench, context: TestContext) => Promise<void>) => void;

/** A store, and a tenant of its own in it for each case, so that cases never meet. */
export class Bench implements AsyncDisposable {
  readonly store: Store;
  readonly tenant: string = `tenant-${randomUUID()}`;
  readonly #harness: StoreHarness;
  readonly #open: Store[];

  /** The clock of the store, where the harness can set it. */
  readonly clock: ScriptedClock | undefined;
  /** The module that opens the place in another process. */
  readonly module: string | undefined;
  /** Opens a handle with another clock; closed with the bench. */
  readonly openAhead: ((ms: number) => Promise<Store>) | undefined;

  private constructor(harness: StoreHarness, store: Store) {
    this.#harness = harness;
    this.store = store;
    this.#open = [store];
    this.clock = harness.clock;
    this.module = harness.module;
    const { openAhead } = harness;
    this.openAhead =
      openAhead &&
      (async (ms) => {
        const opened = await openAhead(ms);
        this.#open.push(opened);
        return opened;
      });
  }

  static async open(harness: StoreHarness): Promise<Bench> {
    return new Bench(harness, await harness.open());
  }

  /** Another handle on the same place; closed with the bench. */
  async openAnother(): Promise<Store> {
    const store = await this.#harness.open();
    this.#open.push(store);
    return store;
  }

  /** A record of this case's tenant. */
  record(fields: Partial<SessionRecord> & { readonly id: string }): SessionRecord {
    return sampleRecord({ tenant: this.tenant, ...fields });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#open) await store.close();
  }
}

/** Commit one transaction. */
export async function commitOne(store: Store, ...changes: readonly Change[]): Promise<Outcome> {
  const outcomes = await store.commit([changes]);
  assert.equal(outcomes.length, 1, "one outcome for one transaction");
  const [outcome] = outcomes;
  assert.ok(outcome);
  return outcome;
}

/** Commit a change that must land; the record that is then stored. */
export async function land(store: Store, change: Change): Promise<SessionRecord> {
  assert.deepEqual(await commitOne(store, change), { status: "ok" });
  assert.ok(change.record, "only a change with a record leaves one");
  return change.record;
}

/** Commit a change that must be refused as a conflict; the record it hands back. */
export async function refuse(store: Store, ...changes: readonly Change[]): Promise<SessionRecord | undefined> {
  const outcome = await commitOne(store, ...changes);
  assert.ok(outcome.status === "conflict", `a conflict, not ${outcome.status}`);
  return outcome.current;
}

/** A session as readers see it. */
export interface Seen {
  readonly record: SessionRecord;
  readonly logs: Readonly<Record<string, readonly Entry[]>>;
}

const everything = { from: 1, to: Number.MAX_SAFE_INTEGER, limit: 500 };

/** A session with these logs, of at most 500 entries each, read in both ways, which must agree. */
export async function see(store: Store, key: SessionKey, logs: readonly LogName[]): Promise<Seen | undefined> {
  const { tenant, id } = key;
  const tails = logs.map((log) => ({ log, last: everything.limit }));
  const {
    sessions: [loaded],
  } = await store.load([{ key: { tenant, id }, tails }]);
  const seen: Record<string, readonly Entry[]> = {};
  for (const [index, log] of logs.entries()) {
    const range = { log, ...everything, order: "ascending" } as const;
    const entries = plain(await store.read({ tenant, id }, range));
    assert.deepEqual(plain(loaded?.tails[index] ?? []), entries, `load and read agree on ${log}`);
    seen[log] = entries;
  }
  return loaded && { record: loaded.record, logs: seen };
}

/** The entries as plain objects: a store may hand out rows of its driver. */
export function plain(entries: readonly Entry[]): Entry[] {
  return entries.map((entry) => ({ ...entry }));
}

export function keyOf({ tenant, id }: SessionRecord): SessionKey {
  return { tenant, id };
}
