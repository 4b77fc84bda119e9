import { parseDuration } from "../domain/duration.ts";
import { keyText, type SessionKey } from "../domain/entry.ts";
import { parseId } from "../domain/ids.ts";
import { hasCode, SessionError } from "../errors.ts";
import type { Core } from "../sessions/core.ts";
import type { EnsureOptions } from "../sessions/opening.ts";
import { Residence } from "../sessions/residence.ts";
import { coreOf, type Sessions } from "../sessions/sessions.ts";
import { Actor, type Phase } from "./actor.ts";
import { Capacity } from "./capacity.ts";
import type { Profile } from "./cell.ts";
import { openCells, type Cells } from "./cells.ts";
import { resolveHostOptions, type HostOptions, type ResolvedHostOptions } from "./options.ts";
import { hostEvents, type HostEvent, type Surroundings } from "./surroundings.ts";
import { TimerWheel } from "./timer-wheel.ts";

/** One session as its host has it. */
export interface LiveInfo {
  readonly id: string;
  readonly tenant: string;
  readonly phase: Phase;
  /** Whom it is for; unknown until it has been taken in. */
  readonly agent: string | undefined;
  /** Messages that wait, beside one that is being answered. */
  readonly mailbox: number;
  readonly restarts: number;
  /** Since it was woken, ms. */
  readonly ageMs: number;
  /** Since somebody last spoke to it, ms. */
  readonly idleMs: number;
  /** The heap of its own thread or process, bytes; undefined where it shares one, or nobody can tell. */
  readonly memoryBytes: number | undefined;
  /** Why it is left alone, where it failed. */
  readonly failure: string | undefined;
}

/** What a host has and has done. */
export interface HostMetrics {
  /** Sessions that hold one of the `maxSessions` places. */
  readonly live: number;
  readonly liveMax: number;
  /** Sessions that wait for a place. */
  readonly waiting: number;
  readonly byPhase: Readonly<Record<Phase, number>>;
  readonly byAgent: Readonly<Record<string, number>>;
  /** Messages that wait, over all sessions. */
  readonly mailbox: number;
  /** Since the host was started, by kind. */
  readonly counts: Readonly<Record<HostEvent["type"], number>>;
  /** Turned away because as many were live as may be. */
  readonly rejected: number;
  /** Timers that are set: one for each session that lives, and one for each that is at work. */
  readonly timers: number;
  /** The heap of each worker thread or process, bytes; undefined where it could not be asked. */
  readonly workers: readonly (number | undefined)[];
}

/**
 * Start a host: it keeps many sessions live, each with code of its own, none able to hurt another.
 * @throws SessionError `argument_invalid`, `duration_invalid`, `runtime_invalid`
 */
export async function startHost(sessions: Sessions, options: HostOptions): Promise<Host> {
  const core = coreOf(sessions);
  core.guardOpen();
  const resolved = resolveHostOptions(options);
  return new Host(core, sessions, resolved, await openCells(core, sessions.tenant, resolved));
}

