import { parseDuration, type Duration } from "../domain/values/duration.ts";
import { defined } from "../domain/values/defined.ts";
import { durationMaxMs } from "../domain/values/limits.ts";
import { pageNames, type Page, type PageQuery } from "../domain/values/pages.ts";
import { keyText, type SessionKey } from "../domain/record/entry.ts";
import { parseId } from "../domain/values/ids.ts";
import { hasCode, SessionError } from "../errors.ts";
import type { Core } from "../sessions/core/core.ts";
import type { EnsureOptions } from "../sessions/session/opening.ts";
import { RestartQueue } from "./actor/restart-queue.ts";
import { parseLimit } from "../sessions/options/arguments.ts";
import { HostedSession } from "./runtime/hosted-session.ts";
import { removeSession } from "../sessions/remove-session.ts";
import { coreOf, type Sessions } from "../sessions/sessions.ts";
import { Actor } from "./actor/actor.ts";
import { Capacity } from "./capacity.ts";
import { RuntimeEnd, type Profile } from "./workers/worker-slot.ts";
import { openWorkerSlots, type WorkerSlots } from "./workers/worker-slots.ts";
import { resolveHostOptions, type HostOptions, type ResolvedHostOptions } from "./runtime/options.ts";
import { inParallel } from "./in-parallel.ts";
import { HostRecovery, parseRecover, type Recovered, type RecoverOptions, type Recovery } from "./recovery.ts";
import { gaugesOf, HostCounters, type HostGauges, type HostMetrics } from "./host-metrics.ts";
import { LeaseCheck } from "./lease-check.ts";
import { liveInfo, storedInfo, type LiveInfo } from "./live-info.ts";
import { guardNames, guardObject, type OptionNames } from "../domain/values/option-names.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { nextState } from "../domain/record/states.ts";
import { countOn } from "../sessions/session/session-list.ts";
import { asError } from "./runtime/runtime.ts";
import { publishHostEvent, type HostEvent, type ActorContext } from "./actor/actor-context.ts";
import { TimerWheel } from "./actor/timer-wheel.ts";
import { counted } from "../errors/counted.ts";

/** Options of `updateActivity`. */
export interface ActivityOptions {
  /** The duration of a request without a message; it is counted as one. */
  readonly durationMs?: number;
}

const activityNames: OptionNames<ActivityOptions> = { durationMs: true };

/** Options of `terminateIdle`. */
export interface TerminateIdleOptions {
  /** The time without a message or `updateActivity`. @default each session's idle timeout */
  readonly idleFor?: Duration;
}

const terminateIdleNames: OptionNames<TerminateIdleOptions> = { idleFor: true };

/**
 * Starts a host: it runs many live sessions in one process tree, each supervised and isolated.
 * @throws SessionError `argument_invalid`, `duration_invalid`, `runtime_invalid`; the store's, if the address could not be
 *   published
 */
export async function startHost(sessions: Sessions, options: HostOptions): Promise<Host> {
  const core = coreOf(sessions);
  core.guardOpen();
  const resolved = resolveHostOptions(options);
  const slots = await openWorkerSlots(core, sessions.tenant, resolved);
  try {
    if (resolved.address !== null) await core.instance.announce(resolved.address);
  } catch (error) {
    await slots.close();
    throw error;
  }
  return new Host(core, sessions, resolved, slots);
}

/** The live sessions of one tenant. Close the host before its `Sessions`. */
export class Host implements AsyncDisposable {
  readonly tenant: string;
  readonly #core: Core;
  readonly #sessions: Sessions;
  readonly #options: ResolvedHostOptions;
  readonly #slots: WorkerSlots;
  readonly #wheel: TimerWheel;
  readonly #capacity: Capacity;
  readonly #context: ActorContext;
  readonly #restartQueue: RestartQueue;
  /** Ordered by last message, least recent first. */
  readonly #actors = new Map<string, Actor>();
  readonly #counters = new HostCounters();
  readonly #leaseCheck: LeaseCheck;
  readonly #recovery: HostRecovery;
  #isClosing = false;
  #closing: Promise<void> | undefined;

