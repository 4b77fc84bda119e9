import { joinQueue, leaveQueue, requestCancel } from "../domain/leases.ts";
import { sortableId } from "../domain/ids.ts";
import { hasCode } from "../errors.ts";
import type { Handle, WriteOptions } from "./handle.ts";
import { part } from "./operation.ts";
import type { BusyPolicy } from "./options.ts";

/** How to come by a session that may be in use. */
export interface Patience {
  readonly busy: BusyPolicy;
  /** How long to wait under the policies that wait, ms. */
  readonly waitMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** One try to take the session; throws `busy` where somebody else is at work or first in the queue. */
export type Attempt<T> = (ticket: string | null, options: WriteOptions) => Promise<T>;

/** A place in the queue is kept this long without a sign of life from who waits in it. */
const placeMs = 5000;
const pollMs = 150;

/**
 * Take a session under a busy policy. Who waits holds a place in the session's own durable queue, so that order holds
 * across processes; a place that nobody prolongs falls away.
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
  return await part(handle.about("wait"), () => waitInQueue(handle, patience, attempt));
}

async function waitInQueue<T>(handle: Handle, { waitMs, signal }: Patience, attempt: Attempt<T>): Promise<T> {
  const { core } = handle;
  const { clock } = core.options;
  const ticket = sortableId(core.now(), clock.random(16));
  const deadline = clock.now() + waitMs;
  let placeUntil = 0;
  try {
    for (;;) {
      core.guardOpen();
      if (placeUntil - core.now() < placeMs / 2) {
        placeUntil = core.now() + placeMs;
        const waiter = { ticket, instance: core.instance.id, until: placeUntil };
        await handle.write(({ record }, context) => joinQueue(record, waiter, context));
      }
      try {
        const taken = await attempt(ticket, { recovers: "dead" });
        // Who found an earlier try's turn took no lease, and must not stand in the way of those behind.
        await leave(handle, ticket);
        return taken;
      } catch (error) {
        if (!mayPass(error) || clock.now() >= deadline) throw error;
      }
      await core.pause(pollMs, signal);
    }
  } catch (error) {
    await leave(handle, ticket);
    throw error;
  }
}

async function leave(handle: Handle, ticket: string): Promise<void> {
  try {
    await handle.write(({ record }) => leaveQueue(record, ticket));
  } catch {
    // The place falls away by itself after `placeMs`; what the wait came to matters more.
  }
}

/**
 * Somebody is at work: the lease is taken, or a turn of the caller's own lease is in progress; or somebody's answer was
 * finished between our look and our write, which who waits has said is fine.
 */
function mayPass(error: unknown): boolean {
  return hasCode(error, "busy") || hasCode(error, "turn_open") || hasCode(error, "conflict");
}