/** Live sessions of one tenant. Close it before the `Sessions` it runs on. */
export class Host implements AsyncDisposable {
  readonly tenant: string;
  readonly #core: Core;
  readonly #sessions: Sessions;
  readonly #options: ResolvedHostOptions;
  readonly #cells: Cells;
  readonly #wheel: TimerWheel;
  readonly #capacity: Capacity;
  readonly #surroundings: Surroundings;
  /** The one spoken to longest ago comes first. */
  readonly #actors = new Map<string, Actor>();
  readonly #counts: Record<HostEvent["type"], number> = {
    activated: 0,
    restarted: 0,
    message: 0,
    passivated: 0,
    stopped: 0,
    crashed: 0,
    failed: 0,
    fenced: 0,
    recovered: 0,
    untidy: 0,
  };
  #rejected = 0;
  #closing: Promise<void> | undefined;

  /** Made by {@link startHost}. */
  constructor(core: Core, sessions: Sessions, options: ResolvedHostOptions, cells: Cells) {
    this.tenant = sessions.tenant;
    this.#core = core;
    this.#sessions = sessions;
    this.#options = options;
    this.#cells = cells;
    this.#wheel = new TimerWheel(core.options.clock);
    this.#capacity = new Capacity(options.maxSessions);
    this.#surroundings = {
      clock: core.options.clock,
      wheel: this.#wheel,
      options,
      tell: (event) => this.#tell(event),
      cell: () => cells.free(),
      enterPlace: (signal) => this.#enterPlace(signal),
      leavePlace: () => this.#capacity.exit(),
      rested: () => this.#makeRoom(),
      forget: (actor) => this.#forget(actor),
      explain: (key, error) => this.#explain(key, error),
      idleTimeoutMs: (profile) => this.#idleTimeoutMs(profile),
      giveUp: (key, cause) => this.#quietly(key, () => Residence.giveUp(core, key, cause)),
    };
  }

  /**
   * Send a message to a session, which is woken where it sleeps, and resolve with its answer: a value, or an async iterable
   * of parts. Messages to one session are answered in the order in which they were sent.
   * @throws SessionError `session_not_found`, `session_expired`, `session_ended`, `not_owner`, `host_full`, `mailbox_full`,
   *   `runtime_failed` where its code failed on this message, `session_failed` where it failed too often,
   *   `session_stopped` where it was stopped first, `busy` where something that is no host writes to it just now
   */
  async send(id: string, message: unknown): Promise<unknown> {
    return await this.#with(id, "a message", (actor) => actor.send(message));
  }

  /** Wake a session, also one that is left alone as failed. @throws SessionError as {@link send} */
  async start(id: string): Promise<void> {
    await this.#with(id, "started", (actor) => actor.start());
  }

  /** Wake a session, created where there is none. @throws SessionError as `sessions.ensure` and {@link send} */
  async ensure(id: string, options: EnsureOptions = {}): Promise<void> {
    if (!this.#actors.has(this.#text(id))) await this.#sessions.ensure(id, options);
    await this.start(id);
  }

  /**
   * Let a session finish what waits, and put it to sleep; does nothing for one that sleeps. Who takes longer than
   * `stopTimeout` is killed.
   * @throws SessionError the store's, where its state could not be kept
   */
  async stop(id: string): Promise<void> {
    await this.#actors.get(this.#text(id))?.stop("stopped");
  }

  /** End a session's life now: what runs is broken off, what waits is refused. It sleeps then, as it was last stored. */
  async kill(id: string): Promise<void> {
    await this.#actors.get(this.#text(id))?.kill("was killed");
  }

  /** End a session's life now, and remove it with everything in it. @throws SessionError `session_not_found` */
  async remove(id: string): Promise<void> {
    await this.kill(id);
    await this.#sessions.remove(id);
  }

  /** Somebody is still interested: moves the idle timeout, and the session's own deadline. @throws SessionError `session_not_found` */
  async updateActivity(id: string): Promise<void> {
    this.#actors.get(this.#text(id))?.touch();
    await (await this.#sessions.get(id)).touch();
  }

  /** A session as it lives here; undefined where it does not. */
  get(id: string): LiveInfo | undefined {
    const actor = this.#actors.get(this.#text(id));
    return actor === undefined ? undefined : infoOf(actor);
  }

  /** The sessions that live here, the one spoken to longest ago first. */
  list(): readonly LiveInfo[] {
    return [...this.#actors.values()].map(infoOf);
  }

  metrics(): HostMetrics {
    const byPhase = { starting: 0, live: 0, restarting: 0, failed: 0, stopping: 0, gone: 0 };
    const byAgent = new Map<string, number>();
    let mailbox = 0;
    for (const actor of this.#actors.values()) {
      byPhase[actor.phase]++;
      mailbox += actor.mailbox;
      if (actor.agent !== undefined) byAgent.set(actor.agent, (byAgent.get(actor.agent) ?? 0) + 1);
    }
    return {
      live: this.#capacity.used,
      liveMax: this.#options.maxSessions,
      waiting: this.#capacity.waiting,
      byPhase,
      byAgent: Object.fromEntries(byAgent),
      mailbox,
      counts: { ...this.#counts },
      rejected: this.#rejected,
      timers: this.#wheel.size,
      workers: this.#cells.all().map((cell) => cell.memoryBytes()),
    };
  }

  /**
   * Put all sessions to sleep and end the workers. Calling it again does nothing.
   * @throws AggregateError of what kept sessions from sleeping as they should
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const failures: unknown[] = [];
    const actors = [...this.#actors.values()];
    await inParallel(64, actors, async (actor) => {
      try {
        await actor.stop("its host was closed");
      } catch (error) {
        failures.push(error);
      }
    });
    await this.#cells.close();
    this.#wheel.close();
    if (failures.length > 0)
      throw new AggregateError(failures, `${failures.length} sessions did not sleep as they should`);
  }

  /** Do something with the session's actor. One that is about to end takes nothing more: a new one follows it. */
  async #with<T>(id: string, reason: string, use: (actor: Actor) => Promise<T>): Promise<T> {
    const key = this.#key(id);
    const text = keyText(key);
    for (;;) {
      if (this.#closing !== undefined) throw new SessionError("closed", { name: "this host" });
      const actor = this.#actors.get(text) ?? new Actor(key, this.#surroundings, reason);
      if (!actor.isEnding) {
        this.#actors.delete(text);
        this.#actors.set(text, actor); // the one spoken to last comes last
        return await use(actor);
      }
      await actor.gone;
    }
  }

  #key(id: string): SessionKey {
    return { tenant: this.tenant, id: parseId(id, "session id") };
  }

  #text(id: string): string {
    return keyText(this.#key(id));
  }

  #forget(actor: Actor): void {
    const text = keyText(actor.key);
    if (this.#actors.get(text) === actor) this.#actors.delete(text);
  }

  async #enterPlace(signal: AbortSignal): Promise<void> {
    const { whenFull } = this.#options;
    if (this.#capacity.tryEnter()) return;
    if (whenFull === "reject") {
      this.#rejected++;
      throw this.#capacity.full();
    }
    const entered = this.#capacity.enter(signal);
    this.#makeRoom();
    await entered;
  }

  /** Whoever is at work is let work: who waits gets its place when it has nothing to do. */
  #makeRoom(): void {
    if (this.#options.whenFull !== "passivate-least-recent" || this.#capacity.waiting === 0) return;
    for (const actor of this.#actors.values()) {
      if (!actor.isIdle) continue;
      void actor.stop("others needed its place").catch(() => undefined); // told where it happened
      return;
    }
  }

  #idleTimeoutMs({ agent, timeoutMinutes }: Profile): number {
    if (timeoutMinutes !== undefined && timeoutMinutes > 0) return timeoutMinutes * 60_000;
    const idleTimeout = this.#core.options.agents?.get(agent)?.idleTimeout;
    return idleTimeout === undefined ? this.#options.idleTimeoutMs : parseDuration(idleTimeout, "idleTimeout");
  }

  #tell(event: HostEvent): void {
    this.#counts[event.type]++;
    if (hostEvents.hasSubscribers) hostEvents.publish(event);
  }

  /** A session that somebody else has: where, if that is a host that says so. */
  async #explain({ tenant, id: sessionId }: SessionKey, error: Error): Promise<Error> {
    if (!hasCode(error, "busy")) return error;
    const owner = error.details.holder;
    const { instances } = await this.#core.store.instances([owner]);
    const address = instances[0]?.address ?? null;
    return address === null
      ? error
      : new SessionError("not_owner", { sessionId, tenant, owner, address }, { cause: error });
  }

  async #quietly(session: SessionKey, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      // Its next owner puts it in order; that it was not done now is told.
      if (hasCode(cause, "session_not_found")) return;
      const error = cause instanceof Error ? cause : new Error(String(cause));
      this.#tell({ type: "untidy", session, agent: undefined, cause: error });
    }
  }
}

function infoOf(actor: Actor): LiveInfo {
  const { key, phase, agent, mailbox, restarts, ageMs, idleMs, memoryBytes, failure } = actor;
  return { id: key.id, tenant: key.tenant, phase, agent, mailbox, restarts, ageMs, idleMs, memoryBytes, failure };
}

/** So many at a time. */
async function inParallel<T>(width: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const item of queue) await work(item);
    }),
  );
}
