import { parseDuration } from "../domain/values/duration.ts";
import { keyText, type SessionKey } from "../domain/record/entry.ts";
import { parseId } from "../domain/values/ids.ts";
import { hasCode, SessionError } from "../errors.ts";
import type { Core } from "../sessions/core/core.ts";
import type { EnsureOptions } from "../sessions/session/opening.ts";
import { RestartQueue } from "./restart-queue.ts";
import { isLive } from "../sessions/instances/liveness.ts";
import { HostedSession } from "./runtime/hosted-session.ts";
import { coreOf, type Sessions } from "../sessions/sessions.ts";
import { Actor, type Phase } from "./actor.ts";
import { Capacity } from "./capacity.ts";
import { RuntimeEnd, type Profile } from "./workers/worker-slot.ts";
import { openWorkerSlots, type WorkerSlots } from "./workers/worker-slots.ts";
import { resolveHostOptions, type HostOptions, type Isolation, type ResolvedHostOptions } from "./runtime/options.ts";
import { inParallel } from "./in-parallel.ts";
import { abandoned } from "./recovery.ts";
import { asError } from "./runtime/runtime.ts";
import { publishHostEvent, type HostEvent, type Surroundings } from "./actor-context.ts";
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

/** How a host takes over what dead ones left behind. */
export interface RecoverOptions {
  /**
   * `"lazy"`: at once, for each session is woken when it is spoken to; `"eager"`: all of them are woken now, as far as there is
   * room for them, and from here on those of each host that dies. @default "lazy"
   */
  readonly mode?: "lazy" | "eager";
  /** Called after each session of an eager recovery. */
  readonly onProgress?: (progress: Recovery) => void;
  /** Breaks an eager recovery off; what has been woken stays awake. */
  readonly signal?: AbortSignal;
}

/** What an eager recovery has come to. */
export interface Recovery {
  /** Sessions that were live in a program that is gone. */
  readonly found: number;
  readonly recovered: number;
  /** Others were faster. */
  readonly elsewhere: number;
  /** For which there was no place: they wake when they are spoken to, as after a lazy recovery. */
  readonly left: number;
  /** Those that could not be woken, and why; at most a thousand of them. */
  readonly broken: readonly { readonly id: string; readonly error: Error }[];
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

/** Sessions woken at the same time by an eager recovery: many share a commit, but not many threads start at once. */
const wokenAtOnce: Readonly<Record<Isolation, number>> = { inline: 64, pool: 64, session: 16, process: 16 };
/** Records in one question whether sessions are still this host's. */
const verifiedAtOnce = 500;
const brokenMax = 1000;

/**
 * Start a host: it keeps many sessions live, each with code of its own, none able to hurt another.
 * @throws SessionError `argument_invalid`, `duration_invalid`, `runtime_invalid`
 */
export async function startHost(sessions: Sessions, options: HostOptions): Promise<Host> {
  const core = coreOf(sessions);
  core.guardOpen();
  const resolved = resolveHostOptions(options);
  const cells = await openWorkerSlots(core, sessions.tenant, resolved);
  if (resolved.address !== null) await core.instance.announce(resolved.address);
  return new Host(core, sessions, resolved, cells);
}

/** Live sessions of one tenant. Close it before the `Sessions` it runs on. */
export class Host implements AsyncDisposable {
  readonly tenant: string;
  readonly #core: Core;
  readonly #sessions: Sessions;
  readonly #options: ResolvedHostOptions;
  readonly #cells: WorkerSlots;
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
  readonly #onLapse = (): void => void this.#verify().catch(() => undefined); // asked again before each message
  #rejected = 0;
  #watchesHosts = false;
  /** Dead hosts whose sessions have been taken over. */
  #buried: ReadonlySet<string> = new Set();
  #closing: Promise<void> | undefined;

