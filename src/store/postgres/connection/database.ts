import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SessionError } from "../../../errors.ts";
import { numbersOf, untilLate, type OwnPool, type PostgresPool, type QueryResult } from "./pool.ts";
import { isPassing, isRefusedParameter, isInterruption, sessionErrorOf } from "./postgres-error.ts";

/** A row as the driver gives it. */
export type Row = QueryResult["rows"][number];

interface Options {
  /** For error messages: the address without its password. */
  readonly name: string;
  readonly connections: Connections;
  /** How long a statement is tried, from its first try to its last. */
  readonly deadlineMs: number;
  /** How long a single try may take. */
  readonly attemptMs: number;
  /** After which the server itself ends a statement; what stands between may refuse to be told. */
  readonly statementTimeoutMs: number | undefined;
  /** Keep statements under names on the server; only on direct connections. */
  readonly prepare: boolean;
}

/** A pool of the caller's, or ones of our own that are opened as they are needed. */
export type Connections =
  | { readonly kind: "given"; readonly pool: PostgresPool }
  | { readonly kind: "own"; readonly open: (times: ServerTimes & { readonly max?: number }) => OwnPool };

/** How long a connection of our own waits for an answer, and the server works on one. */
export interface ServerTimes {
  readonly queryTimeoutMs: number;
  /** Undefined: not said to the server. */
  readonly statementTimeoutMs: number | undefined;
}

/** Waits between tries: the first and the longest. */
const pauseMs = { first: 20, longest: 1000 };
/** Migrations wait for each other, and may build an index. */
const administerMs = 600_000;
/** So many statements that may take their time run at once, on connections of their own; the others wait for their turn. */
const administrationsMax = 2;
/** So many may wait. */
const administrationsWaitingMax = 1000;
/** For a question that nobody waits for for long. */
const onceMs = 2000;

/**
 * A database that may go away for a while: what is asked is asked again until the deadline, so everything that is asked
 * here must be safe to ask twice. Reads are; a commit is, because its lane numbers it.
 */
export class Database {
  readonly name: string;
  readonly #connections: Connections;
  readonly #deadlineMs: number;
  readonly #attemptMs: number;
  /** Undefined once it was refused. */
  #statementTimeoutMs: number | undefined;
  readonly #prepare: boolean;
  #pool: PostgresPool;
  /** True once a server answered: from then on one that is not there is one that restarts. */
  #reached = false;
  readonly #underWay = new Set<Promise<unknown>>();
  /** For statements that may take their time; undefined while there are none. */
  #administration: PostgresPool | undefined;
  #administering = 0;
  readonly #administrationQueue: (() => void)[] = [];
  #closing: Promise<void> | undefined;

  constructor({ name, connections, deadlineMs, attemptMs, statementTimeoutMs, prepare }: Options) {
    this.name = name;
    this.#connections = connections;
    this.#deadlineMs = deadlineMs;
    this.#attemptMs = attemptMs;
    this.#statementTimeoutMs = statementTimeoutMs;
    this.#prepare = prepare;
    this.#pool = connections.kind === "own" ? this.#openPool(connections) : connections.pool;
    this.#pool.on?.("error", ignoreIdleError);
  }

  /** How many connections the pool may have; undefined where it does not say. */
  get connectionsMax(): number | undefined {
    return this.#pool.options?.max;
  }

  /**
   * The rows of a statement that may be run twice.
   * @throws SessionError `store_unavailable` when the deadline has passed, others where trying again is of no use, `closed`
   */
  ask(text: string, values?: readonly unknown[]): Promise<readonly Row[]> {
    return this.#track(() => this.#insist({ text, values, keep: false }));
  }

  /** As {@link ask}, for a statement whose plan may be kept: one that only calls a function. */
  call(text: string, values: readonly unknown[]): Promise<readonly Row[]> {
    return this.#track(() => this.#insist({ text, values, keep: true }));
  }

