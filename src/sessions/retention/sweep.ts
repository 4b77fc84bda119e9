import { channel } from "node:diagnostics_channel";
import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { clearExpiredHandoff } from "../../domain/record/handoff.ts";
import { expireSession, postponeSweep, removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { stagedScope } from "../../domain/copies/staged.ts";
import { internalScope, isInternalScope } from "../../domain/values/internal-scope.ts";
import { stateAt } from "../../domain/record/states.ts";
import { hasCode, type ErrorCode } from "../../errors.ts";
import { keyOf } from "../../store/row.ts";
import type { SessionQuery } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "../core/handle.ts";
import type { Policy } from "../../domain/record/retention.ts";
import { defined } from "../../domain/values/defined.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { codeOfFailure, endsPass, messageOfFailure } from "../core/pass-failures.ts";
import { applies, apply, policiesOf } from "./retention.ts";
import { traceCall } from "../tracing/operation.ts";
import { parseWholeNumber } from "../options/arguments.ts";

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
export interface SweepAction {
  readonly tenant: string;
  readonly session: string;
  readonly action: "expire" | "archive" | "purge";
}

/** A session that the sweep could not work on. The others were still swept. */
export interface SweepFailure extends SweepAction {
  /** `internal` where the error is none of Perdure's. */
  readonly code: ErrorCode;
  readonly message: string;
}

/** What one sweep did. */
export interface SweepReport {
  /** Sessions newly marked as expired. */
  readonly expired: number;
  /** Expired handoffs ended. */
  readonly handoffs: number;
  /** Sessions whose logs were put away. */
  readonly archived: number;
  /** Sessions removed, long after they expired or ended. */
  readonly removed: number;
  /** Old events forgotten. */
  readonly forgotten: number;
  /** Sessions looked at. */
  readonly looked: number;
  /** Sessions that the sweep could not work on. */
  readonly failed: number;
  /** The first hundred of them. */
  readonly failures: readonly SweepFailure[];
  /** False where a bound or the signal stopped it before the end. */
  readonly complete: boolean;
  /** Of a dry run: what would be done, in as many steps as the bounds allow. */
  readonly planned?: readonly SweepAction[];
}

/** What is published on the channel `perdure:sweep` after each sweep. */
export interface SweepNews extends SweepReport {
  /** Undefined: of all tenants. */
  readonly tenant: string | undefined;
  /** How long the session that had waited longest was overdue, ms; 0 where none was due. */
  readonly lagMs: number;
  /** Why the sweep ended early, where the store failed; `internal` where the error is none of Perdure's. */
  readonly error?: ErrorCode;
}

const pageSize = 100;
const failuresMax = 100;
/** A session that the sweep could not work on is looked at again after so long, behind those that are due earlier. */
const failedAgainMs = 3_600_000;
/** Compressing takes memory and time: so many sessions together. */
const archivesAtOnce = 4;
/** Tells who listens what each sweep did. */
const sweeps = channel("perdure:sweep");

/**
 * One bounded pass: first marks what has expired and takes back expired floors, then archives and removes by the policies
 * of retention, in their order, at last forgets old events. An error of one session is reported in `failures`, the others
 * are still swept.
 * @throws SessionError `argument_invalid`, `duration_invalid`, or the store's where it fails as a whole
 */
export async function sweep(core: Core, tenant: string | undefined, request: SweepRequest): Promise<SweepReport> {
  return await traceCall({ operation: "sweep", tenant }, async () => {
    const pass = new Pass(core, tenant, request);
    try {
      await pass.run();
    } catch (error) {
      pass.publish(codeOfFailure(error));
      throw error;
    }
    // A dry run did nothing that a listener could count.
    if (request.dryRun !== true) pass.publish();
    return pass.report();
  });
}

class Pass {
  readonly #core: Core;
  readonly #tenant: string | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #retentionMs: number | null;
  readonly #eventRetentionMs: number | null;
  readonly #deadline: number;
  readonly #planned: SweepAction[] | undefined;
  readonly #counts = { expired: 0, handoffs: 0, archived: 0, removed: 0, forgotten: 0, looked: 0, failed: 0 };
  readonly #failures: SweepFailure[] = [];
  /** Sessions and events that the pass may still work on. */
  #rowsLeft: number;
  #complete = true;
  #lagMs = 0;

  constructor(core: Core, tenant: string | undefined, request: SweepRequest) {
    const { clock, sweep: defaults } = core.options;
    const { retention, eventRetention, time = "10s", rows = 10_000, signal, dryRun = false } = request;
    this.#core = core;
    this.#tenant = tenant;
    this.#signal = signal;
    this.#retentionMs =
      retention === undefined ? (defaults?.retentionMs ?? null) : parseDuration(retention, "retention");
    this.#eventRetentionMs =
      eventRetention === undefined
        ? (defaults?.eventRetentionMs ?? null)
        : parseDuration(eventRetention, "eventRetention");
    this.#deadline = clock.now() + parseDuration(time, "time");
    this.#rowsLeft = parseWholeNumber(rows, "rows", 1);
    this.#planned = dryRun ? [] : undefined;
  }

  async run(): Promise<void> {
    // The store's time, not this machine's, says what is due.
    const { now } = await this.#core.store.instances([]);
    await this.#expire(now);
    await this.#retain(now);
    if (this.#planned === undefined) await this.#forgetEvents(now);
  }

  report(): SweepReport {
    const report = { ...this.#counts, failures: this.#failures, complete: this.#complete };
    return this.#planned === undefined ? report : { ...report, planned: this.#planned };
  }

  publish(error?: ErrorCode): void {
    const news = { ...this.report(), tenant: this.#tenant, lagMs: this.#lagMs };
    sweeps.publish((error === undefined ? news : { ...news, complete: false, error }) satisfies SweepNews);
  }

  #mayGoOn(): boolean {
    const { clock } = this.#core.options;
    this.#complete = this.#rowsLeft > 0 && clock.now() < this.#deadline && this.#signal?.aborted !== true;
    return this.#complete;
  }

  /** Mark what has expired, and take back expired floors. */
  async #expire(now: number): Promise<void> {
    const tenant = this.#tenant;
    const scopes =
      tenant === undefined
        ? [{}]
        : [
            { tenant },
            ...["devices", "erasures"].map((kind) => ({ tenant: internalScope(tenant, kind) })),
            { tenant: stagedScope(tenant) },
          ];
    for (const scope of scopes) {
      const due = { order: "due", ...scope, before: now, limit: pageSize } as const;
      await this.#eachRecord({ query: due, action: "expire", visit: (record) => this.#visitDue(record, now) });
    }
  }

  async #visitDue(record: SessionRecord, now: number): Promise<void> {
    this.#counts.looked++;
    this.#rowsLeft--;
    this.#lagMs = Math.max(this.#lagMs, now - record.sweepAt);
    if (this.#planned !== undefined) {
      if (isInternalScope(record.tenant) || stateAt(record, now) !== "expired") return;
      this.#counts.expired++;
      this.#plan(record, "expire");
      return;
    }
    const done = await this.#tolerantly(record, "expire", async () => {
      if (isInternalScope(record.tenant)) {
        await removeExpired(this.#core, record);
        return;
      }
      const { expires, endsHandoff } = await mark(this.#core, record);
      if (expires) this.#counts.expired++;
      if (endsHandoff) this.#counts.handoffs++;
    });
    // Otherwise it would stand at the head of every sweep.
    if (!done) await postpone(this.#core, record);
  }

  /** Archive and remove by the policies of retention. */
  async #retain(now: number): Promise<void> {
    const policies = policiesOf(this.#core, this.#retentionMs);
    const scope = defined({ tenant: this.#tenant });
    for (const policy of policies) {
      const { agent, user, state, afterMs, action } = policy;
      const who = { ...scope, ...defined({ agent, user }) };
      const query = { order: "settled", ...who, states: [state], before: now - afterMs, limit: pageSize } as const;
      await this.#eachRecord({
        query,
        action,
        atOnce: action === "archive" ? archivesAtOnce : pageSize,
        visit: async (record) => {
          // What is not the policy's to judge counts for nothing: it must not use up the bounds, sweep after sweep.
          if (isInternalScope(record.tenant) || !applies(policies, policy, record)) return;
          await this.#visitSettled(policy, record);
        },
      });
    }
  }

  async #visitSettled(policy: Policy, record: SessionRecord): Promise<void> {
    const { action } = policy;
    this.#counts.looked++;
    this.#rowsLeft--;
    const done = await this.#tolerantly(record, action, async () => {
      if (this.#planned !== undefined) this.#plan(record, action);
      else if (!(await apply(this.#core, policy, record))) return;
      if (action === "archive") this.#counts.archived++;
      else this.#counts.removed++;
    });
    // It stands there again at every sweep, and must not use up the rows of those behind it.
    if (!done) this.#rowsLeft++;
  }

  async #forgetEvents(now: number): Promise<void> {
    if (this.#eventRetentionMs === null) return;
    const scope = defined({ tenant: this.#tenant });
    const past = { ...scope, before: now - this.#eventRetentionMs, limit: pageSize };
    for (let forgotten = pageSize; forgotten === pageSize && this.#mayGoOn();) {
      forgotten = await this.#core.store.forgetEvents(past);
      this.#counts.forgotten += forgotten;
      this.#rowsLeft -= forgotten;
    }
  }

  #plan({ tenant, id: session }: SessionRecord, action: SweepAction["action"]): void {
    this.#planned?.push({ tenant, session, action });
  }

  /** False where the session's own error kept it from being worked on: that error is reported, and the pass goes on. */
  async #tolerantly(
    { tenant, id: session }: SessionRecord,
    action: SweepAction["action"],
    work: () => Promise<void>,
  ): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (endsPass(error)) throw error;
      this.#fail({ tenant, id: session }, action, error);
      return false;
    }
  }

  #fail({ tenant, id: session }: SessionKey, action: SweepAction["action"], error: unknown): void {
    const [code, message] = [codeOfFailure(error), messageOfFailure(error)];
    this.#counts.failed++;
    if (this.#failures.length < failuresMax) this.#failures.push({ tenant, session, action, code, message });
  }

  async #eachRecord({
    query,
    action,
    atOnce = pageSize,
    visit,
  }: {
    query: SessionQuery;
    /** What a session whose record cannot be read fails at. */
    action: SweepAction["action"];
    /** How many of a page are visited together. */
    atOnce?: number;
    visit: (record: SessionRecord) => Promise<void>;
  }): Promise<void> {
    if (!this.#mayGoOn()) return;
    for await (const page of eachPage((after) => this.#core.store.find({ ...query, ...after }))) {
      const { records, unreadable } = page;
      for (const error of unreadable) this.#fail(keyOf(error), action, error);
      for (let start = 0; start < records.length; start += atOnce) {
        const group = records.slice(start, start + atOnce);
        // Together, so that their commits go out as one batch; all are waited for before an error ends the pass.
        const visits = await Promise.allSettled(
          group.map(async (record) => (this.#mayGoOn() ? await visit(record) : undefined)),
        );
        const failed = visits.find((one) => one.status === "rejected");
        if (failed !== undefined) throw failed.reason;
      }
      if (page.next !== undefined && !this.#mayGoOn()) return;
    }
  }
}

/** Take back an expired floor, and mark the session if its time is up and nobody is at work in it; else look again later. */
async function mark(core: Core, record: SessionRecord): Promise<{ expires: boolean; endsHandoff: boolean }> {
  const handle = new Handle(core, record);
  let expires = false;
  let endsHandoff = false;
  await tolerant(() =>
    handle.write(
      (draft, context) => {
        endsHandoff = clearExpiredHandoff(draft, context);
        const change = expireSession(draft, context);
        expires = change !== null;
        return change ?? postponeSweep(draft, context);
      },
      { recovers: "dead", reason: "its writer is gone and the session expired" },
    ),
  );
  return { expires, endsHandoff };
}

/** Look again later, and leave all else of the session alone: its recovery is what may have failed. */
async function postpone(core: Core, record: SessionRecord): Promise<void> {
  try {
    const loaded = await core.find(record);
    if (loaded === undefined) return;
    await new Handle(core, loaded.record).write((draft, context) => postponeSweep(draft, context, failedAgainMs));
  } catch (error) {
    // The session is reported already; it is looked at again at the next sweep.
    if (endsPass(error)) throw error;
  }
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
