import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SessionError } from "../../../errors.ts";
import { publishStoreNews } from "../../calls/write-watch.ts";
import { BigintList } from "./bigint-list.ts";
import { FunctionCall } from "./function-call.ts";
import { answerOn, numbersOf, untilLate, type OwnPool, type PostgresPool, type QueryResult } from "./pool.ts";
import {
  isAbsence,
  isInterruption,
  isLockTimeout,
  isLostName,
  isPassing,
  isDenied,
  isReadOnly,
  isRefusedParameter,
  mayWaitForLock,
  sessionErrorOf,
} from "./postgres-error.ts";
import { describeMissing, keepsFromReading, missingRightsOf, missingRightsQuery } from "./rights.ts";

/** A row of the driver. */
export type Row = QueryResult["rows"][number];

interface Options {
  /** The address without its password, for error messages. */
  readonly name: string;
  /** The unquoted name of the schema. */
  readonly schema: string;
  readonly connections: Connections;
  /** The time from the first try of a statement to its last. */
  readonly deadlineMs: number;
  /** The longest time of a single try. */
  readonly attemptMs: number;
  /** The time after which the server cancels a statement. A pooler may refuse this setting. */
  readonly statementTimeoutMs: number | undefined;
  /** Gives names to statements on own connections, until a pooler loses one. */
  readonly prepare: boolean;
}

/** A pool of the caller, or own pools that are opened when needed. */
export type Connections =
  | { readonly kind: "given"; readonly pool: PostgresPool }
  | { readonly kind: "own"; readonly open: (times: ServerTimes & { readonly max?: number }) => OwnPool };

/** The timeouts of the client and of the server for own connections. */
export interface ServerTimes {
  readonly queryTimeoutMs: number;
  /** Undefined: not set on the server. */
  readonly statementTimeoutMs: number | undefined;
}

/** Pauses between tries: the first and the longest. */
const pauseMs = { first: 20, longest: 1000 };
/** The timeout of a migration, which may wait for another one and build an index. */
const administerMs = 600_000;
/** The most long statements at the same time, on connections of their own; the others wait in a queue. */
const administrationsMax = 2;
/** The most statements in that queue. */
const administrationsWaitingMax = 1000;
/** The processes whose locks other sessions of this user wait for. */
const lockHolders = `
  select distinct unnest(pg_blocking_pids(pid)) as pid
  from pg_stat_activity
  where datname = current_database() and usename = current_user and wait_event_type = 'Lock'
  order by pid
  limit 16
`;
const lockHoldersMs = 1000;
/** Whether a setting makes transactions read-only, on a server that is no standby. */
const readOnlySetting = `
  select not pg_is_in_recovery() and current_setting('default_transaction_read_only') = 'on' as set_read_only
`;
/** The timeout of a statement that is tried once. */
const onceMs = 2000;

/**
 * A database that may be away for a while. Statements are retried until the deadline, so each must be safe to run twice: reads
 * are, and commits are because their lane numbers them.
 */
export class Database {
  readonly name: string;
  readonly #schema: string;
  readonly #connections: Connections;
  readonly #deadlineMs: number;
  readonly #attemptMs: number;
  /** Undefined after a pooler has refused it. */
  #statementTimeoutMs: number | undefined;
  /** False after a pooler has lost a named statement. */
  #prepare: boolean;
  #pool: PostgresPool;
  /** True after the first answer of the server: a server that is away after that restarts. */
  #reached = false;
  /** Time since which statements are retried because the server is absent; null while it answers. */
  #retryingSince: number | null = null;
  readonly #underWay = new Set<Promise<unknown>>();
  /** The pool of long statements; undefined while there are none. */
  #administration: PostgresPool | undefined;
  #administering = 0;
  readonly #administrationQueue: (() => void)[] = [];
  #closing: Promise<void> | undefined;

