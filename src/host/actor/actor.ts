/**
 * One session under the supervision of its host, as a state machine:
 *
 * - *starting*: the session is activated. Exits to live, restarting, failed, stopping, gone.
 * - *live*: it answers messages, or is idle. Exits to restarting, failed, stopping.
 * - *restarting*: its runtime failed; a pause or the restart queue delays the next activation. Exits to starting, stopping.
 * - *failed*: its runtime failed too often. Exits to starting (by `start`), and to gone after an hour.
 * - *stopping*: it is passivated, killed, or lost to another host. Exits to gone, and to live if the store was away.
 * - *gone*: final. A later message makes a new actor; two actors of a session never coexist.
 *
 * The `Mailbox` keeps the waiting messages, and the `Supervisor` decides about restarts.
 */
import type { SessionKey } from "../../domain/record/entry.ts";
import { defined } from "../../domain/values/defined.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { traceStep } from "../../sessions/tracing/operation.ts";
import { endOf, RuntimeEnd, type Activation } from "../workers/worker-slot.ts";
import type { ActorContext } from "./actor-context.ts";
import { errorForCaller, failedError, idsOf, stoppedError } from "./actor-errors.ts";
import { CurrentActivation } from "./current-activation.ts";
import { CurrentStep } from "./current-step.ts";
import { deliver } from "./delivery.ts";
import { killSession, loseSession, stopSession, tryPassivate, type EndingSession } from "./ending.ts";
import { Mailbox, type QueuedMessage } from "./mailbox.ts";
import { Supervisor } from "./supervisor.ts";
import { asError } from "../runtime/runtime.ts";
import type { Alarm } from "./timer-wheel.ts";

/** Phase of a live session under the supervision of its host. */
export type Phase = "starting" | "live" | "restarting" | "failed" | "stopping" | "gone";

/** Delivery attempts for a message, if the attempts before failed because of another session. */
const attemptsMax = 3;
/** A message that only activates the session. */
const wakeUp = Symbol("wake up");
/** The host keeps a failed session for this time; after it, the next message tries again. */
const failedKeptMs = 3_600_000;
/** Pause before another attempt to make room, after the store prevented a passivation, ms. */
const keptForMs = 1000;

export class Actor {
  readonly key: SessionKey;
  readonly #host: ActorContext;
  readonly #mailbox: Mailbox;
  readonly #supervisor: Supervisor;
  readonly #step: CurrentStep;
  readonly #code = new CurrentActivation();
  readonly #gone = Promise.withResolvers<void>();
  readonly #endListeners: (() => void)[] = [];
  #phase: Phase = "starting";
  #waking: Promise<unknown> | undefined;
  #isWorking = false;
  #onWorkDone: (() => void) | undefined;
  /** The end of the runtime, when it came outside of any step. */
  #runtimeEnd: RuntimeEnd | undefined;
  #keptAt = Number.NEGATIVE_INFINITY;
  #ending: Promise<void> | undefined;
  /** `kill` was called while it stopped. */
  #isKilled = false;
  #alarm: Alarm | undefined;
  #activeAt: number;
  #requests = 0;
  #requestsMs = 0;
  readonly #createdAt: number;
  #hasSlot = false;
  #reason: string;

