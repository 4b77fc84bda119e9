/** A store in front of another one that keeps entries in another form than its callers give and get. */
import { hasTurns } from "../../domain/branches/segments.ts";
import { isDocumentChange, type Change, type Transaction } from "../../domain/record/change.ts";
import { isNamedLog, type Entry, type LogName, type SessionKey, type Splice } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { defined } from "../../domain/values/defined.ts";
import { entryBytes, withinBytes } from "../within-bytes.ts";
import type { Loaded, LoadRequest, LogRange, Look, Outcome, Store } from "../store.ts";
import { storeBefore } from "./forwarding-store.ts";

/** The form in which entries are stored. A text that is stored and then given is the same text. */
export interface StoredForm {
  /** True where the stored form of a text may be another one. It is asked for every entry. */
  readonly concerns: (data: string) => boolean;
  /** The stored form of a text of this session, which is about to be written. */
  readonly stored: (session: SessionRecord, data: string) => Promise<string>;
  /** True where a stored text may have been given in another form. It is asked for every entry. */
  readonly isStored: (data: string) => boolean;
  /** The text as it was given; the record is undefined where the session was removed meanwhile. */
  readonly given: (session: SessionRecord | undefined, data: string) => Promise<string>;
}

const served = new WeakSet<Store>();

/** Note that another process or thread answers the calls of this store by its own one, and stores its entries. */
export function markServed(store: Store): Store {
  served.add(store);
  return store;
}

export function isServed(store: Store): boolean {
  return served.has(store);
}

/** The store, whose callers know nothing of the stored form. The bounds of its reads are those of the given form. */
export function withStoredForm(store: Store, form: StoredForm): Store {
  const forms = new Forms(store, form);
  return Object.assign(storeBefore(store), {
    commit: (batch: readonly Transaction[]) => forms.commit(batch),
    load: (requests: readonly LoadRequest[]) => forms.load(requests),
    read: (key: SessionKey, range: LogRange) => forms.read(key, range),
  });
}

/** True for a log with what callers wrote. */
export function isWritten(log: LogName): boolean {
  return hasTurns(log) || log === "replaced" || isNamedLog(log);
}

class Forms {
  readonly #store: Store;
  readonly #form: StoredForm;

  constructor(store: Store, form: StoredForm) {
    this.#store = store;
    this.#form = form;
  }

