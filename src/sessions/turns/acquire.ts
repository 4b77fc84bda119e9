import { requestCancel } from "../../domain/turns/leases.ts";
import { sortableId } from "../../domain/values/ids.ts";
import { hasCode } from "../../errors.ts";
import type { Handle } from "../core/handle.ts";
import type { WriteOptions } from "../core/writable-session.ts";
import { traceStep } from "../tracing/operation.ts";
import type { BusyPolicy } from "../options/options.ts";

/** How to come by a session that may be in use. */
export interface Patience {
  readonly busy: BusyPolicy;
  /** How long to wait under the policies that wait, ms. */
  readonly waitMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** One try to take the session; throws `busy` where somebody else is at work or first in the queue. */
export type Attempt<T> = (ticket: string | null, options: WriteOptions) => Promise<T>;

/** A try that was refused although the session seemed free is made again after this time at the latest, ms. */
const retryMs = 150;

/**
 * Take a session under a busy policy. A waiter holds a place in the session's own durable queue, so that order holds
 * across processes, and is woken when it is the first and the session is free.
 * @throws SessionError `busy` when refused or out of patience, `queue_full`
 */
export async function acquire<T>(handle: Handle, patience: Patience, attempt: Attempt<T>): Promise<T> {
  if (patience.busy === "take-over") {
    return await attempt(null, { recovers: "any", reason: "another writer took over" });
  }
  try {
    return await attempt(null, { recovers: "dead" });
  } catch (error) {
    if (patience.busy === "reject" || !mayPass(error)) throw error;
  }
  if (patience.busy === "interrupt") {
    await handle.write(({ record }, context) => requestCancel(record, context));
  }
  return await traceStep(handle.about("wait"), () => waitInQueue(handle, patience, attempt));
}

async function waitInQueue<T>(handle: Handle, { waitMs, signal }: Patience, attempt: Attempt<T>): Promise<T> {
  const { core } = handle;
  const { clock } = core.options;
  const ticket = sortableId(core.now(), clock.random(16));
  const deadline = clock.now() + waitMs;
  const place = await core.queues.join(handle, ticket);
  try {
    for (;;) {
      await place.isFirst({ waitMs: Math.max(0, deadline - clock.now()), signal });
      core.guardOpen();
      try {
        return await attempt(ticket, { recovers: "dead" });
      } catch (error) {
        if (!mayPass(error) || clock.now() >= deadline) throw error;
      }
      await core.pause(retryMs, signal);
    }
  } finally {
    // A waiter that gives up, or found an earlier try's turn, took no lease and must not stand in the way of the others.
    await place.leave(handle.record);
  }
}

/**
 * Somebody is at work: the lease is taken, or a turn of the caller's own lease is in progress; or somebody's answer was
 * finished between our look and our write, which who waits has said is fine.
 */
function mayPass(error: unknown): boolean {
  return hasCode(error, "busy") || hasCode(error, "turn_open") || hasCode(error, "conflict");
}
