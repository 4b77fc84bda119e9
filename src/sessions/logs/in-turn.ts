/**
 * Lets the writes of this process to one session run one after the other, each with the record that the one before left. At once,
 * all but one would meet another record; and the writer that has just committed knows the newest record, so it would win again.
 */
import { keyText } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";

/** The writes of one session. */
interface WriteQueue {
  /** The end of the last one. */
  last: Promise<unknown>;
  /** The newest record that they know. */
  record: SessionRecord | undefined;
  /** Those that wait or run. */
  count: number;
}

const queuesOf = new WeakMap<Core, Map<string, WriteQueue>>();

/** Do `work` when the earlier writes of this process to the session have ended. */
export async function inTurn<T>(handle: Handle, work: () => Promise<T>): Promise<T> {
  const ofCore = queuesOf.get(handle.core) ?? new Map<string, WriteQueue>();
  queuesOf.set(handle.core, ofCore);
  const text = keyText(handle.key);
  const queue = ofCore.get(text) ?? { last: Promise.resolve(), record: undefined, count: 0 };
  ofCore.set(text, queue);
  queue.count++;
  const done = queue.last.then(async () => {
    if (queue.record !== undefined) handle.learn(queue.record);
    try {
      return await work();
    } finally {
      queue.record = handle.record;
    }
  });
  // The next one runs after an error as well.
  queue.last = done.catch(() => undefined);
  try {
    return await done;
  } finally {
    if (--queue.count === 0) ofCore.delete(text);
  }
}
