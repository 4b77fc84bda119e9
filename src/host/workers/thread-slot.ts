import type { SessionKey } from "../../domain/record/entry.ts";
import type { Core } from "../../sessions/core/core.ts";
import { HostedSession } from "../runtime/hosted-session.ts";
import { SessionError } from "../../errors.ts";
import { defined } from "../../domain/values/defined.ts";
import { RuntimeEnd, type WorkerSlot, type Fault, type Opening, type Profile, type Activation } from "./worker-slot.ts";
import type { LifeId, WorkerStart } from "./wire.ts";
import { Worker, type WorkerKind } from "./worker.ts";
import { formatValue } from "../../domain/values/format-value.ts";

/** A worker that does not answer a `drop` for this long is ended with all its sessions, ms. */
const dropTimeoutMs = 1000;

/** Checks of a thread per stall timeout. */
const checksPerStall = 5;

/** How to start a worker. */
export interface WorkerPlan {
  readonly core: Core;
  readonly kind: WorkerKind;
  readonly memoryMax: number | undefined;
  readonly stallTimeoutMs: number;
  readonly start: WorkerStart;
  /** The worker belongs to one session, and ends with it. */
  readonly isOwn: boolean;
}

/** Sessions whose code runs in a worker thread or process. */
export class ThreadSlot implements WorkerSlot {
  readonly #plan: WorkerPlan;
  readonly #worker: Worker;
  readonly #started: Promise<void>;
  #isRepeatable = false;
  readonly #activations = new Map<LifeId, WorkerActivation>();
  /** The number of each activation's current call. If the worker ends, one of the started calls caused it. */
  readonly #currentCalls = new Map<LifeId, number>();
  /** Activations that are being dropped; those that the worker did not drop stay here until its end. */
  readonly #dropping = new Map<LifeId, SessionKey>();
  /** The session of each activation when the worker ended. */
  readonly #ended = new Map<LifeId, SessionKey>();
  /** Activations with a started call when the worker ended. */
  #suspects: ReadonlySet<LifeId> = new Set();
  #lastLife = 0;
  #stalls: NodeJS.Timeout | undefined;