  /** Made by {@link startHost}. @internal */
  constructor(core: Core, sessions: Sessions, options: ResolvedHostOptions, slots: WorkerSlots) {
    this.tenant = sessions.tenant;
    this.#core = core;
    this.#sessions = sessions;
    this.#options = options;
    this.#slots = slots;
    this.#wheel = new TimerWheel(core.options.clock);
    this.#capacity = new Capacity(options.maxSessions);
    this.#leaseCheck = new LeaseCheck(core, this.#wheel, () => this.#actors.values());
    this.#recovery = new HostRecovery({
      core,
      tenant: this.tenant,
      isolation: options.isolation,
      wheel: this.#wheel,
      activate: (session, how) => this.#recoverOne(session, how),
    });
    this.#restartQueue = new RestartQueue(() => {
      if (!this.#isClosing) slots.prepareStandby();
    });
    this.#context = {
      clock: core.options.clock,
      wheel: this.#wheel,
      options,
      publish: (event) => this.#publish(event),
      freeWorkerSlot: () => slots.free(),
      takeSlot: (key, signal) => this.#takeSlot(key, signal),
      giveSlotBack: () => this.#capacity.release(),
      restartQueue: this.#restartQueue,
      becameIdle: () => this.#passivateOneIfNeeded(),
      forget: (key) => void this.#actors.delete(keyText(key)),
      explain: (key, error) => this.#explain(key, error),
      idleTimeoutMs: (profile) => this.#idleTimeoutMs(profile),
      recordFailure: (key, cause) => this.#publishFailure(key, () => HostedSession.recordFailure(core, key, cause)),
    };
  }

  /**
   * Sends a message to a session, activating it if needed, and resolves with the answer: a value, or an async iterable
   * of chunks. A session answers its messages in the order in which they were sent.
   * @throws SessionError `session_not_found`, `session_expired`, `session_ended`, `not_owner`, `host_full`,
   *   `mailbox_full`, `runtime_failed` if the runtime failed on this message, `session_failed` if it failed too often,
   *   `session_stopped` if the session was stopped first, `busy` if a process that is no host holds the lease
   */
  async send(id: string, message: unknown): Promise<unknown> {
    return await this.#with(id, "a message", (actor) => actor.send(message));
  }

  /**
   * Activates a session, also one in phase `failed`.
   * @throws SessionError as {@link send}
   */
  async start(id: string): Promise<void> {
    await this.#with(id, "started", (actor) => actor.start());
  }

  /**
   * Activates a session, creates it if it does not exist, and returns its state.
   * @throws SessionError as `sessions.ensure` and {@link send}
   */
  async ensure(id: string, options: EnsureOptions = {}): Promise<LiveInfo> {
    guardObject(options, "options");
    if (!this.#actors.has(this.#text(id))) await this.#sessions.ensure(id, options);
    return await this.#with(id, "started", async (actor) => {
      await actor.start();
      return liveInfo(actor);
    });
  }

  /**
   * Lets a session answer its mailbox, then passivates it. Does nothing if the session is not live. After `stopTimeout`
   * the session is killed.
   * @throws SessionError the store's, if the state could not be saved
   */
  async stop(id: string): Promise<void> {
    await this.#actors.get(this.#text(id))?.stop("stopped");
  }

  /** Ends an activation now: aborts the current answer, rejects the mailbox, and saves no state. */
  async kill(id: string): Promise<void> {
    await this.#actors.get(this.#text(id))?.kill();
  }

  /**
   * Kills a session and removes it with all its data.
   * @throws SessionError `session_not_found`
   */
  async remove(id: string): Promise<void> {
    await this.kill(id);
    await removeSession(this.#sessions, id);
  }

  /**
   * Postpones the idle timeout, and the session's own deadline. With `durationMs` it also counts a request: in the
   * metrics, in the session's `LiveInfo` if it is live, and as the event `request`. The counters of the session in the
   * store count turns alone.
   * @throws SessionError `session_not_found`, `argument_invalid`, that of the session's state
   */
  async updateActivity(id: string, options: ActivityOptions = {}): Promise<void> {
    guardNames(options, "options", activityNames);
    const { durationMs } = options;
    if (durationMs !== undefined) guardDuration(durationMs);
    const session = await this.#sessions.get(id);
    await session.touch();
    const actor = this.#actors.get(this.#text(id));
    actor?.touch();
    if (durationMs === undefined) return;
    actor?.countRequest(durationMs);
    this.#publish({ type: "request", session: this.#key(id), agent: session.info.agent, ms: durationMs });
  }

  /**
   * Passivates now the live sessions that have been idle for `idleFor`, as their idle timeout does; returns how many.
   * While the store is away they stay live.
   * @throws SessionError `duration_invalid`, `argument_invalid`
   */
  async terminateIdle(options: TerminateIdleOptions = {}): Promise<number> {
    guardNames(options, "options", terminateIdleNames);
    const idleForMs = options.idleFor === undefined ? undefined : parseDuration(options.idleFor, "idleFor");
    let count = 0;
    await inParallel(64, [...this.#actors.values()], async (actor) => {
      if (await actor.terminateIfIdle(idleForMs)) count++;
    });
    return count;
  }

  /**
   * Recovers the sessions of processes that have ended. A session that cannot be activated is reported and does not
   * block the others. When `maxSessions` are live, the rest is left for its next message: recovery never passivates a
   * live session, whatever `whenFull` says.
   * @throws SessionError `closed`, `argument_invalid`, the store's; the signal's reason
   */
  async recover(options: RecoverOptions = {}): Promise<Recovery> {
    const parsed = parseRecover(options);
    this.#guardOpen();
    return await this.#recovery.recover(parsed);
  }

  /**
   * Activates one session if a slot is free; returns the outcome, or the error.
   * @throws SessionError `closed`
   */
  async #recoverOne(
    session: SessionKey,
    { agent, reason }: { readonly agent: string; readonly reason: string },
  ): Promise<Recovered> {
    if (this.#capacity.isFull && !this.#actors.has(keyText(session))) return "left";
    try {
      await this.#with(session.id, reason, (actor) => actor.start());
    } catch (cause) {
      if (hasCode(cause, "closed")) throw cause;
      if (hasCode(cause, "not_owner") || hasCode(cause, "busy")) return "elsewhere";
      return hasCode(cause, "host_full") ? "left" : asError(cause); // another session took the slot meanwhile
    }
    this.#publish({ type: "recovered", session, agent });
    return "recovered";
  }

  /**
   * A session in any phase: live here, sleeping, or live elsewhere. Undefined if it does not exist, or is expired, ended
   * or archived.
   * @throws SessionError `id_invalid`, the store's
   */
  async get(id: string): Promise<LiveInfo | undefined> {
    this.#guardOpen();
    return this.live(id) ?? (await storedInfo(this.#core, this.#key(id)));
  }

  /** A live session, without a call of the store; undefined if it is not live here. */
  live(id: string): LiveInfo | undefined {
    const actor = this.#actors.get(this.#text(id));
    return actor === undefined ? undefined : liveInfo(actor);
  }

  /** All live sessions, least recent message first. */
  *each(): Generator<LiveInfo, void, undefined> {
    for (const actor of this.#actors.values()) yield liveInfo(actor);
  }

  /** One page of the live sessions, by id. @throws SessionError `argument_invalid` */
  list(page: PageQuery = {}): Page<LiveInfo> {
    guardNames(page, "page", pageNames);
    const { limit = 100, after = "" } = page;
    parseLimit(limit, this.#core.options.limits.pageMax);
    // Sorts only a page at a time, so it stays fast with 100 000 sessions; one more shows whether a page follows.
    const most = limit + 1;
    let found: Actor[] = [];
    let last: string | undefined;
    for (const actor of this.#actors.values()) {
      const { id } = actor.key;
      if (id <= after || (last !== undefined && id >= last)) continue;
      found.push(actor);
      if (found.length < 2 * most) continue;
      found = found.sort(byId).slice(0, most);
      last = found.at(-1)?.key.id;
    }
    found = found.sort(byId).slice(0, most);
    const items = found.slice(0, limit);
    return defined({ items: items.map(liveInfo), next: found.length > limit ? items.at(-1)?.key.id : undefined });
  }

  /**
   * The gauges of this host, and the numbers of sessions in the store, which the store counts.
   * @throws SessionError the store's
   */
  async metrics(): Promise<HostMetrics> {
    this.#guardOpen();
    const [total, sleeping] = await Promise.all([
      countOn(this.#core, this.tenant, { state: ["active", "inactive"] }),
      countOn(this.#core, this.tenant, { state: "inactive" }),
    ]);
    const gauges = this.gauges();
    const { durable } = this.#core;
    return { ...gauges, total, active: gauges.byPhase.live, sleeping, recovered: gauges.counts.recovered, durable };
  }

  /** The gauges of this host, without a call of the store. */
  gauges(): HostGauges {
    return gaugesOf(this.#actors.values(), {
      capacity: this.#capacity,
      liveMax: this.#options.maxSessions,
      counters: this.#counters,
      timers: this.#wheel.size,
      workers: this.#slots.all().map((slot) => slot.memoryBytes()),
    });
  }

  /**
   * Passivates all sessions and ends the workers. Calling it again does nothing.
   * @throws AggregateError the errors of sessions that could not be passivated
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    const failures: unknown[] = [];
    const actors = [...this.#actors.values()];
    await inParallel(64, actors, async (actor) => {
      try {
        await actor.stop("the host was closed");
      } catch (error) {
        failures.push(error);
      }
    });
    try {
      await this.#slots.close();
    } finally {
      this.#leaseCheck.close();
      this.#restartQueue.close();
      this.#wheel.close();
    }
    if (failures.length > 0)
      throw new AggregateError(failures, `${counted(failures.length, "session")} could not be passivated`);
  }

  /** Calls `use` with the session's actor. If that actor is ending, waits for its end and makes a new one. */
  async #with<T>(id: string, reason: string, use: (actor: Actor) => Promise<T>): Promise<T> {
    const key = this.#key(id);
    const text = keyText(key);
    this.#guardOpen();
    const actor = this.#actors.get(text) ?? new Actor(key, this.#context, reason);
    if (actor.isEnding) {
      // `use` runs without an await before it, so callers that wait for the new actor keep their order.
      return await new Promise((resolve) => actor.whenEnded(() => resolve(this.#with(id, reason, use))));
    }
    this.#actors.delete(text);
    this.#actors.set(text, actor); // keeps the map ordered by last message
    return await use(actor);
  }

  /** @throws SessionError `closed` */
  #guardOpen(): void {
    if (this.#isClosing) throw new SessionError("closed", { name: "host" });
  }

  #key(id: string): SessionKey {
    return { tenant: this.tenant, id: parseId(id, "sessionId") };
  }

  #text(id: string): string {
    return keyText(this.#key(id));
  }

  async #takeSlot(key: SessionKey, signal: AbortSignal): Promise<void> {
    const { whenFull } = this.#options;
    if (this.#capacity.tryAcquire()) return;
    await this.#guardUsable(key);
    if (this.#capacity.tryAcquire()) return;
    if (whenFull === "reject") {
      this.#counters.rejected++;
      throw this.#capacity.fullError();
    }
    const entered = this.#capacity.acquire(signal);
    this.#passivateOneIfNeeded();
    try {
      await entered;
    } catch (error) {
      if (!(error instanceof RuntimeEnd)) throw error;
      // The timeout ended the wait for a slot. The runtime did not run, so this is not its failure.
      this.#counters.rejected++;
      throw this.#capacity.fullError();
    }
  }

  /**
   * A message to a session that cannot be activated neither waits for a slot nor passivates another session.
   * @throws SessionError `session_not_found`, that of the session's state
   */
  async #guardUsable(key: SessionKey): Promise<void> {
    const { record } = await this.#core.load(key);
    nextState(record, "use", this.#core.now());
  }

  /** Passivates the least recent idle session if another one waits for a slot. */
  #passivateOneIfNeeded(): void {
    if (this.#options.whenFull !== "passivate-least-recent" || this.#capacity.waiting === 0) return;
    for (const actor of this.#actors.values()) {
      if (!actor.mayMakeRoom) continue;
      void actor.makeRoom().catch(() => undefined); // its actor has published the error
      return;
    }
  }

  #idleTimeoutMs({ agent, timeoutMinutes }: Profile): number {
    if (timeoutMinutes !== undefined && timeoutMinutes > 0) return timeoutMinutes * 60_000;
    const idleTimeout = this.#core.options.agents?.get(agent)?.idleTimeout;
    return idleTimeout === undefined ? this.#options.idleTimeoutMs : parseDuration(idleTimeout, "idleTimeout");
  }

  #publish(event: HostEvent): void {
    this.#counters.count(event);
    publishHostEvent(event);
  }

  /** For a session that another host holds: `not_owner` with that host's address, if it announced one. */
  async #explain({ tenant, id: sessionId }: SessionKey, error: Error): Promise<Error> {
    if (!hasCode(error, "busy")) return error;
    const owner = error.details.holder;
    const { instances } = await this.#core.store.instances([owner]);
    const address = instances[0]?.address ?? null;
    // A holder in this process that is not a host has no address to forward to.
    return address === null || address === this.#options.address
      ? error
      : new SessionError("not_owner", { sessionId, tenant, owner, address }, { cause: error });
  }

  async #publishFailure(session: SessionKey, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      // The next owner recovers the session; the event reports that this host did not.
      if (hasCode(cause, "session_not_found")) return;
      this.#publish({ type: "untidy", session, agent: undefined, cause: asError(cause) });
    }
  }
}

function byId(a: Actor, b: Actor): number {
  return a.key.id < b.key.id ? -1 : 1;
}

/** @throws SessionError `argument_invalid` */
function guardDuration(durationMs: number): void {
  if (Number.isFinite(durationMs) && durationMs >= 0 && durationMs <= durationMaxMs) return;
  throw invalidArgument("durationMs", durationMs, { expected: "number", min: 0, max: durationMaxMs });
}