  constructor({ name, schema, connections, deadlineMs, attemptMs, statementTimeoutMs, prepare }: Options) {
    this.name = name;
    this.#schema = schema;
    this.#connections = connections;
    this.#deadlineMs = deadlineMs;
    this.#attemptMs = attemptMs;
    this.#statementTimeoutMs = statementTimeoutMs;
    this.#prepare = prepare;
    this.#pool = connections.kind === "own" ? this.#openPool(connections) : connections.pool;
    this.#pool.on?.("error", ignoreIdleError);
  }

  /** The most connections of the pool; undefined if it does not have this number. */
  get connectionsMax(): number | undefined {
    return this.#pool.options?.max;
  }

  /**
   * Returns the rows of a statement that may be run twice.
   * @throws SessionError `store_unavailable` after the deadline, others if a retry cannot help, `closed`
   */
  ask(text: string, values?: readonly unknown[]): Promise<readonly Row[]> {
    return this.#track(() => this.#insist({ text, values, keep: false }));
  }

  /** As {@link ask}, for a statement that only calls a function, so its plan may be kept. */
  call(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.#track(() => this.#insist({ text, values, keep: true }));
  }

  /** As {@link call}, for a function whose answer is one text or null, in a column `answer`. */
  answer(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.#track(() => this.#insist({ text, values, keep: true, isAnswer: true }));
  }

  /** The rights on the schema that the role lacks, in words; undefined where it lacks none. */
  async missingRights(): Promise<string | undefined> {
    const [row] = await this.ask(...missingRightsQuery(this.#schema));
    const missing = missingRightsOf(row);
    return missing && describeMissing(missing, this.#schema);
  }

  /** Returns the rows of a statement, tried once and for a short time. */
  async askOnce(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return await this.#track(async () => {
      try {
        return (await this.#attempt(this.#pool, { text, values, keep: false }, Math.min(onceMs, this.#attemptMs))).rows;
      } catch (error) {
        throw this.#explained(error, this.#pool);
      }
    });
  }

  /**
   * Returns the rows of a long statement, tried once, on one of a few connections for such statements: they take none from the
   * other statements, and many at the same time do not exhaust the connections of the server.
   * @throws SessionError `store_busy` if too many wait, and as {@link ask}
   */
  administer(text: string, values?: readonly unknown[]): Promise<readonly Row[]> {
    return this.#track(async () => {
      await this.#enterAdministration();
      try {
        this.#administration ??= this.#openAdministration();
        return await this.#administerOn(this.#administration, { text, values, keep: false });
      } finally {
        await this.#leaveAdministration();
      }
    });
  }

  async #administerOn(pool: PostgresPool, statement: Statement): Promise<readonly Row[]> {
    try {
      return (await this.#attempt(pool, statement, administerMs)).rows;
    } catch (error) {
      throw (await this.#denied(error, pool)) ?? this.#explained(error, pool);
    }
  }

  /** At most the number of connections: a statement that waits for a connection in the pool soon times out. */
  get #administrationsMax(): number {
    return Math.min(administrationsMax, this.connectionsMax ?? administrationsMax);
  }

