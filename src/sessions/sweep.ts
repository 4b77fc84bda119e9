import { channel } from "node:diagnostics_channel";
import { parseDuration, type Duration } from "../domain/duration.ts";
import { clearFloor } from "../domain/floor.ts";
import { expireSession, postponeSweep, removeSession } from "../domain/lifecycle.ts";
import type { SessionRecord } from "../domain/record.ts";
import { innerScope, isInnerScope } from "../domain/scope.ts";
import { stateAt } from "../domain/states.ts";
import { show } from "../domain/show.ts";
import { hasCode, SessionError } from "../errors.ts";
import type { Page } from "../store/store.ts";
import type { Core } from "./core.ts";
import { Handle } from "./handle.ts";
import { applies, apply, policiesOf } from "./retention.ts";
import { perform } from "./operation.ts";

/** The bounds of one sweep. */
export interface SweepRequest {
  /** Stop after so many sessions and events. @default 10 000 */
  readonly rows?: number;
  /** Stop after so long. @default "10s" */
  readonly time?: Duration;
  readonly signal?: AbortSignal;
  /**
   * Remove sessions that long after they expired or ended, where no policy of `openSessions` decides. @default that of
   * `openSessions`, else never
   */
  readonly retention?: Duration;
  /** Forget events that long after they happened. @default that of `openSessions`, else never */
  readonly eventRetention?: Duration;
  /** Change nothing, and say in `planned` what would be done. @default false */
  readonly dryRun?: boolean;
}

/** What the sweep would do with a session. */
export interface SweepDeed {
  readonly tenant: string;
  readonly session: string;
  readonly does: "expire" | "archive" | "purge";
}

/** What one sweep did. */
export interface SweepReport {
  /** Sessions newly marked as expired. */
  readonly expired: number;
  /** Expired floors taken back. */
  readonly floors: number;
  /** Sessions whose logs were put away. */
  readonly archived: number;
  /** Sessions removed, long after they expired or ended. */
  readonly removed: number;
  /** Old events forgotten. */
  readonly forgotten: number;
  /** Sessions looked at. */
  readonly looked: number;
  /** False where a bound or the signal stopped it before the end. */
  readonly complete: boolean;
  /** Of a dry run: what would be done, in as many steps as the bounds allow. */
  readonly planned?: readonly SweepDeed[];
}

/** What is published on the channel `perdure:sweep` after each sweep. */
export interface SweepNews extends SweepReport {
  /** Undefined: of all tenants. */
  readonly tenant: string | undefined;
  /** How long the session that had waited longest was overdue, ms; 0 where none was due. */
  readonly lagMs: number;
}

const pageSize = 100;
/** Compressing takes memory and time: so many sessions together. */
const archivesAtOnce = 4;
/** Tells who listens what each sweep did. */
const sweeps = channel("perdure:sweep");

/**
 * One bounded pass: first marks what has expired and takes back expired floors, then archives and removes by the policies
 * of retention, in their order, at last forgets old events.
 * @throws SessionError `argument_invalid`, `duration_invalid`; `store_invalid` of a session that is broken, after all others
 *   were looked at
 */
export async function sweep(core: Core, tenant: string | undefined, request: SweepRequest): Promise<SweepReport> {
  return await perform({ operation: "sweep", tenant }, () => pass(core, tenant, request));
}

