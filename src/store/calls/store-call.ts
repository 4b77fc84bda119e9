import type { Store } from "../store.ts";
import type { StoreMethod } from "./forwarding-store.ts";

/** The payload of every tracing channel. */
export interface Traced {
  /** Duration of the call, set when it ends. */
  ms?: number;
  /** Set when the call failed. */
  readonly error?: unknown;
}

/** The payload of the tracing channel `perdure:store`, which publishes each call of a store. */
export interface StoreCall extends Traced {
  /** The called store: a process may have several. */
  readonly store: Store;
  readonly operation: StoreMethod;
  /** The number of transactions of a commit. */
  readonly transactions?: number;
  /** The number of writes in a commit, where it is more than that of transactions: writes to one session that were folded. */
  readonly writes?: number;
  /** The number of transactions of a finished commit that met another version. */
  conflicts?: number;
}