  constructor(key: SessionKey, host: ActorContext, reason: string) {
    this.key = key;
    this.#host = host;
    this.#mailbox = new Mailbox(key, host.options);
    this.#supervisor = new Supervisor(host);
    this.#step = new CurrentStep(host.wheel);
    this.#reason = reason;
    this.#activeAt = host.clock.now();
    this.#createdAt = this.#activeAt;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /**
   * Calls `listener` when the actor is gone, or live again after a passivation that the store prevented. Listeners run
   * synchronously and in order, before any later call can reach the session.
   */
  whenEnded(listener: () => void): void {
    this.#endListeners.push(listener);
  }

  get isEnding(): boolean {
    return this.#phase === "stopping" || this.#phase === "gone";
  }

  /** Live, without a current or waiting message. */
  get isIdle(): boolean {
    return this.#phase === "live" && !this.#isWorking && this.#mailbox.length === 0;
  }

  get agent(): string | undefined {
    return this.#code.running?.profile.agent;
  }

  get mailbox(): number {
    return this.#mailbox.length;
  }

  get restarts(): number {
    return this.#supervisor.restarts;
  }

  get ageMs(): number {
    return this.#host.clock.now() - this.#createdAt;
  }

  get idleMs(): number {
    return this.#host.clock.now() - this.#activeAt;
  }

  /** Messages answered, and requests that `updateActivity` reported. */
  get requests(): number {
    return this.#requests;
  }

  get requestsMs(): number {
    return this.#requestsMs;
  }

  get memoryBytes(): number | undefined {
    return this.#code.running?.memoryBytes;
  }

  get fence(): number | undefined {
    return this.#code.running?.fence;
  }

  /** The failure after which it was not restarted. */
  get failure(): string | undefined {
    return this.#supervisor.lastFailure?.message;
  }

  /** Queues a message. @throws SessionError `mailbox_full`, `session_failed`, and the errors of the answer */
  async send(message: unknown): Promise<unknown> {
    if (this.#phase === "failed") throw this.#failedError();
    const answer = this.#mailbox.push(message);
    this.touch();
    this.#supervisor.prioritize();
    this.#work();
    return await answer;
  }

  /** Activates the session, also in phase failed. */
  async start(): Promise<void> {
    if (this.#phase === "live") return;
    if (this.#phase === "failed") {
      this.#phase = "starting";
      this.#alarm?.cancel();
      this.#alarm = undefined;
      this.#supervisor.reset();
    }
    // Concurrent calls share one activation.
    this.#waking ??= this.send(wakeUp).finally(() => (this.#waking = undefined));
    await this.#waking;
  }

  /** Records activity. */
  touch(): void {
    this.#activeAt = this.#host.clock.now();
  }

  /** Counts a request that is answered. */
  countRequest(ms: number): void {
    this.#requests++;
    this.#requestsMs += ms;
  }

  /** Passivates the session if it has been idle for this time, or for its idle timeout; returns whether it did. */
  async terminateIfIdle(idleForMs: number | undefined): Promise<boolean> {
    return await this.#passivateIfIdle(idleForMs);
  }

  /** Handles the end of the runtime, during a step or between steps. */
  #handleRuntimeEnd(end: RuntimeEnd): void {
    if (!this.#step.interrupt(end)) this.#runtimeEnd = end;
    this.#work();
  }

  /** Another process has the lease, with a newer fencing token. */
  lost(storedFence = 0): void {
    const error = new SessionError("fenced", { ...idsOf(this.key), fence: this.fence ?? 0, storedFence });
    if (!this.#step.interrupt(error)) void this.#end(() => loseSession(this.#parts(), error));
  }

  /** Whether it may be passivated to make room; not shortly after the store prevented that. */
  get mayMakeRoom(): boolean {
    return this.isIdle && this.#host.clock.now() - this.#keptAt >= keptForMs;
  }

  /** Passivates an idle session to free its slot; while the store is away it stays live. */
  async makeRoom(): Promise<void> {
    const activation = this.#code.running;
    if (!this.isIdle || activation === undefined) return;
    const passivate = (): Promise<void> => activation.passivate("another session needed its slot");
    await this.#end(() => tryPassivate(this.#parts(), activation, passivate));
  }

  /** Answers the waiting messages, then passivates the session; kills it after `stopTimeout`. @throws SessionError the store's */
  async stop(reason: string): Promise<void> {
    // A passivation that was under way, and that the store prevents, leaves the actor live: then stop it again.
    while (this.#phase !== "gone") await this.#end(() => stopSession(this.#parts(), reason));
  }

  /** Ends the session now, without saving its state. */
  kill(): Promise<void> {
    if (this.#phase === "stopping") {
      this.#isKilled = true;
      this.#step.interrupt(stoppedError(this.key, "killed"));
      this.#mailbox.rejectAll(() => stoppedError(this.key, "killed"));
    }
    return this.#end(() => killSession(this.#parts()));
  }

  #end(how: () => Promise<"kept" | void>): Promise<void> {
    if (this.#phase === "gone") return this.#gone.promise;
    this.#ending ??= this.#finish(how);
    return this.#ending;
  }

  async #finish(how: () => Promise<"kept" | void>): Promise<void> {
    this.#phase = "stopping";
    this.#alarm?.cancel();
    this.#alarm = undefined;
    let outcome: "kept" | void = undefined;
    try {
      outcome = await how();
    } finally {
      if (outcome !== "kept") this.#becomeGone();
    }
    if (outcome !== "kept") return;
    this.#keptAt = this.#host.clock.now();
    this.#phase = "live";
    this.#ending = undefined;
    this.touch();
    this.#callEndListeners();
    this.#startIdleTimer();
  }

  #becomeGone(): void {
    this.#phase = "gone";
    this.#alarm?.cancel();
    this.#mailbox.rejectAll(() => stoppedError(this.key, "ended"));
    this.#giveSlotBack();
    this.#host.forget(this.key);
    this.#gone.resolve();
    this.#callEndListeners();
  }

  #callEndListeners(): void {
    for (const call of this.#endListeners.splice(0)) call();
  }

  /** Starts the work loop, unless it is running. */
  #work(): void {
    if (this.#isWorking) return;
    this.#isWorking = true;
    void this.#run().finally(() => {
      this.#isWorking = false;
      const isOver = this.#phase === "failed" || this.#phase === "gone";
      if (!isOver && (this.#mailbox.length > 0 || this.#runtimeEnd !== undefined)) this.#work();
      else this.#startIdleTimer();
      this.#onWorkDone?.();
    });
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#phase === "failed" || this.#phase === "gone") return;
      const end = this.#runtimeEnd;
      this.#runtimeEnd = undefined;
      if (end !== undefined && this.#code.running !== undefined && !(await this.#crashed(end))) return;
      if (this.#mailbox.length === 0 && (this.#code.running !== undefined || this.#phase === "stopping")) return;
      if (this.#code.running === undefined) {
        // A failed activation may be retried, or `stop` and `kill` end it meanwhile.
        if (this.#supervisor.isDisplaced ? await this.#activateInTurn() : await this.#activate()) continue;
        return;
      }
      const queued = this.#mailbox.shift();
      if (queued !== undefined && !(await this.#handle(this.#code.running, queued))) return;
    }
  }

  /** Activates a displaced session when the restart queue gives it its turn. Returns whether the loop continues. */
  async #activateInTurn(): Promise<boolean> {
    const step = this.#step.wait(() => this.#supervisor.leaveQueue());
    const endTurn = await this.#supervisor.turn(this.#mailbox.length > 0);
    step.done();
    if (endTurn === undefined) return true;
    try {
      return await this.#activate();
    } finally {
      endTurn();
    }
  }

  /** Takes a slot and activates the session. Returns whether the loop continues. */
  async #activate(): Promise<boolean> {
    const abort = new AbortController();
    const { turnTimeoutMs } = this.#host.options;
    const step = this.#interruptible(turnTimeoutMs, (error) => abort.abort(error));
    try {
      if (this.#phase !== "stopping") this.#phase = "starting";
      await this.#takeSlot(abort.signal);
      const activation = await this.#traced("activate", this.#mailbox.first, () =>
        // Chosen and occupied in one synchronous step, so that concurrent activations spread over the slots.
        this.#code.open(this.#host.freeWorkerSlot(), this.key, {
          reason: this.#reason,
          signal: abort.signal,
          ended: (end) => this.#handleRuntimeEnd(end),
        }),
      );
      this.#code.begin(activation);
      if (this.#phase === "starting") this.#phase = "live";
      this.#host.publish({ type: this.#supervisor.restarts > 0 ? "restarted" : "activated", ...this.#about() });
      return true;
    } catch (error) {
      if (error instanceof RuntimeEnd) return await this.#crashed(error);
      await this.#activationFailed(await this.#host.explain(this.key, asError(error)));
      return false;
    } finally {
      step.done();
    }
  }

  async #takeSlot(signal: AbortSignal): Promise<void> {
    if (this.#hasSlot) return;
    await this.#host.takeSlot(this.key, signal);
    this.#hasSlot = true;
  }

  #giveSlotBack(): void {
    if (!this.#hasSlot) return;
    this.#hasSlot = false;
    this.#host.giveSlotBack();
  }

  /** The session cannot be activated: rejects the waiting messages and ends the actor. */
  async #activationFailed(error: Error): Promise<void> {
    this.#mailbox.rejectAll(() => error);
    if (this.#phase !== "stopping") this.#becomeGone();
  }

  /** Answers one message. Returns whether the loop continues. */
  async #handle(activation: Activation, queued: QueuedMessage): Promise<boolean> {
    if (queued.message === wakeUp) {
      queued.resolve(undefined);
      return true;
    }
    const { promise: interrupted, reject } = Promise.withResolvers<never>();
    interrupted.catch(() => undefined); // the race below reports it
    const step = this.#interruptible(this.#host.options.turnTimeoutMs, reject);
    const started = performance.now();
    let isAnswered = false;
    queued.attempts++;
    try {
      await this.#traced("message", queued, () =>
        deliver(activation, queued, {
          interrupted,
          answered: () => (isAnswered = true),
          forCaller: (error) => errorForCaller(this.key, error),
        }),
      );
      this.touch();
      this.#supervisor.answered();
      const ms = performance.now() - started;
      this.countRequest(ms);
      this.#host.publish({ type: "message", ...this.#about(), ms });
      return true;
    } catch (cause) {
      const error = cause instanceof SessionError ? cause : endOf(cause);
      const mayRepeat = error instanceof RuntimeEnd && error.fault !== "own" && error.mayRepeat;
      if (mayRepeat && !isAnswered && queued.attempts < attemptsMax && this.#phase === "live")
        this.#mailbox.putBack(queued);
      else queued.reject(errorForCaller(this.key, error));
      if (error instanceof RuntimeEnd) return await this.#crashed(error);
      if (hasCode(error, "fenced") && this.#phase === "live") void this.#end(() => loseSession(this.#parts(), error));
      return !hasCode(error, "fenced");
    } finally {
      step.done();
    }
  }

  /** Runs a traced step for a message, in the async context of its sender. */
  #traced<T>(
    operation: "activate" | "message",
    message: QueuedMessage | undefined,
    work: () => Promise<T>,
  ): Promise<T> {
    const { tenant, id: session } = this.key;
    const { agent } = this;
    const context = { operation, tenant, session, ...defined({ agent }) };
    const traced = (): Promise<T> => traceStep(context, work);
    return message?.runInContext === undefined ? traced() : message.runInContext(traced);
  }

  /** Lets a timeout, `kill` or the end of the runtime interrupt the current step, until `done`. */
  #interruptible(ms: number, interrupt: (error: Error) => void): { done(): void } {
    return this.#step.begin(ms, interrupt, { key: this.key, slot: () => this.#code.slot });
  }

  /** Handles a failure of the runtime. Returns whether the loop continues with a restart. */
  async #crashed(end: RuntimeEnd): Promise<boolean> {
    this.#host.publish({ type: "crashed", ...this.#about(), cause: end });
    const reason = end.failure.causedBy === undefined ? `its runtime failed: ${end.message}` : end.message;
    const delayMs = this.#ending === undefined ? this.#supervisor.restartDelay(end) : null;
    await this.#drop(reason, { follows: delayMs === 0 });
    if (this.#ending !== undefined) {
      this.#mailbox.rejectAll(() => stoppedError(this.key, "stopped"));
      return false;
    }
    if (delayMs === null) {
      await this.#fail(end);
      return false;
    }
    this.#phase = "restarting";
    this.#reason = reason;
    this.#supervisor.restarting(end);
    if (delayMs > 0) {
      const step = this.#step.wait(() => this.#supervisor.interrupt());
      await this.#supervisor.pause(delayMs);
      step.done();
    }
    return true;
  }

  async #fail(end: RuntimeEnd): Promise<void> {
    this.#phase = "failed";
    this.#supervisor.failed(end);
    this.#mailbox.rejectAll(() => this.#failedError());
    this.#giveSlotBack();
    this.#alarm?.cancel(); // the idle timer of the activation that failed
    this.#alarm = this.#host.wheel.after(failedKeptMs, () => void this.#end(async () => undefined));
    this.#host.publish({ type: "failed", ...this.#about(), cause: end });
    await this.#host.recordFailure(this.key, { code: end.failure.how, message: end.message });
  }