  /** Made by {@link startHost}. */
  constructor(core: Core, sessions: Sessions, options: ResolvedHostOptions, cells: WorkerSlots) {
    this.tenant = sessions.tenant;
    this.#core = core;
    this.#sessions = sessions;
    this.#options = options;
    this.#cells = cells;
    this.#wheel = new TimerWheel(core.options.clock);
    this.#capacity = new Capacity(options.maxSessions);
    // Each session is asked again before its next message; those nobody speaks to are let go here.
    core.instance.onLapse.add(this.#onLapse);
    this.#surroundings = {
      clock: core.options.clock,
      wheel: this.#wheel,
      options,
      tell: (event) => this.#tell(event),
      cell: () => cells.free(),
      enterPlace: (signal) => this.#enterPlace(signal),
      leavePlace: () => this.#capacity.exit(),
      returns: new RestartQueue(() => {
        if (this.#closing === undefined) cells.settle();
      }),
      rested: () => this.#makeRoom(),
      forget: (actor) => this.#forget(actor),
      explain: (key, error) => this.#explain(key, error),
      idleTimeoutMs: (profile) => this.#idleTimeoutMs(profile),
      giveUp: (key, cause) => this.#quietly(key, () => HostedSession.giveUp(core, key, cause)),
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

  /**
   * Go on with the sessions that were live in programs that are gone. Those that cannot be woken are reported, and hold up
   * none of the others. Where `maxSessions` are live, whatever `whenFull` says, the rest is left to be woken when it is spoken
   * to: nobody gives way to who may not be needed.
   * @throws SessionError the store's; the signal's reason
   */
  async recover({ mode = "lazy", onProgress, signal }: RecoverOptions = {}): Promise<Recovery> {
    const broken: Recovery["broken"][number][] = [];
    const recovery = { found: 0, recovered: 0, elsewhere: 0, left: 0, broken };
    if (mode === "lazy") return recovery;
    this.#watchHosts();
    for await (const records of abandoned(this.#core, this.#sessions.tenant, { signal })) {
      recovery.found += records.length;
      await inParallel(wokenAtOnce[this.#options.isolation], records, async ({ id, tenant, agent }) => {
        signal?.throwIfAborted();
        const outcome = await this.#recoverOne({ tenant, id }, agent);
        if (typeof outcome === "string") recovery[outcome]++;
        else if (broken.length < brokenMax) broken.push({ id, error: outcome });
        onProgress?.(recovery);
      });
    }
    return recovery;
  }

  /** Wake one where there is room for it: what became of it, or why it cannot be woken. @throws SessionError `closed` */
  async #recoverOne(session: SessionKey, agent: string): Promise<"recovered" | "elsewhere" | "left" | Error> {
    if (this.#capacity.isFull && !this.#actors.has(keyText(session))) return "left";
    try {
      await this.#with(session.id, "its host is gone", (actor) => actor.start());
    } catch (cause) {
      if (hasCode(cause, "closed")) throw cause;
      if (hasCode(cause, "not_owner") || hasCode(cause, "busy")) return "elsewhere";
      return hasCode(cause, "host_full") ? "left" : asError(cause); // somebody was spoken to meanwhile
    }
    this.#tell({ type: "recovered", session, agent });
    return "recovered";
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

  /** So many of the sessions that live here, by id, those behind `after`: also of a hundred thousand a quick look. */
  page({ after = "", limit }: { readonly after?: string; readonly limit: number }): readonly LiveInfo[] {
    let page: Actor[] = [];
    let last: string | undefined;
    for (const actor of this.#actors.values()) {
      const { id } = actor.key;
      if (id <= after || (last !== undefined && id >= last)) continue;
      page.push(actor);
      if (page.length < 2 * limit) continue;
      page = page.sort(byId).slice(0, limit);
      last = page.at(-1)?.key.id;
    }
    return page.sort(byId).slice(0, limit).map(infoOf);
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
    this.#core.instance.onLapse.delete(this.#onLapse);
    this.#wheel.close();
    if (failures.length > 0)
      throw new AggregateError(failures, `${failures.length} sessions did not sleep as they should`);
  }

  /** After a time in which nobody heard of this process: which sessions are still its own? */
  async #verify(): Promise<void> {
    const actors = [...this.#actors.values()].filter(({ fence }) => fence !== undefined);
    for (let from = 0; from < actors.length; from += verifiedAtOnce) {
      const some = actors.slice(from, from + verifiedAtOnce);
      const fences = some.map(({ fence }) => fence);
      const records = await this.#core.findAll(some.map(({ key }) => key));
      some.forEach((actor, index) => {
        const isSameLife = actor.fence === fences[index];
        if (isSameLife && records[index]?.lease?.fence !== actor.fence) actor.lost(records[index]?.fence);
      });
    }
  }

  /** Look now and then whether a host has died, and take over what it had. */
  #watchHosts(): void {
    if (this.#watchesHosts) return;
    this.#watchesHosts = true;
    const look = (): void => {
      void this.#takeOverFromDead().catch(() => undefined); // the store is away: the next look tries again
      this.#wheel.after(this.#core.options.staleAfterMs, look);
    };
    this.#wheel.after(this.#core.options.staleAfterMs, look);
  }

  async #takeOverFromDead(): Promise<void> {
    const { now, instances } = await this.#core.store.instances("hosts");
    const { staleAfterMs } = this.#core.options;
    const dead = instances.filter((instance) => !isLive(instance, { now, staleAfterMs }));
    if (dead.every(({ id }) => this.#buried.has(id))) return;
    await this.recover({ mode: "eager" });
    this.#buried = new Set(dead.map(({ id }) => id));
  }

  /** Do something with the session's actor. One that is about to end takes nothing more: a new one follows it. */
  async #with<T>(id: string, reason: string, use: (actor: Actor) => Promise<T>): Promise<T> {
    const key = this.#key(id);
    const text = keyText(key);
    if (this.#closing !== undefined) throw new SessionError("closed", { name: "this host" });
    const actor = this.#actors.get(text) ?? new Actor(key, this.#surroundings, reason);
    if (actor.isEnding) {
      // Up to `use` nothing is awaited, so those who wait for a new one come by it in their order.
      return await new Promise((resolve) => actor.whenEnded(() => resolve(this.#with(id, reason, use))));
    }
    this.#actors.delete(text);
    this.#actors.set(text, actor); // the one spoken to last comes last
    return await use(actor);
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
    try {
      await entered;
    } catch (error) {
      if (!(error instanceof RuntimeEnd)) throw error;
      // Its time was up before there was a place: no fault of its code, which did not run.
      this.#rejected++;
      throw this.#capacity.full();
    }
  }

  /** Whoever is at work is let work: who waits gets its place when it has nothing to do. */
  #makeRoom(): void {
    if (this.#options.whenFull !== "passivate-least-recent" || this.#capacity.waiting === 0) return;
    for (const actor of this.#actors.values()) {
      if (!actor.mayGiveWay) continue;
      void actor.giveWay().catch(() => undefined); // told where it happened
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
    publishHostEvent(event);
  }

  /** A session that somebody else has: where, if that is a host that says so. */
  async #explain({ tenant, id: sessionId }: SessionKey, error: Error): Promise<Error> {
    if (!hasCode(error, "busy")) return error;
    const owner = error.details.holder;
    const { instances } = await this.#core.store.instances([owner]);
    const address = instances[0]?.address ?? null;
    // What holds it in this very program is no host's, and cannot be sent to.
    return address === null || address === this.#options.address
      ? error
      : new SessionError("not_owner", { sessionId, tenant, owner, address }, { cause: error });
  }

  async #quietly(session: SessionKey, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      // Its next owner puts it in order; that it was not done now is told.
      if (hasCode(cause, "session_not_found")) return;
      this.#tell({ type: "untidy", session, agent: undefined, cause: asError(cause) });
    }
  }
}

function byId(a: Actor, b: Actor): number {
  return a.key.id < b.key.id ? -1 : 1;
}

function infoOf(actor: Actor): LiveInfo {
  const { key, phase, agent, mailbox, restarts, ageMs, idleMs, memoryBytes, failure } = actor;
  return { id: key.id, tenant: key.tenant, phase, agent, mailbox, restarts, ageMs, idleMs, memoryBytes, failure };
}
