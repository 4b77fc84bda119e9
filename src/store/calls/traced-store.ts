import { tracingChannel, type TracingChannel } from "node:diagnostics_channel";
import { isDocumentChange, type Transaction } from "../../domain/record/change.ts";
import type { Outcome, Store } from "../store.ts";
import { callStore, storeBefore } from "./forwarding-store.ts";
import type { StoreCall } from "./store-call.ts";
import { traced } from "./traced.ts";

/** The tracing channel of the calls of stores. */
export const storeCalls: TracingChannel<unknown, StoreCall> = tracingChannel("perdure:store");

/** A store in front of `store` that publishes each call on the tracing channel. */
export function observed(store: Store): Store {
  const before = storeBefore(store, (method, args) =>
    traced(storeCalls, { store, operation: method }, () => callStore(store, method, args)),
  );
  return Object.assign(before, { commit: (batch: readonly Transaction[]) => observedCommit(store, batch) });
}

/** The number of writes in the first change of a transaction; a folded one has no other. */
function writesOf(change: Transaction[number] | undefined): number {
  return change === undefined || isDocumentChange(change) ? 1 : (change.writes ?? 1);
}

function observedCommit(store: Store, batch: readonly Transaction[]): Promise<readonly Outcome[]> {
  if (!storeCalls.hasSubscribers) return store.commit(batch);
  const writes = batch.reduce((sum, [change]) => sum + writesOf(change), 0);
  const call: StoreCall = {
    store,
    operation: "commit",
    transactions: batch.length,
    ...(writes > batch.length ? { writes } : {}),
  };
  return traced(storeCalls, call, async () => {
    const outcomes = await store.commit(batch);
    call.conflicts = outcomes.filter(({ status }) => status === "conflict").length;
    return outcomes;
  });
}