async function pass(core: Core, tenant: string | undefined, request: SweepRequest): Promise<SweepReport> {
  const { clock, sweep: defaults } = core.options;
  const retentionMs =
    request.retention === undefined ? (defaults?.retentionMs ?? null) : parseDuration(request.retention, "retention");
  const eventRetentionMs =
    request.eventRetention === undefined
      ? (defaults?.eventRetentionMs ?? null)
      : parseDuration(request.eventRetention, "eventRetention");
  const deadline = clock.now() + parseDuration(request.time ?? "10s", "time");
  const rows = parseRows(request.rows ?? 10_000);
  const report = { expired: 0, floors: 0, archived: 0, removed: 0, forgotten: 0, looked: 0, complete: true };
  const planned: SweepDeed[] | undefined = request.dryRun === true ? [] : undefined;
  let lagMs = 0;
  const mayGoOn = (): boolean => {
    report.complete =
      report.looked + report.forgotten < rows && clock.now() < deadline && request.signal?.aborted !== true;
    return report.complete;
  };
  let broken: SessionError | undefined;
  const scope = tenant === undefined ? {} : { tenant };
  const scopes =
    tenant === undefined
      ? [{}]
      : [scope, ...["devices", "erasures"].map((kind) => ({ tenant: innerScope(tenant, kind) }))];
  // The store's time, not this machine's, says what is due.
  const { now } = await core.store.instances([]);

  // It would stand at the head of every sweep: the others must not wait for its repair.
  const tolerantly = async (work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!hasCode(error, "store_invalid")) throw error;
      broken ??= error;
    }
  };
  const plan = (record: SessionRecord, does: SweepDeed["does"]): void => {
    planned?.push({ tenant: record.tenant, session: record.id, does });
  };

  for (const one of scopes) {
    await eachRecord({
      find: (after) => core.store.find({ order: "due", ...one, before: now, limit: pageSize, ...after }),
      mayGoOn,
      async visit(record) {
        report.looked++;
        lagMs = Math.max(lagMs, now - record.sweepAt);
        if (planned !== undefined) {
          if (isInnerScope(record.tenant) || stateAt(record, now) !== "expired") return;
          report.expired++;
          plan(record, "expire");
          return;
        }
        await tolerantly(async () => {
          if (isInnerScope(record.tenant)) {
            await removeExpired(core, record);
            return;
          }
          const { expires, clearsFloor } = await mark(core, record);
          if (expires) report.expired++;
          if (clearsFloor) report.floors++;
        });
      },
    });
  }
  const policies = policiesOf(core, retentionMs);
  for (const policy of policies) {
    const { agent, user, state, afterMs, does } = policy;
    const who = { ...scope, ...(agent === undefined ? {} : { agent }), ...(user === undefined ? {} : { user }) };
    const query = { order: "settled", ...who, states: [state], before: now - afterMs, limit: pageSize } as const;
    await eachRecord({
      find: (after) => core.store.find({ ...query, ...after }),
      mayGoOn,
      atOnce: does === "archive" ? archivesAtOnce : pageSize,
      async visit(record) {
        // What is not the policy's to judge counts for nothing: it must not use up the bounds, sweep after sweep.
        if (isInnerScope(record.tenant) || !applies(policies, policy, record)) return;
        report.looked++;
        await tolerantly(async () => {
          plan(record, does);
          if (planned === undefined && !(await apply(core, policy, record))) return;
          if (does === "archive") report.archived++;
          else report.removed++;
        });
      },
    });
  }
  if (planned !== undefined) return { ...report, planned };
  if (eventRetentionMs !== null) {
    const past = { ...scope, before: now - eventRetentionMs, limit: pageSize };
    for (let forgotten = pageSize; forgotten === pageSize && mayGoOn();) {
      forgotten = await core.store.forgetEvents(past);
      report.forgotten += forgotten;
    }
  }
  sweeps.publish({ ...report, tenant, lagMs } satisfies SweepNews);
  if (broken !== undefined) throw broken;
  return report;
}

function parseRows(rows: number): number {
  if (Number.isSafeInteger(rows) && rows >= 1) return rows;
  throw new SessionError("argument_invalid", {
    name: "rows",
    value: show(rows),
    expected: "a whole number, 1 or more",
  });
}

async function eachRecord({
  find,
  mayGoOn,
  atOnce = pageSize,
  visit,
}: {
  find: (after: { after?: string }) => Promise<Page>;
  mayGoOn: () => boolean;
  /** How many of a page are visited together. */
  atOnce?: number;
  visit: (record: SessionRecord) => Promise<void>;
}): Promise<void> {
  for (let after: string | undefined; mayGoOn();) {
    const { records, next } = await find(after === undefined ? {} : { after });
    for (let start = 0; start < records.length; start += atOnce) {
      const group = records.slice(start, start + atOnce);
      // Together, so that their commits go out as one batch.
      await Promise.all(group.map(async (record) => (mayGoOn() ? await visit(record) : undefined)));
    }
    if (next === undefined) return;
    after = next;
  }
}

/** Take back an expired floor, and mark the session if its time is up and nobody is at work in it; else look again later. */
async function mark(core: Core, record: SessionRecord): Promise<{ expires: boolean; clearsFloor: boolean }> {
  const handle = new Handle(core, record);
  let expires = false;
  let clearsFloor = false;
  await tolerant(() =>
    handle.write(
      (draft, context) => {
        clearsFloor = clearFloor(draft, context);
        const change = expireSession(draft, context);
        expires = change !== null;
        return change ?? postponeSweep(draft, context);
      },
      { recovers: "dead", reason: "its writer is gone and the session expired" },
    ),
  );
  return { expires, clearsFloor };
}

/** What is no conversation goes with its time; in use meanwhile, it is looked at again later. */
async function removeExpired(core: Core, record: SessionRecord): Promise<void> {
  await tolerant(() =>
    new Handle(core, record).write((draft, context) =>
      stateAt(draft.record, context.now) === "expired" ? removeSession(draft.base) : postponeSweep(draft, context),
    ),
  );
}

/** Another process may have removed the session under the sweep: then there is nothing left to do. */
async function tolerant(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!hasCode(error, "session_not_found")) throw error;
  }
}
