/**
 * Finds the sessions that an eager recovery activates: those of dead hosts, whose lease belongs to an instance that is
 * not alive, and on request those that a host has passivated. A lazy recovery needs no search, as the next open of a
 * session finds its lease.
 */
import { defined } from "../domain/values/defined.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import type { SessionKey } from "../domain/record/entry.ts";
import type { SessionRecord } from "../domain/record/record.ts";
import { eachPage, type After } from "../domain/values/pages.ts";
import type { Core } from "../sessions/core/core.ts";
import { isLive } from "../sessions/instances/liveness.ts";
import { parseOneOf } from "../sessions/options/arguments.ts";
import type { FoundRecords } from "../store/store.ts";
import type { TimerWheel } from "./actor/timer-wheel.ts";
import { inParallel } from "./in-parallel.ts";
import type { Isolation } from "./runtime/options.ts";

/** How a host recovers the sessions of dead hosts. */
export interface RecoverOptions {
  /**
   * `"lazy"`: each session is recovered when it gets its next message. `"eager"`: the host activates abandoned sessions
   * now, up to `maxSessions`, and later those of each host that dies.
   * @default "lazy"
   */
  readonly mode?: "lazy" | "eager";
  /**
   * `"stopped"`: an eager recovery also activates the sessions that a host has passivated, as an orderly stop does, the
   * most recently active first.
   */
  readonly include?: "stopped";
  /** Called after each session of an eager recovery. */
  readonly onProgress?: (progress: Recovery) => void;
  /** Aborts an eager recovery; sessions that it has activated stay live. */
  readonly signal?: AbortSignal;
}

const recoverNames: OptionNames<RecoverOptions> = { mode: true, include: true, onProgress: true, signal: true };

/** Progress and result of an eager recovery. */
export interface Recovery {
  /** Sessions that were live in a process that has ended, and with `include: "stopped"` the passivated ones. */
  readonly found: number;
  readonly recovered: number;
  /** Sessions that another host recovered first. */
  readonly elsewhere: number;
  /** Sessions without a free slot; each is recovered when it gets its next message. */
  readonly left: number;
  /** Sessions that could not be activated, with the error; at most 1 000. */
  readonly broken: readonly { readonly id: string; readonly error: Error }[];
}

/** The options of `recover`, checked. */
export interface ParsedRecover extends Pick<RecoverOptions, "onProgress" | "signal"> {
  readonly mode: "lazy" | "eager";
  readonly includesStopped: boolean;
}

/** @throws SessionError `argument_invalid` */
export function parseRecover(options: RecoverOptions): ParsedRecover {
  guardNames(options, "options", recoverNames);
  const { mode = "lazy", include, onProgress, signal } = options;
  return {
    mode: parseOneOf(mode, "mode", ["lazy", "eager"]),
    includesStopped: include !== undefined && parseOneOf(include, "include", ["stopped"]) === "stopped",
    ...defined({ onProgress, signal }),
  };
}

/** The outcome of one activation: an error where the session could not be activated. */
export type Recovered = "recovered" | "elsewhere" | "left" | Error;

/** The parts of a host that its recoveries use. */
interface RecoveryParts {
  readonly core: Core;
  readonly tenant: string;
  readonly isolation: Isolation;
  readonly wheel: TimerWheel;
  /** Activates one session if a slot is free. @throws SessionError `closed` */
  readonly activate: (
    session: SessionKey,
    how: { readonly agent: string; readonly reason: string },
  ) => Promise<Recovered>;
}

/** Concurrent activations of an eager recovery: enough to share commits, few enough not to start many threads at once. */
const activationsMax: Readonly<Record<Isolation, number>> = { inline: 64, pool: 64, session: 16, process: 16 };
const brokenMax = 1000;