  async #enterAdministration(): Promise<void> {
    if (this.#administering < this.#administrationsMax) {
      this.#administering++;
      return;
    }
    if (this.#administrationQueue.length >= administrationsWaitingMax)
      throw new SessionError("store_busy", { store: this.name, waitedMs: 0 });
    await new Promise<void>((resolve) => this.#administrationQueue.push(resolve));
  }

  /** Gives the place to the next statement in the queue; after the last one the connections are closed. */
  async #leaveAdministration(): Promise<void> {
    const next = this.#administrationQueue.shift();
    if (next !== undefined) {
      next();
      return;
    }
    this.#administering--;
    if (this.#administering > 0) return;
    const pool = this.#administration;
    this.#administration = undefined;
    if (this.#connections.kind === "own") await (pool as OwnPool).end();
  }

  #openAdministration(): PostgresPool {
    if (this.#connections.kind === "given") return this.#connections.pool;
    const max = this.#administrationsMax;
    const pool = this.#connections.open({ max, queryTimeoutMs: administerMs, statementTimeoutMs: undefined });
    pool.on?.("error", ignoreIdleError);
    return pool;
  }

  /** Waits for the running statements, and ends an own pool. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    this.#pool.off?.("error", ignoreIdleError);
    if (this.#connections.kind === "given") return;
    this.#pool.on?.("error", ignoreIdleError);
    await untilLate((this.#pool as OwnPool).end(), this.#attemptMs);
  }

  /** @throws SessionError `closed` */
  guardOpen(): void {
    if (this.#closing !== undefined) throw this.#closed();
  }

  #closed(): SessionError {
    return new SessionError("closed", { name: "store", store: this.name });
  }

  /** Runs `work`, for which `close` waits. Each commit runs through it, so it is no async function. */
  #track<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined) return Promise.reject(this.#closed());
    const promise = work();
    const end = (): void => void this.#underWay.delete(promise);
    this.#underWay.add(promise);
    promise.then(end, end);
    return promise;
  }

  async #insist(statement: Statement): Promise<readonly Row[]> {
    const deadline = performance.now() + this.#deadlineMs;
    for (let pause = pauseMs.first; ; pause = Math.min(pause * 2, pauseMs.longest)) {
      const pool = this.#pool;
      const isNamed = this.#isNamed(statement);
      try {
        const { rows } = await this.#attempt(pool, statement, Math.min(this.#attemptMs, deadline - performance.now()));
        this.#reached = true;
        this.#answers();
        return rows;
      } catch (error) {
        if (isRefusedParameter(error) && this.#reopenWithoutTimeout(pool)) continue;
        if (isNamed && isLostName(error)) {
          this.#prepare = false;
          continue;
        }
        const inTime = performance.now() + pause < deadline;
        const isWorthRetry = isPassing(error) && (this.#reached || isInterruption(error));
        const again = inTime && isWorthRetry && !(await this.#isSetReadOnly(error, pool));
        if (!again)
          throw (await this.#locked(error, pool)) ?? (await this.#denied(error, pool)) ?? this.#explained(error, pool);
        // The first retry is for a connection that broke alone.
        if (pause > pauseMs.first && isAbsence(error)) this.#retries(this.#explained(error, pool));
      }
      await sleep(pause * (0.5 + Math.random() / 2));
    }
  }

  /** Says that the server is absent, before a call fails: an outage that ends in time fails none. */
  #retries(error: unknown): void {
    if (this.#retryingSince !== null) return;
    this.#retryingSince = performance.now();
    publishStoreNews({ state: "retrying", reason: error instanceof Error ? error.message : String(error) });
  }

  #answers(): void {
    if (this.#retryingSince === null) return;
    const ms = Math.round(performance.now() - this.#retryingSince);
    this.#retryingSince = null;
    publishStoreNews({ state: "answering", ms });
  }

  #attempt(pool: PostgresPool, statement: Statement, ms: number): Promise<QueryResult> {
    return new Promise((resolve, reject) => {
      const answered = this.#query(pool, statement);
      const timer = setTimeout(() => {
        const numbers = numbersOf(pool);
        reject(new Error(`no answer within ${Math.round(ms)} ms${numbers === "" ? "" : ` (${numbers})`}`));
      }, ms);
      const settled =
        <Value>(settle: (value: Value) => void) =>
        (value: Value): void => {
          clearTimeout(timer);
          settle(value);
        };
      answered.then(settled(resolve), settled(reject));
    });
  }

  #isNamed({ keep, values }: Statement): boolean {
    return keep && values !== undefined && this.#prepare && this.#connections.kind === "own";
  }

  #query(pool: PostgresPool, statement: Statement): Promise<QueryResult> {
    const { text, values, isAnswer = false } = statement;
    if (values === undefined) return pool.query(text);
    // A pool of the caller may be that of a driver which takes no bytes for a text.
    if (this.#connections.kind === "given") return pool.query(text, values.map(textOf));
    if (!this.#isNamed(statement)) return pool.query(text, [...values]);
    if (isAnswer) return answerOn(pool as OwnPool, new FunctionCall(nameOf(text), text, values));
    return (pool as OwnPool).query({ name: nameOf(text), text, values: [...values] });
  }

  #openPool({ open }: Extract<Connections, { kind: "own" }>): OwnPool {
    return open({ queryTimeoutMs: this.#attemptMs, statementTimeoutMs: this.#statementTimeoutMs });
  }

  /** True if the statement may be retried on another pool. */
  #reopenWithoutTimeout(refused: PostgresPool): boolean {
    if (this.#pool !== refused) return true; // another statement has reopened it
    if (this.#connections.kind === "given" || this.#statementTimeoutMs === undefined) return false;
    this.#statementTimeoutMs = undefined;
    this.#pool = this.#openPool(this.#connections);
    this.#pool.on?.("error", ignoreIdleError);
    void (refused as OwnPool).end().catch(() => undefined); // none of its connections was opened
    return true;
  }

  /** The error of a statement that waited too long for a lock; undefined for other errors. The server names the holders. */
  async #locked(error: unknown, pool: PostgresPool): Promise<SessionError | undefined> {
    if (!mayWaitForLock(error)) return undefined;
    let lockedBy: string[] = [];
    try {
      const { rows } = await this.#attempt(pool, { text: lockHolders, values: undefined, keep: false }, lockHoldersMs);
      lockedBy = rows.map(({ pid }) => String(pid));
    } catch {
      // The server is away, or each connection of the pool waits.
    }
    if (lockedBy.length === 0 && !isLockTimeout(error)) return undefined;
    return new SessionError("store_unavailable", { store: this.name, problem: "locked", lockedBy }, { cause: error });
  }

  /**
   * True if a write was refused because the database or the role is set to be read-only. A standby refuses writes too, until it
   * becomes the primary.
   */
  async #isSetReadOnly(error: unknown, pool: PostgresPool): Promise<boolean> {
    if (!isReadOnly(error)) return false;
    try {
      const { rows } = await this.#attempt(pool, { text: readOnlySetting, values: undefined, keep: false }, onceMs);
      return rows[0]?.["set_read_only"] === true;
    } catch {
      // The server is away; the next try of the statement says more.
      return false;
    }
  }

  /** The error of a statement for which the role lacks rights, with those rights; undefined for other errors. */
  async #denied(error: unknown, pool: PostgresPool): Promise<SessionError | undefined> {
    if (!isDenied(error)) return undefined;
    const [text, values] = missingRightsQuery(this.#schema);
    try {
      const { rows } = await this.#attempt(pool, { text, values, keep: false }, onceMs);
      const missing = missingRightsOf(rows[0]);
      if (missing === undefined) return undefined;
      const details = { store: this.name, schema: this.#schema, role: missing.role, rights: missing.rights };
      const code = keepsFromReading(missing) ? "store_access_denied" : "store_read_only";
      return new SessionError(code, details, { cause: error });
    } catch {
      // The server is away; the error of the statement says enough.
      return undefined;
    }
  }

  #explained(error: unknown, pool: PostgresPool): unknown {
    return sessionErrorOf(error, { store: this.name, pool: numbersOf(pool) });
  }
}

interface Statement {
  readonly text: string;
  readonly values: readonly unknown[] | undefined;
  /** The plan may be kept under a name, if the options allow names. */
  readonly keep: boolean;
  /** Its rows are one text or null, in a column `answer`. @default false */
  readonly isAnswer?: boolean;
}

/** The pool removes an idle connection that the server has ended; the next statement opens another. */
function ignoreIdleError(): void {
  // Without a listener the event ends the process.
}

function textOf(value: unknown): unknown {
  if (value instanceof BigintList) return value.toPostgres();
  return Buffer.isBuffer(value) ? value.toString() : value;
}

const names = new Map<string, string>();

/** A name for a statement, the same for the same text. It has the name of the function that the statement calls. */
function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    const [, called = ""] = /\.(\w{1,30})\(/.exec(text) ?? [];
    name = `perdure_${called}_${createHash("sha256").update(text).digest("hex").slice(0, 16)}`;
    names.set(text, name);
  }
  return name;
}
