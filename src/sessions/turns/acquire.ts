import { sortableId } from "../../domain/values/ids.ts";
import { hasCode } from "../../errors.ts";
import { interruptions } from "../../errors/answer-problems.ts";
import type { Handle } from "../handle/handle.ts";
import type { WriteOptions } from "../core/writable-session.ts";
import { traceStep } from "../tracing/operation.ts";
import type { BusyPolicy } from "../options/options.ts";

/** How to wait for a session that may be in use. */
export interface Patience {
  readonly busy: BusyPolicy;
  /** Time limit of the policies that wait, ms. */
  readonly waitMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The idempotency key of the question: by it the question is withdrawn while it waits, and finds its own answer. */
  readonly key?: string | null;
  /** How long the lease lasts, ms; null: as long as this instance. @default null */
  readonly leaseMs?: number | null;
}

/** One try to take the session; throws `busy` if another writer has the lease or is first in the queue. */
export type Attempt<T> = (ticket: string | null, options: WriteOptions) => Promise<T>;

/** Maximum delay before another try, if one was refused although the session seemed free, ms. */
const retryMs = 150;

/**
 * Take a session under a busy policy. A waiter joins the session's durable queue, so that order holds across processes. It
 * is woken when it is first and the session is free.
 * @throws SessionError `busy` if refused or once the time limit has passed, `queue_full`
 */
export async function acquire<T>(handle: Handle, patience: Patience, attempt: Attempt<T>): Promise<T> {
  if (patience.busy === "take-over") {
    const reason = interruptions.taken_over;
    return await attempt(null, { recovers: "any", reason, interruptsWaiting: reason });
  }
  try {
    return await attempt(null, { ...optionsOf(patience), queues: patience.busy !== "reject" });
  } catch (error) {
    if (patience.busy === "reject" || !mayPass(error)) throw error;
  }
  return await traceStep(handle.about("wait"), () => waitInQueue(handle, patience, attempt));
}

/** A turn that waits to be resumed has no writer: `interrupt` seals it at once, and the other policies leave it. */
function optionsOf({ busy }: Pick<Patience, "busy">): WriteOptions {
  return busy === "interrupt" ? { recovers: "dead", interruptsWaiting: interruptions.cancelled } : { recovers: "dead" };
}

async function waitInQueue<T>(
  handle: Handle,
  { busy, waitMs, signal, key = null, leaseMs = null }: Patience,
  attempt: Attempt<T>,
): Promise<T> {
  const { core } = handle;
  const { clock } = core.options;
  const ticket = sortableId(core.now(), clock.random(16));
  const deadline = clock.now() + waitMs;
  const place = await core.queues.join(handle, { ticket, interrupts: busy === "interrupt", key, leaseMs });
  try {
    for (;;) {
      handle.learn(await place.isFirst({ waitMs: Math.max(0, deadline - clock.now()), signal }));
      core.guardOpen();
      signal?.throwIfAborted();
      try {
        return await attempt(ticket, optionsOf({ busy }));
      } catch (error) {
        if (!mayPass(error) || clock.now() >= deadline) throw error;
      }
      await core.pause(retryMs, signal);
    }
  } finally {
    // A waiter that gives up, or that found the turn of an earlier try, has no lease and must not block the queue.
    await place.leave(handle);
  }
}

/**
 * True if a later try may succeed: another writer has the lease, a turn of the caller's own lease is in progress, or
 * another answer was sealed between the load and the write. The policies that wait accept such turns.
 */
function mayPass(error: unknown): boolean {
  return hasCode(error, "busy") || hasCode(error, "turn_open") || hasCode(error, "conflict");
}