  /** The rows of a statement, tried once and not for long. */
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
   * The rows of a statement that may take its time, tried once, on a connection that grants it: one of a few that all such
   * statements share, so that they take no connection from the others and many at once do not exhaust the server's.
   * @throws SessionError `store_busy` where too many wait already, and as {@link ask}
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
      throw this.#explained(error, pool);
    }
  }

  /** Not more than connections: one that waits for a connection in the pool is soon given up. */
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

  /** Give the place to the next in the queue; after the last one the connections are closed. */
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

  /** Wait for what is under way, and end a pool of our own. */
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
    if (this.#closing !== undefined) throw new SessionError("closed", { name: "store", store: this.name });
  }

  async #track<T>(work: () => Promise<T>): Promise<T> {
    this.guardOpen();
    const promise = work();
    this.#underWay.add(promise);
    try {
      return await promise;
    } finally {
      this.#underWay.delete(promise);
    }
  }

  async #insist(statement: Statement): Promise<readonly Row[]> {
    const deadline = performance.now() + this.#deadlineMs;
    for (let pause = pauseMs.first; ; pause = Math.min(pause * 2, pauseMs.longest)) {
      const pool = this.#pool;
      try {
        const { rows } = await this.#attempt(pool, statement, Math.min(this.#attemptMs, deadline - performance.now()));
        this.#reached = true;
        return rows;
      } catch (error) {
        if (isRefusedParameter(error) && this.#reopenWithoutTimeout(pool)) continue;
        const inTime = performance.now() + pause < deadline;
        const again = inTime && isPassing(error) && (this.#reached || isInterruption(error));
        if (!again) throw this.#explained(error, pool);
      }
      await sleep(pause * (0.5 + Math.random() / 2));
    }
  }

  async #attempt(pool: PostgresPool, statement: Statement, ms: number): Promise<QueryResult> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      const numbers = numbersOf(pool);
      reject(new Error(`no answer within ${Math.round(ms)} ms${numbers === "" ? "" : ` (${numbers})`}`));
    }, ms);
    try {
      return await Promise.race([this.#query(pool, statement), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #query(pool: PostgresPool, { text, values, keep }: Statement): Promise<QueryResult> {
    if (values === undefined) return pool.query(text);
    if (!keep || !this.#prepare || this.#connections.kind === "given") return pool.query(text, [...values]);
    return (pool as OwnPool).query({ name: nameOf(text), text, values: [...values] });
  }

  #openPool({ open }: Extract<Connections, { kind: "own" }>): OwnPool {
    return open({ queryTimeoutMs: this.#attemptMs, statementTimeoutMs: this.#statementTimeoutMs });
  }

  /** True where there is another way to try. */
  #reopenWithoutTimeout(refused: PostgresPool): boolean {
    if (this.#pool !== refused) return true; // somebody else has done it meanwhile
    if (this.#connections.kind === "given" || this.#statementTimeoutMs === undefined) return false;
    this.#statementTimeoutMs = undefined;
    this.#pool = this.#openPool(this.#connections);
    this.#pool.on?.("error", ignoreIdleError);
    void (refused as OwnPool).end().catch(() => undefined); // none of its connections came about
    return true;
  }

  #explained(error: unknown, pool: PostgresPool): unknown {
    return sessionErrorOf(error, { store: this.name, pool: numbersOf(pool) });
  }
}

interface Statement {
  readonly text: string;
  readonly values: readonly unknown[] | undefined;
  /** Its plan may be kept under a name, where the options allow names at all. */
  readonly keep: boolean;
}

/** An idle connection that the server ends is taken out of the pool; the next statement opens another. */
function ignoreIdleError(): void {
  // Without a listener the event would end the process.
}

const names = new Map<string, string>();

/** A name for a statement, the same for the same text. */
function nameOf(text: string): string {
  let name = names.get(text);
  if (name === undefined) {
    name = `perdure_${createHash("sha256").update(text).digest("hex").slice(0, 16)}`;
    names.set(text, name);
  }
  return name;
}
