import { channel } from "node:diagnostics_channel";
import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import { eachPage } from "../../domain/values/pages.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Policy } from "../../domain/record/retention.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import type { ErrorCode } from "../../errors.ts";
import type { SessionQuery } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { codeOfFailure, endsPass, messageOfFailure } from "../core/pass-failures.ts";
import { keyOf } from "../core/record-pages.ts";
import { parseWholeNumber } from "../options/arguments.ts";

/** The bounds of one sweep. */
export interface SweepRequest {
  /**
   * Maximum number of sessions, events and documents.
   * @default 10 000; with `olderThan`, unless it is a dry run, no limit
   */
  readonly rows?: number;
  /**
   * Time limit.
   * @default "10s"; with `olderThan`, unless it is a dry run, no limit
   */
  readonly time?: Duration;
  readonly signal?: AbortSignal;
  /**
   * Removes sessions this long after they expired or ended, if no policy of `openSessions` applies to them.
   * @default that of `openSessions`, else never
   */
  readonly retention?: Duration;
  /**
   * Removes all sessions that expired or ended longer ago than this, in place of the policies and the `retention` of
   * `openSessions`. Sessions under legal hold and archived sessions stay. `removed` is the count.
   */
  readonly olderThan?: Duration;
  /**
   * Removes events this long after they happened.
   * @default that of `openSessions`, else never
   */
  readonly eventRetention?: Duration;
  /**
   * Change nothing, and list in `planned` what would be done.
   * @default false
   */
  readonly dryRun?: boolean;
}

/** An action of the sweep on a session. */
export interface SweepAction {
  readonly tenant: string;
  readonly session: string;
  readonly action: "expire" | "archive" | "purge";
}

/** A session on which the sweep failed. The others were still swept. */
export interface SweepFailure extends SweepAction {
  /** `internal` for an error that is not typed. */
  readonly code: ErrorCode;
  readonly message: string;
}

/** The result of one sweep. */
export interface SweepReport {
  /** Sessions newly marked as expired. */
  readonly expired: number;
  /** Expired handoffs ended. */
  readonly handoffs: number;
  /** Sessions archived. */
  readonly archived: number;
  /** Sessions removed, long after they expired or ended. */
  readonly removed: number;
  /** Old events removed. */
  readonly events: number;
  /** Expired and deleted documents removed from the store. */
  readonly documents: number;
  /** Sessions looked at. */
  readonly looked: number;
  /** Sessions on which the sweep failed. */
  readonly failed: number;
  /** The first hundred of them. */
  readonly failures: readonly SweepFailure[];
  /** False if a bound or the signal stopped it before the end. */
  readonly complete: boolean;
  /** Of a dry run: the actions that it would take, within its bounds. */
  readonly planned?: readonly SweepAction[];
}

/** Published on the channel `perdure:sweep` after each sweep. */
export interface SweepNews extends SweepReport {
  /** Undefined: of all tenants. */
  readonly tenant: string | undefined;
  /** How long the session that waited longest was overdue, ms; 0 if none was due. */
  readonly lagMs: number;
  /** The error of the store that ended the sweep early; `internal` for an error that is not typed. */
  readonly error?: ErrorCode;
}

/** Sessions of one page; by default they are visited together, so that their commits share batches. */
export const pageSize = 100;
const failuresMax = 100;
const sweeps = channel("perdure:sweep");

/** The records that a pass visits. */
export interface Visit {
  readonly query: SessionQuery;
  /** The action reported for a session whose record cannot be read. */
  readonly action: SweepAction["action"];
  /**
   * How many sessions of a page are visited together.
   * @default all
   */
  readonly atOnce?: number;
  readonly visit: (record: SessionRecord) => Promise<void>;
}

/** One sweep: its bounds, its counts and its failures. The passes share it. */
export class SweepRun {
  readonly core: Core;
  readonly tenant: string | undefined;
  /** The policies of this sweep, in the order in which they decide. */
  readonly policies: readonly Policy[];
  readonly eventRetentionMs: number | null;
  readonly counts = { expired: 0, handoffs: 0, archived: 0, removed: 0, events: 0, documents: 0, looked: 0, failed: 0 };
  /** Sessions, events and documents that the sweep may still work on. */
  rowsLeft: number;
  lagMs = 0;
  readonly #signal: AbortSignal | undefined;
  readonly #deadline: number;
  readonly #planned: SweepAction[] | undefined;
  readonly #failures: SweepFailure[] = [];
  #complete = true;