  /** Sets the idle timer if none is set. It checks for later messages when it fires, so that a message moves no timer. */
  #startIdleTimer(): void {
    if (this.#phase !== "live") return;
    this.#host.becameIdle();
    if (this.#alarm !== undefined) return;
    this.#alarm = this.#host.wheel.after(this.#idleTimeoutMs() - this.idleMs, () => {
      this.#alarm = undefined;
      void this.#passivateIfIdle();
    });
  }

  #idleTimeoutMs(): number {
    const profile = this.#code.running?.profile;
    return profile === undefined ? this.#host.options.idleTimeoutMs : this.#host.idleTimeoutMs(profile);
  }

  /** Passivates the session if it has been idle for its idle timeout, or another time; returns whether it did. */
  async #passivateIfIdle(idleForMs?: number): Promise<boolean> {
    const activation = this.#code.running;
    if (!this.isIdle || activation === undefined) return false; // the end of its work sets the timer again
    try {
      this.#activeAt = Math.max(this.#activeAt, await activation.activeAt());
      if (!this.isIdle || this.idleMs < (idleForMs ?? this.#idleTimeoutMs())) {
        this.#startIdleTimer();
        return false;
      }
      await this.#end(() =>
        tryPassivate(this.#parts(), activation, async () => {
          await activation.notifyIdle();
          if (this.#code.running === activation) await activation.passivate("no messages within its idle timeout"); // unless it was killed meanwhile
        }),
      );
    } catch {
      // The event is published already; the session has ended, or stays live.
    }
    return this.#phase === "gone";
  }

  /** Ends the activation. When this resolves, none of its code runs or writes any more. */
  #drop(reason: string, next = { follows: false }): Promise<void> {
    this.#runtimeEnd = undefined;
    return this.#code.drop(reason, next);
  }

  /** The parts that `ending.ts` works on. */
  #parts(): EndingSession {
    return {
      key: this.key,
      host: this.#host,
      mailbox: this.#mailbox,
      supervisor: this.#supervisor,
      step: this.#step,
      code: this.#code,
      isKilled: () => this.#isKilled,
      publish: (event) => this.#host.publish({ ...event, ...this.#about() }),
      work: () => this.#work(),
      workDone: () => this.#workDone(),
      interruptible: (ms, interrupt) => this.#interruptible(ms, interrupt),
      drop: (reason) => this.#drop(reason),
    };
  }

  async #workDone(): Promise<void> {
    while (this.#isWorking) await new Promise<void>((resolve) => (this.#onWorkDone = resolve));
  }

  #failedError(): SessionError {
    const failures = this.#host.options.restart.max + 1;
    return failedError(this.key, { failures, last: this.#supervisor.lastFailure });
  }

  #about(): { session: SessionKey; agent: string | undefined; mailbox: number } {
    return { session: this.key, agent: this.agent, mailbox: this.mailbox };
  }
}