  constructor(plan: WorkerPlan) {
    this.#plan = plan;
    this.#worker = new Worker(plan.core, {
      ...plan,
      lifeEnded: (life, end) => this.#activations.get(life)?.opening.ended(end),
    });
    this.#started = this.#startWorker();
    this.#started.catch(() => undefined); // `open` reports the error
    void this.#worker.ended.then((end) => this.#endActivations(end));
    if (!plan.isOwn) this.#watchForStalls();
  }

  /** Ends a thread that starts none of its waiting calls. */
  #watchForStalls(): void {
    const { stallTimeoutMs } = this.#plan;
    let begun = 0;
    let stalledChecks = 0;
    let isPinging = false;
    const check = (): void => {
      const { callCounter, sent } = this.#worker;
      const isStalled = callCounter.started === begun && begun > 0 && (begun < sent || isPinging);
      begun = callCounter.started;
      // Counts checks, not time, so that a pause of the whole process is not taken for a stalled thread.
      stalledChecks = isStalled ? stalledChecks + 1 : 0;
      // Calls that have started may wait for timers or the store, so only a ping shows whether the thread is
      // responsive.
      if (!isPinging && this.#currentCalls.size > 1) {
        isPinging = true;
        void this.#worker.calls.ping().then(
          () => (isPinging = false),
          () => undefined, // the worker ended
        );
      }
      if (stalledChecks < checksPerStall) return;
      void this.#worker.end(new RuntimeEnd({ how: "deadline", step: "stall", limitMs: stallTimeoutMs }));
    };
    this.#stalls = setInterval(check, stallTimeoutMs / checksPerStall).unref();
  }

  async #startWorker(): Promise<void> {
    const { repeatable } = await this.#worker.start(this.#plan.start);
    this.#isRepeatable = repeatable;
  }

  /**
   * Resolves when the worker accepts sessions.
   * @throws SessionError `runtime_invalid`, RuntimeEnd
   */
  get started(): Promise<void> {
    return this.#started;
  }

  /** Activations in this worker. */
  get size(): number {
    return this.#activations.size;
  }

  get isOver(): boolean {
    return this.#worker.isOver;
  }

  async open(key: SessionKey, opening: Opening): Promise<Activation> {
    const life = ++this.#lastLife;
    this.#activations.set(life, { key, opening });
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => undefined);
    const abort = (): void => aborted.reject(opening.signal.reason);
    opening.signal.addEventListener("abort", abort, { once: true });
    if (opening.signal.aborted) abort();
    try {
      await Promise.race([this.#started, aborted.promise]);
      const opened = this.trackCall(life, () => this.#worker.calls.open(life, key, opening.reason));
      const { fence, profile } = await Promise.race([opened, aborted.promise]);
      return new ThreadActivation(this, { life, key, fence, profile });
    } catch (error) {
      await this.drop(life, key, "it was not activated");
      throw error;
    } finally {
      opening.signal.removeEventListener("abort", abort);
    }
  }

  get calls(): Worker["calls"] {
    return this.#worker.calls;
  }

  isBlockedByOther({ tenant, id }: SessionKey): boolean {
    const { running } = this.#worker.callCounter;
    if (running === undefined) return false;
    const key = this.#keyOf(running);
    return key?.id !== id || key.tenant !== tenant;
  }

  /** Tracks a call during which the worker may end. */
  async trackCall<T>(life: LifeId, work: () => Promise<T>): Promise<T> {
    const before = this.#worker.sent;
    const working = work();
    const call = this.#worker.sent; // calls arrive at the worker in this order
    if (call > before) this.#currentCalls.set(life, call); // a value that cannot be cloned was not sent
    try {
      return await working;
    } catch (error) {
      // All calls get the same error; which session caused it differs.
      if (!(error instanceof RuntimeEnd) || !this.#worker.isOver) throw error;
      throw this.#endFor(life, await this.#worker.ended, call);
    } finally {
      if (this.#currentCalls.get(life) === call) this.#currentCalls.delete(life); // the activation may have started another call
    }
  }

  /** Removes an activation that has ended by itself. */
  async passivated(life: LifeId): Promise<void> {
    this.#activations.delete(life);
    if (this.#plan.isOwn) await this.#worker.end();
  }

  /** Ends an activation; if the worker does not answer, ends the worker. */
  async drop(life: LifeId, key: SessionKey, reason: string, next = { follows: false }): Promise<void> {
    this.#activations.delete(life);
    this.#dropping.set(life, key);
    if (this.#plan.isOwn || !(await this.#dropInWorker(life, reason))) await this.#worker.end();
    this.#dropping.delete(life);
    if (next.follows || !this.#worker.isOver) return;
    try {
      await HostedSession.passivateAbandoned(this.#plan.core, key, reason);
    } catch {
      // The store is away. The lease belongs to a dead instance, so the next owner recovers the session.
    }
  }

  /** Returns false if the worker did not answer. */
  async #dropInWorker(life: LifeId, reason: string): Promise<boolean> {
    if (this.#worker.isOver) return true;
    const noAnswer = Promise.withResolvers<false>();
    const timer = setTimeout(() => noAnswer.resolve(false), dropTimeoutMs);
    const answered = this.#worker.calls.drop(life, reason).then(
      () => true,
      () => true, // the worker ended meanwhile
    );
    try {
      return await Promise.race([answered, noAnswer.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    this.#activations.clear();
    await this.#worker.end();
  }

  memoryBytes(): number | undefined {
    return this.#worker.heapBytes;
  }

  /** Heap of the session's own worker, bytes. */
  ownMemoryBytes(): number | undefined {
    return this.#plan.isOwn ? this.memoryBytes() : undefined;
  }

  #endActivations(end: RuntimeEnd): void {
    clearInterval(this.#stalls);
    for (const [life, { key }] of this.#activations) this.#ended.set(life, key);
    for (const [life, key] of this.#dropping) this.#ended.set(life, key);
    const startedCalls = [...this.#currentCalls].filter(([, call]) => this.#wasStarted(call));
    this.#suspects = new Set(startedCalls.map(([life]) => life));
    for (const [life, { opening }] of this.#activations)
      opening.ended(this.#endFor(life, end, this.#currentCalls.get(life)));
    this.#activations.clear();
  }

  /** The end of the worker, as the end of one activation with or without a current call. */
  #endFor(life: LifeId, { failure, cause }: RuntimeEnd, call = Number.POSITIVE_INFINITY): RuntimeEnd {
    const fault = this.#faultOf(life);
    const causedBy = fault === "another's" ? this.#causeOfEnd() : undefined;
    return new RuntimeEnd(
      { ...failure, ...defined({ causedBy }) },
      { cause, fault, mayRepeat: this.#isRepeatable || !this.#wasStarted(call) },
    );
  }

  #wasStarted(call: number): boolean {
    return call <= this.#worker.callCounter.started;
  }

  #keyOf(life: LifeId): SessionKey | undefined {
    return this.#activations.get(life)?.key ?? this.#dropping.get(life) ?? this.#ended.get(life);
  }

  /** The id of the session that caused the end of the worker; undefined if several may have done it. */
  #causeOfEnd(): string | undefined {
    const { running } = this.#worker.callCounter;
    const life = running ?? (this.#suspects.size === 1 ? [...this.#suspects][0] : undefined);
    return life === undefined ? undefined : this.#keyOf(life)?.id;
  }

  /** Which session caused the end of the worker, as far as this one is concerned. */
  #faultOf(life: LifeId): Fault {
    if (this.#plan.isOwn) return "own";
    const { running } = this.#worker.callCounter;
    if (running !== undefined) return running === life ? "own" : "another's";
    if (this.#suspects.size === 0) return "in doubt";
    if (!this.#suspects.has(life)) return "another's";
    return this.#suspects.size === 1 ? "own" : "in doubt";
  }
}

/** An activation in a worker. */
interface WorkerActivation {
  readonly key: SessionKey;
  readonly opening: Opening;
}

interface ActivationFacts {
  readonly life: LifeId;
  readonly key: SessionKey;
  readonly fence: number;
  readonly profile: Profile;
}

/** A session in a worker. */
class ThreadActivation implements Activation {
  readonly fence: number;
  readonly profile: Profile;
  readonly #slot: ThreadSlot;
  readonly #life: LifeId;
  readonly #key: SessionKey;

  constructor(slot: ThreadSlot, { life, key, fence, profile }: ActivationFacts) {
    this.#slot = slot;
    this.#life = life;
    this.#key = key;
    this.fence = fence;
    this.profile = profile;
  }

  get memoryBytes(): number | undefined {
    return this.#slot.ownMemoryBytes();
  }

  async deliver(message: unknown): Promise<unknown> {
    const delivered = await this.#call((calls) => calls.deliver(this.#life, message)).catch((error: unknown) => {
      throw copyError(message, error);
    });
    return "inParts" in delivered ? this.#parts() : delivered.value;
  }

  #parts(): AsyncIterableIterator<unknown> {
    const parts: AsyncIterableIterator<unknown> = {
      next: () => this.#call((calls) => calls.next(this.#life)),
      return: async () => {
        await this.#call((calls) => calls.stopReading(this.#life));
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => parts,
    };
    return parts;
  }

  async activeAt(): Promise<number> {
    return await this.#call((calls) => calls.activeAt(this.#life));
  }

  async isCurrent(): Promise<boolean> {
    return await this.#call((calls) => calls.isCurrent(this.#life));
  }

  async notifyIdle(): Promise<void> {
    await this.#call((calls) => calls.notifyIdle(this.#life));
  }

  async passivate(reason: string): Promise<void> {
    await this.#call((calls) => calls.passivate(this.#life, reason));
    await this.#slot.passivated(this.#life);
  }

  async drop(reason: string, next?: { readonly follows: boolean }): Promise<void> {
    await this.#slot.drop(this.#life, this.#key, reason, next);
  }

  async #call<T>(call: (calls: ThreadSlot["calls"]) => Promise<T>): Promise<T> {
    return await this.#slot.trackCall(this.#life, () => call(this.#slot.calls));
  }
}

/** A message that cannot be cloned is the caller's error. */
function copyError(message: unknown, cause: unknown): unknown {
  if (!(cause instanceof DOMException)) return cause;
  const details = { name: "message", value: formatValue(message), expected: "cloneable" } as const;
  return new SessionError("argument_invalid", details, { cause });
}
