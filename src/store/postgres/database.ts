import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SessionError } from "../../errors.ts";
import { numbersOf, type OwnPool, type PostgresPool, type QueryResult } from "./pool.ts";
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
  | { readonly kind: "own"; readonly open: (times: ServerTimes) => OwnPool };

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

  /** The rows of a statement that may take its time, tried once, on a connection that grants it. */
  administer(text: string, values?: readonly unknown[]): Promise<readonly Row[]> {
    return this.#track(async () => {
      const { kind } = this.#connections;
      const pool =
        kind === "own"
          ? this.#connections.open({ queryTimeoutMs: administerMs, statementTimeoutMs: undefined })
          : this.#connections.pool;
      try {
        return (await this.#attempt(pool, { text, values, keep: false }, administerMs)).rows;
      } catch (error) {
        throw this.#explained(error, pool);
      } finally {
        if (kind === "own") await (pool as OwnPool).end();
      }
    });
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
    // A connection that hangs must not hang us: the process is free to end without it.
    await Promise.race([(this.#pool as OwnPool).end(), sleep(this.#attemptMs, undefined, { ref: false })]);
  }

  /** @throws SessionError `closed` */
  guardOpen(): void {
    if (this.#closing !== undefined) throw new SessionError("closed", { name: `the store ${this.name}` });
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