  commit(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    // Most batches are passed on as they are.
    let concerns = false;
    let claims = false;
    for (const transaction of batch)
      for (const change of transaction) {
        concerns ||= this.#concerns(change);
        claims ||= !isDocumentChange(change) && change.claims.length > 0;
      }
    const committed = concerns ? this.#commitStored(batch) : this.#store.commit(batch);
    if (!claims) return committed;
    return committed.then((outcomes) => (outcomes.some(isDuplicate) ? this.#givenOutcomes(batch, outcomes) : outcomes));
  }

  #concerns(change: Transaction[number]): boolean {
    if (isDocumentChange(change) || change.record === null) return false;
    return this.#anyConcerns(change.splices) || (change.rows !== undefined && this.#anyConcerns(change.rows));
  }

  #anyConcerns(splices: readonly Splice[]): boolean {
    for (const { log, entries } of splices)
      if (isWritten(log)) for (const { data } of entries) if (this.#form.concerns(data)) return true;
    return false;
  }

  async #commitStored(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    const stored: Transaction[] = [];
    for (const transaction of batch) {
      const changes: Transaction[number][] = [];
      for (const change of transaction)
        changes.push(this.#concerns(change) ? await this.#storedChange(change as Change) : change);
      stored.push(changes);
    }
    return await this.#store.commit(stored);
  }

  async #storedChange(change: Change): Promise<Change> {
    const { record, splices, rows } = change;
    if (record === null) return change;
    const storedOf = (given: readonly Splice[]): Promise<Splice[]> =>
      Promise.all(given.map((splice) => this.#storedSplice(record, splice)));
    return { ...change, splices: await storedOf(splices), ...defined({ rows: rows && (await storedOf(rows)) }) };
  }

  async #storedSplice(record: SessionRecord, splice: Splice): Promise<Splice> {
    if (!isWritten(splice.log)) return splice;
    const entries: Entry[] = [];
    for (const entry of splice.entries) {
      const { data } = entry;
      entries.push(this.#form.concerns(data) ? { ...entry, data: await this.#form.stored(record, data) } : entry);
    }
    return { ...splice, entries };
  }

  async #givenOutcomes(batch: readonly Transaction[], outcomes: readonly Outcome[]): Promise<readonly Outcome[]> {
    const given: Outcome[] = [];
    for (const [index, outcome] of outcomes.entries()) {
      const key = isDuplicate(outcome) && ownerOf(batch[index] ?? [], outcome.entry);
      if (!isDuplicate(outcome) || !key || !this.#form.isStored(outcome.entry.data)) given.push(outcome);
      else given.push({ ...outcome, entry: (await this.#givenOf(key, [outcome.entry]))[0] ?? outcome.entry });
    }
    return given;
  }

  load(requests: readonly LoadRequest[]): Promise<Look> {
    const look = this.#store.load(requests);
    if (requests.every(({ tails }) => tails.length === 0)) return look;
    return look.then((found) => {
      const isStored = (loaded: Loaded | undefined): boolean =>
        loaded?.tails.some((tail) => this.#anyStored(tail)) === true;
      return found.sessions.some(isStored) ? this.#givenLook(requests, found) : found;
    });
  }

  async #givenLook(requests: readonly LoadRequest[], { now, sessions }: Look): Promise<Look> {
    const given = sessions.map(async (loaded, at): Promise<Loaded | undefined> => {
      if (loaded === undefined) return undefined;
      const tails: (readonly Entry[])[] = [];
      for (const [index, tail] of loaded.tails.entries()) {
        const { log = "", bytesMax } = requests[at]?.tails[index] ?? {};
        const entries = isWritten(log)
          ? await this.#givenEntries(loaded.record, tail.toReversed(), bytesMax)
          : tail.toReversed();
        tails.push(entries.toReversed());
      }
      return { ...loaded, tails };
    });
    return { now, sessions: await Promise.all(given) };
  }

  read(key: SessionKey, range: LogRange): Promise<readonly Entry[]> {
    const read = this.#store.read(key, range);
    if (!isWritten(range.log)) return read;
    return read.then((entries) =>
      this.#anyStored(entries)
        ? this.#givenOf(key, entries, "bytesMax" in range ? range.bytesMax : undefined)
        : entries,
    );
  }

  #anyStored(entries: readonly Entry[]): boolean {
    for (const { data } of entries) if (this.#form.isStored(data)) return true;
    return false;
  }

  async #givenOf(key: SessionKey, entries: readonly Entry[], bytesMax?: number): Promise<readonly Entry[]> {
    const { sessions } = await this.#store.load([{ key, tails: [] }]);
    return await this.#givenEntries(sessions[0]?.record, entries, bytesMax);
  }

  /** The first of the entries, as they were given, within a bound of bytes. */
  async #givenEntries(
    record: SessionRecord | undefined,
    entries: readonly Entry[],
    bytesMax: number | undefined,
  ): Promise<readonly Entry[]> {
    const given: Entry[] = [];
    let bytes = 0;
    for (const entry of entries) {
      const { data } = entry;
      given.push(this.#form.isStored(data) ? { ...entry, data: await this.#form.given(record, data) } : entry);
      bytes += bytesMax === undefined ? 0 : entryBytes(given.at(-1) ?? entry);
      if (bytesMax !== undefined && bytes > bytesMax) break;
    }
    return withinBytes(given, entryBytes, bytesMax);
  }
}

function isDuplicate(outcome: Outcome): outcome is Extract<Outcome, { status: "duplicate" }> {
  return outcome.status === "duplicate";
}

/** The session of a transaction that claims the key of an entry. */
function ownerOf(transaction: Transaction, { key }: Entry): SessionKey | undefined {
  for (const change of transaction)
    if (!isDocumentChange(change) && change.claims.some((claim) => claim.key === key)) return change.key;
  return undefined;
}
