import { channel } from "node:diagnostics_channel";
import type { Clock } from "../../clock.ts";
import { isDocumentChange, type Transaction } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { hasCode } from "../../errors.ts";
import type { Outcome, Store } from "../store.ts";
import { callStore, storeBefore } from "./forwarding-store.ts";

/** Whether the store takes writes. */
export interface WritesState {
  /** When the store refused the first write, by the clock of this machine; null while it takes writes. */
  readonly since: Date | null;
  /** The code of the last refusal. */
  readonly code: "store_full" | "store_read_only" | null;
}

/**
 * Published on the channel `perdure:store-state`. `away`: a call did not reach the store and failed; `back`: a call reached
 * it again. `retrying`: PostgreSQL is absent and statements are retried, no call has failed yet; `answering`: it answers
 * again. `unwritable`: the store refused a write; `writable`: it took one again.
 */
export interface StoreNews {
  readonly state: "away" | "back" | "retrying" | "answering" | "unwritable" | "writable";
  /** The error, of a store that is away, absent or refuses writes. */
  readonly reason?: string;
  /** How long it was away or absent, or refused writes, ms. */
  readonly ms?: number;
}

const news = channel("perdure:store-state");

export function publishStoreNews(state: StoreNews): void {
  news.publish(state);
}

/**
 * Notices that a store can be read and refuses writes: its disk is full, or it is read-only. States: *writable*;
 * *unwritable*, from a refused write until a write succeeds. `refused` is called for each refused write, so that a caller
 * keeps trying.
 */
export class WriteWatch {
  /** The store behind the watch. */
  readonly store: Store;
  readonly #clock: Clock;
  readonly #refused: () => void;
  #state: WritesState = { since: null, code: null };
  /** Keys of changes whose refusal does not count. */
  readonly #ignored = new WeakSet<SessionKey>();

  constructor(store: Store, { clock, refused }: { readonly clock: Clock; readonly refused: () => void }) {
    this.#clock = clock;
    this.#refused = refused;
    this.store = storeBefore(store, (method, args) =>
      method === "commit" || method === "heartbeat"
        ? this.#watched(callStore(store, method, args), () => method === "commit" && this.#areIgnored(args))
        : callStore(store, method, args),
    );
  }

  get state(): WritesState {
    return this.#state;
  }

  /** A commit of nothing but changes with this key may be refused without a change of the state. */
  ignoreRefusal(key: SessionKey): void {
    this.#ignored.add(key);
  }

  #areIgnored([batch]: readonly unknown[]): boolean {
    return (batch as readonly Transaction[])
      .flat()
      .every((change) => !isDocumentChange(change) && this.#ignored.has(change.key));
  }

  /** The caller gets the same promise. The watch comes first, so the caller meets its new state. */
  #watched<Result>(call: Promise<Result>, isIgnored: () => boolean): Promise<Result> {
    void call.then(this.#answered, (error: unknown) => {
      const isRefused = hasCode(error, "store_full") || hasCode(error, "store_read_only");
      if (isRefused && !isIgnored()) this.#refuse(error);
    });
    return call;
  }

  readonly #answered = (result: unknown): void => {
    if (this.#state.since === null) return;
    // A heartbeat returns nothing.
    if (!Array.isArray(result) || hasWritten(result as readonly Outcome[])) this.#took();
  };

  #took(): void {
    const { since } = this.#state;
    if (since === null) return;
    this.#state = { since: null, code: null };
    publishStoreNews({ state: "writable", ms: this.#clock.now() - since.getTime() });
  }

  #refuse({ code, message }: { readonly code: "store_full" | "store_read_only"; readonly message: string }): void {
    const { since } = this.#state;
    this.#state = { since: since ?? new Date(this.#clock.now()), code };
    if (since === null) publishStoreNews({ state: "unwritable", reason: message });
    this.#refused();
  }
}

/** A commit whose changes all met another version has written nothing. */
function hasWritten(outcomes: readonly Outcome[]): boolean {
  return outcomes.some(({ status }) => status === "ok");
}