/** Recovers the sessions of dead hosts: once when it is called, and from then on after the death of each host. */
export class HostRecovery {
  readonly #parts: RecoveryParts;
  #watchesHosts = false;
  /** Dead hosts whose sessions were recovered. */
  #recoveredHosts: ReadonlySet<string> = new Set();

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  /** @throws SessionError `closed`, the store's; the signal's reason */
  async recover({ mode, includesStopped, onProgress, signal }: ParsedRecover): Promise<Recovery> {
    const { core, tenant, isolation, activate } = this.#parts;
    const broken: Recovery["broken"][number][] = [];
    const recovery = { found: 0, recovered: 0, elsewhere: 0, left: 0, broken };
    if (mode === "lazy") return recovery;
    this.#watchHosts();
    for await (const records of recoverableSessions(core, tenant, { includesStopped, signal })) {
      recovery.found += records.length;
      await inParallel(activationsMax[isolation], records, async ({ id, tenant, agent, state }) => {
        signal?.throwIfAborted();
        const reason = state === "inactive" ? "its host was restarted" : "its host has ended";
        const outcome = await activate({ tenant, id }, { agent, reason });
        if (typeof outcome === "string") recovery[outcome]++;
        else if (broken.length < brokenMax) broken.push({ id, error: outcome });
        onProgress?.(recovery);
      });
    }
    return recovery;
  }

  /** Polls for dead hosts, and recovers their sessions. */
  #watchHosts(): void {
    if (this.#watchesHosts) return;
    this.#watchesHosts = true;
    const { core, wheel } = this.#parts;
    const poll = (): void => {
      void this.#takeOverFromDead().catch(() => undefined); // the store is away: the next poll tries again
      wheel.after(core.options.staleAfterMs, poll);
    };
    wheel.after(core.options.staleAfterMs, poll);
  }

  async #takeOverFromDead(): Promise<void> {
    const { core } = this.#parts;
    const { now, instances } = await core.store.instances("hosts");
    const { staleAfterMs } = core.options;
    const dead = instances.filter((instance) => !isLive(instance, { now, staleAfterMs }));
    if (dead.every(({ id }) => this.#recoveredHosts.has(id))) return;
    await this.recover({ mode: "eager", includesStopped: false });
    this.#recoveredHosts = new Set(dead.map(({ id }) => id));
  }
}

/** Sessions per query. */
const pageSize = 500;

interface Search {
  /** Also find passivated sessions. */
  readonly includesStopped: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The active sessions of a tenant whose lease holder is dead, and on request the passivated ones; page by page, the most
 * recently active first.
 */
async function* recoverableSessions(
  core: Core,
  tenant: string,
  { includesStopped, signal }: Search,
): AsyncGenerator<readonly SessionRecord[], void, undefined> {
  const states = includesStopped ? (["active", "inactive"] as const) : (["active"] as const);
  const aliveByInstance = new Map<string, boolean>();
  const ask = async (after: After): Promise<FoundRecords> => {
    signal?.throwIfAborted();
    const query = { order: "recent", tenant, now: core.now(), states, limit: pageSize } as const;
    return await core.store.find({ ...query, ...after });
  };
  for await (const { records } of eachPage(ask)) yield await recoverableOf(core, records, aliveByInstance);
}

async function recoverableOf(
  core: Core,
  records: readonly SessionRecord[],
  aliveByInstance: Map<string, boolean>,
): Promise<readonly SessionRecord[]> {
  const found: SessionRecord[] = [];
  for (const record of records) {
    const { lease } = record;
    if (lease === null) {
      if (record.state === "inactive") found.push(record);
      continue;
    }
    if (lease.instance === core.instance.id) continue;
    // Asked once per instance, not once per session.
    let isAlive = aliveByInstance.get(lease.instance);
    if (isAlive === undefined) {
      isAlive = await core.instance.isAlive(record, lease);
      aliveByInstance.set(lease.instance, isAlive);
    }
    if (!isAlive) found.push(record);
  }
  return found;
}
