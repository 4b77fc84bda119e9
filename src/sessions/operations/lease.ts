/** Takes, breaks and shows the lease of a session, and recovers from a dead lease holder. */
import { changeOf } from "../../domain/record/change.ts";
import { grant, isGrantedTo } from "../../domain/turns/leases.ts";
import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { interruptions } from "../../errors/answer-problems.ts";
import type { Handle } from "../handle/handle.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { parseBusyPolicy, type BusyPolicy } from "../options/options.ts";
import { acquire } from "../turns/acquire.ts";
import { SessionLease } from "../turns/session-lease.ts";

/** The holder of a session's lease. */
export interface LeaseHolder {
  readonly instance: string;
  /** The name of its machine; null if it ended, or sent no heartbeat for a day. */
  readonly host: string | null;
  readonly pid: number | null;
  /** The URL of a host of live sessions; null for other programs. */
  readonly address: string | null;
  readonly fence: number;
  readonly acquiredAt: Date;
  readonly heldMs: number;
  /** False if it is dead, so that another writer can take the lease. */
  readonly alive: boolean;
}

interface LeaseOptions {
  readonly ttl?: Duration;
  readonly wait?: Duration;
}

const leaseNames: OptionNames<LeaseOptions> = { ttl: true, wait: true };

/** @throws SessionError `busy`, `queue_full`, `duration_invalid`, `argument_invalid` */
export async function leaseOn(handle: Handle, options: LeaseOptions): Promise<SessionLease> {
  guardNames(options, "options", leaseNames);
  const { ttl, wait } = options;
  const ttlMs = ttl === undefined ? null : parseDuration(ttl, "ttl");
  const waitMs = wait === undefined ? 0 : parseDuration(wait, "wait");
  return await takeLease(handle, { ttlMs, busy: wait === undefined ? "reject" : "queue", waitMs });
}

interface ExclusiveOptions {
  readonly busy?: BusyPolicy;
  readonly wait?: Duration;
}

const exclusiveNames: OptionNames<ExclusiveOptions> = { busy: true, wait: true };

/**
 * Call `work` with another view of the session, which has the lease and has seen all turns. The owner then has seen
 * what that view has.
 * @throws SessionError `busy`, `queue_full`, and the errors of `work`
 */
export async function exclusiveOn<T>(
  owner: Handle,
  work: (handle: Handle) => Promise<T>,
  given: ExclusiveOptions,
): Promise<T> {
  guardNames(given, "options", exclusiveNames);
  const { busy, wait } = given;
  const { options } = owner.core;
  await owner.inOrder(() => Promise.resolve());
  const handle = owner.anotherView();
  const lease = await takeLease(handle, {
    ttlMs: null,
    busy: busy === undefined ? options.busy : parseBusyPolicy(busy),
    waitMs: wait === undefined ? options.waitMs : parseDuration(wait, "wait"),
  });
  try {
    handle.seeAll();
    return await work(handle);
  } finally {
    await lease.release();
    owner.follow(handle);
  }
}

async function takeLease(
  handle: Handle,
  { ttlMs, busy, waitMs }: { ttlMs: number | null; busy: BusyPolicy; waitMs: number },
): Promise<SessionLease> {
  const { core } = handle;
  core.guardOpen();
  await core.instance.ensureAlive();
  return await acquire(handle, { busy, waitMs, leaseMs: ttlMs }, (ticket, options) =>
    core.take(async () => {
      // A grant lapses within seconds, so a lease with a time limit is written.
      if (ttlMs === null && isGrantedTo(handle.record, ticket)) return SessionLease.granted(handle);
      handle.dropLapsedLease();
      await handle.write((draft, context) => {
        const ahead = options.recovers === "any";
        grant(draft, { instance: core.instance.id, ttlMs, ticket, ahead }, context);
        return changeOf(draft);
      }, options);
      return new SessionLease(handle);
    }),
  );
}

/** Null if the session has no lease. */
export async function leaseHolderOf(handle: Handle): Promise<LeaseHolder | null> {
  const { record } = await handle.peek();
  const { lease } = record;
  if (lease === null) return null;
  const { core } = handle;
  const { instances } = await core.store.instances([lease.instance]);
  const alive = await core.instance.isAlive(record, lease);
  const acquiredAt = new Date(lease.acquiredAt);
  const { host = null, pid = null, address = null } = instances[0] ?? {};
  return {
    instance: lease.instance,
    host,
    pid,
    address,
    fence: lease.fence,
    acquiredAt,
    heldMs: core.now() - lease.acquiredAt,
    alive,
  };
}

/** False if there is no lease. */
export async function breakLeaseOn(handle: Handle): Promise<boolean> {
  await handle.peek();
  const written = await handle.recoverAbandoned({ recovers: "any", reason: interruptions.lease_broken });
  return written.status === "ok";
}