  /** @throws SessionError `argument_invalid`, `duration_invalid` */
  constructor(core: Core, tenant: string | undefined, request: SweepRequest) {
    const { clock, sweep: defaults } = core.options;
    const { olderThan, eventRetention, time, rows, signal, dryRun = false } = request;
    const isUnbounded = olderThan !== undefined && !dryRun;
    this.core = core;
    this.tenant = tenant;
    this.policies = policiesOf(core, request);
    this.eventRetentionMs =
      eventRetention === undefined
        ? (defaults?.eventRetentionMs ?? null)
        : parseDuration(eventRetention, "eventRetention");
    this.rowsLeft =
      rows === undefined && isUnbounded ? Number.POSITIVE_INFINITY : parseWholeNumber(rows ?? 10_000, "rows", 1);
    this.#signal = signal;
    this.#deadline =
      time === undefined && isUnbounded ? Number.POSITIVE_INFINITY : clock.now() + parseDuration(time ?? "10s", "time");
    this.#planned = dryRun ? [] : undefined;
  }

  get isDryRun(): boolean {
    return this.#planned !== undefined;
  }

  /** False once a bound is reached or the signal has aborted. */
  mayContinue(): boolean {
    const { clock } = this.core.options;
    this.#complete = this.rowsLeft > 0 && clock.now() < this.#deadline && this.#signal?.aborted !== true;
    return this.#complete;
  }

  /** Count a session that the sweep looks at. */
  look(): void {
    this.counts.looked++;
    this.rowsLeft--;
  }

  /** Add an action to the plan of a dry run. */
  plan({ tenant, id: session }: SessionRecord, action: SweepAction["action"]): void {
    this.#planned?.push({ tenant, session, action });
  }

  /**
   * Visit the records of a query, page by page, within the bounds.
   * @throws the first error of a visit, once all visits of its group have ended
   */
  async eachRecord({ query, action, atOnce = pageSize, visit }: Visit): Promise<void> {
    if (!this.mayContinue()) return;
    const pages = eachPage((after) => this.core.store.find({ ...query, ...after }));
    for await (const { records, unreadable, next } of pages) {
      for (const error of unreadable) this.#fail(keyOf(error), action, error);
      for (let start = 0; start < records.length; start += atOnce) {
        const group = records.slice(start, start + atOnce);
        const visits = await Promise.allSettled(
          group.map(async (record) => (this.mayContinue() ? await visit(record) : undefined)),
        );
        const failed = visits.find((one) => one.status === "rejected");
        if (failed !== undefined) throw failed.reason;
      }
      if (next !== undefined && !this.mayContinue()) return;
    }
  }

  /**
   * Work on one session. False if it failed with an error of its own, which is reported.
   * @throws an error that ends the sweep
   */
  async attempt(record: SessionRecord, action: SweepAction["action"], work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (endsPass(error)) throw error;
      this.#fail(record, action, error);
      return false;
    }
  }

  #fail({ tenant, id: session }: SessionKey, action: SweepAction["action"], error: unknown): void {
    const [code, message] = [codeOfFailure(error), messageOfFailure(error)];
    this.counts.failed++;
    if (this.#failures.length < failuresMax) this.#failures.push({ tenant, session, action, code, message });
  }

  report(): SweepReport {
    const report = { ...this.counts, failures: this.#failures, complete: this.#complete };
    return this.#planned === undefined ? report : { ...report, planned: this.#planned };
  }

  /** Publish the report on the channel. `error`: the sweep ended early. */
  publish(error?: ErrorCode): void {
    const news = { ...this.report(), tenant: this.tenant, lagMs: this.lagMs };
    sweeps.publish((error === undefined ? news : { ...news, complete: false, error }) satisfies SweepNews);
  }
}

/** The policies of the options, then `retention` for all sessions that expired or ended; or `olderThan` alone. */
function policiesOf({ options }: Core, { retention, olderThan }: SweepRequest): readonly Policy[] {
  if (olderThan !== undefined) {
    if (retention !== undefined)
      throw invalidArgument("olderThan", olderThan, { expected: "beside", known: ["retention"] });
    return removals(parseDuration(olderThan, "olderThan"));
  }
  const lastMs = retention === undefined ? (options.sweep?.retentionMs ?? null) : parseDuration(retention, "retention");
  return lastMs === null ? options.retention : [...options.retention, ...removals(lastMs)];
}

/** Remove sessions this long after they expired or ended. */
function removals(afterMs: number): readonly Policy[] {
  return (["expired", "ended"] as const).map((state) => ({ state, afterMs, action: "purge" }));
}
