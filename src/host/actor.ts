/**
 * One session under the care of its host.
 *
 * It is *starting* while it is taken in and its runtime wakes; *live* until it is put to sleep, killed, or lost to another
 * host; *restarting* between a failure of its runtime and the next start; *failed* when it failed too often, until
 * somebody starts it or an hour has passed; *stopping* from the wish to end it until that is certain; then *gone*, for good:
 * who speaks to the session afterwards meets a new actor, never two at once.
 */
import type { SessionKey } from "../domain/record/entry.ts";
import { hasCode, SessionError } from "../errors.ts";
import { contextOfCall, part } from "../sessions/tracing/operation.ts";
import { isStream } from "./workers/inline-slot.ts";
import { endOf, RuntimeEnd, type WorkerSlot, type Activation } from "./workers/worker-slot.ts";
import type { Surroundings } from "./actor-context.ts";
import { Mailbox, messageBytes, type Letter } from "./mailbox.ts";
import { relay } from "./relay.ts";
import { Restarts } from "./runtime/restarts.ts";
import type { QueuedRestart } from "./restart-queue.ts";
import { asError, reasonOf } from "./runtime/runtime.ts";
import type { Alarm } from "./timer-wheel.ts";

/** Where a session stands under the care of its host. */
export type Phase = "starting" | "live" | "restarting" | "failed" | "stopping" | "gone";

/** So often a message is tried at most, where those before failed by another's doing. */
const triesMax = 3;
/** A letter that asks for nothing but that the session be live. */
const wakeUp = Symbol("wake up");
/** What failed too often is forgotten after so long, so that the next message tries again. */
const forgetMs = 3_600_000;
/** One whose time is up while another has the thread is looked at again after so long, ms. */
const heldUpForMs = 100;
/** One that could not be put to sleep for the store was away is let be for so long, ms. */
const keptForMs = 1000;

export class Actor {
  readonly key: SessionKey;
  readonly #host: Surroundings;
  readonly #gone = Promise.withResolvers<void>();
  readonly #followers: (() => void)[] = [];
  #phase: Phase = "starting";
  #tenant: Activation | undefined;
  /** Names the present life among those before it. */
  #life: symbol | undefined;
  readonly #letters = new Mailbox();
  /** It was cut off by another's doing, and comes back when it is its turn. */
  #comesBack = false;
  /** Its place among those that come back. */
  #return: QueuedRestart | undefined;
  /** A former life, whose end the next one is to put in order in the store. */
  #predecessor: Activation | undefined;
  /** Where it is, or is about to be. */
  #cell: WorkerSlot | undefined;
  #waking: Promise<unknown> | undefined;
  #working = false;
  #onWorkDone: (() => void) | undefined;
  /** Breaks off what it does just now: an answer, a start, a pause before one. */
  #interrupt: ((error: Error) => void) | undefined;
  /** Its runtime ended beside any message. */
  #ended: RuntimeEnd | undefined;
  #restarts: Restarts | undefined;
  /** Failures that may have been another's, since it last answered. */
  #doubts: Restarts | undefined;
  #restartCount = 0;
  #keptAt = Number.NEGATIVE_INFINITY;
  #ending: Promise<void> | undefined;
  /** It was to stop, and is not to finish any more. */
  #isKilled = false;
  #failure: string | undefined;
  #alarm: Alarm | undefined;
  #activeAt: number;
  readonly #bornAt: number;
  #holdsPlace = false;
  #reason: string;

  constructor(key: SessionKey, host: Surroundings, reason: string) {
    this.key = key;
    this.#host = host;
    this.#reason = reason;
    this.#activeAt = host.clock.now();
    this.#bornAt = this.#activeAt;
  }

  get phase(): Phase {
    return this.#phase;
  }

  /**
   * Call it in the moment in which it is over, or stays after all; in order, before anybody who comes later can speak to
   * the session.
   */
  whenEnded(call: () => void): void {
    this.#followers.push(call);
  }

  get isEnding(): boolean {
    return this.#phase === "stopping" || this.#phase === "gone";
  }

  /** Nothing to do, and nobody waits for it. */
  get isIdle(): boolean {
    return this.#phase === "live" && !this.#working && this.#letters.length === 0;
  }

  get agent(): string | undefined {
    return this.#tenant?.profile.agent;
  }

  get mailbox(): number {
    return this.#letters.length;
  }

  get restarts(): number {
    return this.#restartCount;
  }

  get ageMs(): number {
    return this.#host.clock.now() - this.#bornAt;
  }

  get idleMs(): number {
    return this.#host.clock.now() - this.#activeAt;
  }

  get memoryBytes(): number | undefined {
    return this.#tenant?.memoryBytes;
  }

  get fence(): number | undefined {
    return this.#tenant?.fence;
  }

  /** Why it failed for good. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** @throws SessionError `mailbox_full`, `session_failed`, and what the answer comes to */
  send(message: unknown): Promise<unknown> {
    const { options } = this.#host;
    if (this.#phase === "failed") return Promise.reject(this.#failed());
    const bytes = messageBytes(message, options.mailboxBytesMax);
    try {
      this.#letters.guardRoom(this.key, bytes, options);
    } catch (error) {
      return Promise.reject(asError(error));
    }
    this.touch();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#letters.push({ message, bytes, resolve, reject, within: contextOfCall(), tries: 0 });
    this.#return?.hurry();
    this.#work();
    return promise;
  }

  /** Be live, also after it failed. */
  async start(): Promise<void> {
    if (this.#phase === "live") return;
    if (this.#phase === "failed") {
      this.#phase = "starting";
      this.#alarm?.cancel();
      this.#alarm = undefined;
      this.#restarts = undefined;
      this.#failure = undefined;
    }
    // However many ask, it wakes once.
    this.#waking ??= this.send(wakeUp).finally(() => (this.#waking = undefined));
    await this.#waking;
  }

  /** A sign of life. */
  touch(): void {
    this.#activeAt = this.#host.clock.now();
  }

  /** Its runtime came to its end, beside any message or in the middle of one. */
  #runtimeEnded(end: RuntimeEnd): void {
    if (this.#interrupt !== undefined) this.#interrupt(end);
    else this.#ended = end;
    this.#work();
  }

  /** Another has it, under a newer fence. */
  lost(storedFence = 0): void {
    const error = new SessionError("fenced", { ...this.#ids(), fence: this.fence ?? 0, storedFence });
    if (this.#interrupt !== undefined) this.#interrupt(error);
    else void this.#end(() => this.#lose(error));
  }

  /** True where it may be put to sleep for others' sake; one that the store has just kept from it is not tried at once. */
  get mayGiveWay(): boolean {
    return this.isIdle && this.#host.clock.now() - this.#keptAt >= keptForMs;
  }

  /** Sleep, for others need its place; while the store is away it stays awake. */
  async giveWay(): Promise<void> {
    const tenant = this.#tenant;
    if (!this.isIdle || tenant === undefined) return;
    await this.#end(() => this.#fallAsleep(tenant, () => tenant.leave("others needed its place")));
  }

  /** Let it finish what waits, and put it to sleep; after `stopTimeout` it is killed. @throws SessionError the store's */
  async stop(reason: string): Promise<void> {
    // One that was about to sleep by itself, and could not for the store was away, is still there afterwards.
    while (this.#phase !== "gone") await this.#end(() => this.#stop(reason));
  }

  /** End it now. */
  kill(reason: string): Promise<void> {
    if (this.#phase === "stopping") {
      this.#isKilled = true;
      this.#interrupt?.(this.#stopped(reason));
      this.#reject(() => this.#stopped(reason));
    }
    return this.#end(() => this.#kill(reason));
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
      if (outcome !== "kept") this.#vanish();
    }
    if (outcome !== "kept") return;
    this.#phase = "live";
    this.#ending = undefined;
    this.touch();
    this.#callFollowers();
    this.#rest();
  }

  #vanish(): void {
    this.#phase = "gone";
    this.#alarm?.cancel();
    this.#reject(() => this.#stopped("ended"));
    this.#leavePlace();
    this.#host.forget(this);
    this.#gone.resolve();
    this.#callFollowers();
  }

  #callFollowers(): void {
    for (const call of this.#followers.splice(0)) call();
  }

  /** Work off what there is, unless it is being worked off. */
  #work(): void {
    if (this.#working) return;
    this.#working = true;
    void this.#run().finally(() => {
      this.#working = false;
      const isOver = this.#phase === "failed" || this.#phase === "gone";
      if (!isOver && (this.#letters.length > 0 || this.#ended !== undefined)) this.#work();
      else this.#rest();
      this.#onWorkDone?.();
    });
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#phase === "failed" || this.#phase === "gone") return;
      const ended = this.#ended;
      this.#ended = undefined;
      if (ended !== undefined && this.#tenant !== undefined && !(await this.#crashed(ended))) return;
      if (this.#letters.length === 0 && (this.#tenant !== undefined || this.#phase === "stopping")) return;
      if (this.#tenant === undefined) {
        // It may have failed, and be about to try again; or somebody ends it.
        if (this.#comesBack ? await this.#comeBack() : await this.#awaken()) continue;
        return;
      }
      const letter = this.#letters.shift();
      if (letter !== undefined && !(await this.#handle(this.#tenant, letter))) return;
    }
  }

  /** Wake when it is its turn. False where that is all for now. */
  async #comeBack(): Promise<boolean> {
    const place = this.#host.returns.enter(this.#letters.length > 0);
    this.#return = place;
    this.#interrupt = () => place.leave();
    const isItsTurn = await place.turn;
    this.#return = undefined;
    this.#interrupt = undefined;
    if (!isItsTurn) return true;
    try {
      this.#comesBack = false;
      return await this.#awaken();
    } finally {
      place.leave();
    }
  }

  /** Take the session in. False where that is all for now. */
  async #awaken(): Promise<boolean> {
    const life = new AbortController();
    const { turnTimeoutMs } = this.#host.options;
    const broken = this.#breakable(turnTimeoutMs, (error) => life.abort(error));
    try {
      if (this.#phase !== "stopping") this.#phase = "starting";
      await this.#enterPlace(life.signal);
      const tenant = await this.#part("activate", this.#letters.first, () =>
        // Chosen and entered in one step: who wakes at the same moment finds it fuller.
        this.#open((this.#cell = this.#host.cell()), life.signal),
      );
      this.#tenant = tenant;
      this.#predecessor = undefined;
      if (this.#phase === "starting") this.#phase = "live";
      this.#host.tell({ type: this.#restartCount > 0 ? "restarted" : "activated", ...this.#about() });
      return true;
    } catch (error) {
      if (error instanceof RuntimeEnd) return await this.#crashed(error);
      await this.#refused(await this.#host.explain(this.key, asError(error)));
      return false;
    } finally {
      broken.done();
    }
  }

  async #open(cell: WorkerSlot, signal: AbortSignal): Promise<Activation> {
    const life = Symbol(this.key.id);
    this.#life = life;
    const ended = (end: RuntimeEnd): void => {
      if (this.#life === life) this.#runtimeEnded(end); // what is said of an earlier life is known
    };
    return await cell.open(this.key, { reason: this.#reason, signal, ended });
  }

  async #enterPlace(signal: AbortSignal): Promise<void> {
    if (this.#holdsPlace) return;
    await this.#host.enterPlace(signal);
    this.#holdsPlace = true;
  }

  #leavePlace(): void {
    if (!this.#holdsPlace) return;
    this.#holdsPlace = false;
    this.#host.leavePlace();
  }

  /** It cannot be had: whoever waits is told why, and nothing of it is kept. */
  async #refused(error: Error): Promise<void> {
    this.#reject(() => error);
    if (this.#phase !== "stopping") this.#vanish();
  }

  /** Answer one message. False where that is all for now. */
  async #handle(tenant: Activation, letter: Letter): Promise<boolean> {
    if (letter.message === wakeUp) {
      letter.resolve(undefined);
      return true;
    }
    const { promise: interrupted, reject } = Promise.withResolvers<never>();
    interrupted.catch(() => undefined); // who races it hears of it
    const broken = this.#breakable(this.#host.options.turnTimeoutMs, reject);
    const started = performance.now();
    let isAnswered = false;
    letter.tries++;
    try {
      await this.#part("message", letter, async () => {
        const answer = await Promise.race([tenant.deliver(letter.message), interrupted]);
        isAnswered = true;
        if (isStream(answer)) {
          const { stream, whole } = relay(answer, interrupted, (error) =>
            this.#outward(error instanceof SessionError ? error : endOf(error)),
          );
          letter.resolve(stream);
          await whole;
        } else {
          letter.resolve(answer);
        }
      });
      this.touch();
      this.#doubts = undefined;
      this.#host.tell({ type: "message", ...this.#about(), ms: performance.now() - started });
      return true;
    } catch (cause) {
      const error = cause instanceof SessionError ? cause : endOf(cause);
      const isInnocent = error instanceof RuntimeEnd && error.fault !== "own" && error.mayRepeat;
      if (isInnocent && !isAnswered && letter.tries < triesMax && this.#phase === "live") this.#letters.putBack(letter);
      else letter.reject(this.#outward(error));
      if (error instanceof RuntimeEnd) return await this.#crashed(error);
      if (hasCode(error, "fenced") && this.#phase === "live") void this.#end(() => this.#lose(error));
      return !hasCode(error, "fenced");
    } finally {
      broken.done();
    }
  }

  /** Do what a letter brings about, telling who listens, in the context of who sent it. */
  #part<T>(operation: "activate" | "message", letter: Letter | undefined, work: () => Promise<T>): Promise<T> {
    const { tenant, id: session } = this.key;
    const { agent } = this;
    const told = { operation, tenant, session, ...(agent === undefined ? {} : { agent }) };
    const act = (): Promise<T> => part(told, work);
    return letter?.within === undefined ? act() : letter.within(act);
  }

  /** Until `done`, what goes on may be broken off: by its timeout, a kill, the end of its runtime. */
  #breakable(ms: number, interrupt: (error: Error) => void): { done(): void } {
    let alarm = this.#host.wheel.after(ms, () => timeUp(), { holds: true });
    const timeUp = (): void => {
      // Nobody is late for another's sake: who holds it up has a deadline too.
      if (this.#cell?.holdsUp(this.key) === true) alarm = this.#host.wheel.after(heldUpForMs, timeUp, { holds: true });
      else interrupt(new RuntimeEnd("deadline", `it took more than ${ms} ms`));
    };
    this.#interrupt = interrupt;
    return {
      done: () => {
        alarm.cancel();
        if (this.#interrupt === interrupt) this.#interrupt = undefined;
      },
    };
  }

  /** Its runtime failed. True where it is to be started again now. */
  async #crashed(end: RuntimeEnd): Promise<boolean> {
    this.#host.tell({ type: "crashed", ...this.#about(), cause: end });
    const reason = `its runtime failed: ${end.message}`;
    const waitMs = this.#ending === undefined ? this.#restartInMs(end) : null;
    await this.#drop(reason, { follows: waitMs === 0 });
    if (this.#ending !== undefined) {
      this.#reject(() => this.#stopped("was stopped"));
      return false;
    }
    if (waitMs === null) {
      await this.#fail(end);
      return false;
    }
    this.#phase = "restarting";
    this.#reason = reason;
    this.#comesBack = end.fault === "another's";
    this.#restartCount++;
    await this.#pause(waitMs);
    return true;
  }

  /** Null: it is to be left alone. Nobody is for a death that may have been another's doing, however often that was. */
  #restartInMs({ fault }: RuntimeEnd): number | null {
    if (fault === "another's") return 0;
    const { restart } = this.#host.options;
    const now = this.#host.clock.now();
    if (fault === "own") return (this.#restarts ??= new Restarts(restart)).next(now);
    return (this.#doubts ??= new Restarts({ ...restart, max: Number.POSITIVE_INFINITY })).next(now);
  }

  async #pause(ms: number): Promise<void> {
    if (ms === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const alarm = this.#host.wheel.after(ms, resolve, { holds: true });
    this.#interrupt = () => resolve();
    await promise;
    alarm.cancel();
    this.#interrupt = undefined;
  }

  async #fail(end: RuntimeEnd): Promise<void> {
    this.#phase = "failed";
    this.#failure = end.message;
    this.#reject(() => this.#failed());
    this.#leavePlace();
    this.#alarm = this.#host.wheel.after(forgetMs, () => void this.#end(async () => undefined));
    this.#host.tell({ type: "failed", ...this.#about(), cause: end });
    await this.#host.giveUp(this.key, { code: end.how, message: end.message });
  }

  /** The next alarm looks whether anybody has spoken to it meanwhile: no message moves a timer. */
  #rest(): void {
    if (this.#phase !== "live") return;
    this.#host.rested();
    if (this.#alarm !== undefined) return;
    this.#alarm = this.#host.wheel.after(this.#idleTimeoutMs() - this.idleMs, () => {
      this.#alarm = undefined;
      void this.#sleepIfIdle();
    });
  }

  #idleTimeoutMs(): number {
    const profile = this.#tenant?.profile;
    return profile === undefined ? this.#host.options.idleTimeoutMs : this.#host.idleTimeoutMs(profile);
  }

  async #sleepIfIdle(): Promise<void> {
    const tenant = this.#tenant;
    if (!this.isIdle || tenant === undefined) return; // it rests again when its work is done
    try {
      this.#activeAt = Math.max(this.#activeAt, await tenant.activeAt());
      if (!this.isIdle || this.idleMs < this.#idleTimeoutMs()) {
        this.#rest();
        return;
      }
      await this.#end(() =>
        this.#fallAsleep(tenant, async () => {
          await tenant.idle();
          if (this.#tenant === tenant) await tenant.leave("nobody spoke to it"); // it may have been killed meanwhile
        }),
      );
    } catch {
      // What went wrong is told where it happened; the session is gone or stays, and either is seen.
    }
  }

  /** A store that is away keeps it awake: what it would leave behind is not to be lost. */
  async #fallAsleep(tenant: Activation, leaving: () => Promise<void>): Promise<"kept" | void> {
    try {
      await this.#leave(tenant, leaving);
    } catch (error) {
      const mayKeep = error instanceof SessionError && error.retryable && !this.#isKilled;
      if (mayKeep && this.#tenant === tenant) {
        this.#keptAt = this.#host.clock.now();
        return "kept";
      }
      await this.#left(asError(error));
    }
  }

  async #stop(reason: string): Promise<void> {
    const { stopTimeoutMs } = this.#host.options;
    const alarm = this.#host.wheel.after(stopTimeoutMs, () => {
      const error = new RuntimeEnd("deadline", `it did not stop within ${stopTimeoutMs} ms`);
      this.#interrupt?.(error);
      this.#reject(() => this.#stopped("was stopped"));
    });
    try {
      if (this.#letters.length > 0) this.#work();
      else this.#return?.leave(); // it need not come back first
      await this.#workDone();
      const tenant = this.#tenant;
      // The code that was broken off may still run: it is not asked to finish beside that.
      if (this.#isKilled || tenant === undefined) await this.#drop(reason);
      else await this.#leave(tenant, async () => await tenant.leave(reason));
    } catch (error) {
      await this.#left(asError(error));
    } finally {
      alarm.cancel();
    }
  }

  /** Let its runtime finish, in the time there is for it. */
  async #leave(tenant: Activation, leaving: () => Promise<void>): Promise<void> {
    const late = Promise.withResolvers<never>();
    late.promise.catch(() => undefined);
    const broken = this.#breakable(this.#host.options.stopTimeoutMs, late.reject);
    try {
      await Promise.race([leaving(), late.promise]);
      this.#host.tell({ type: "passivated", ...this.#about() });
      this.#tenant = undefined;
      this.#life = undefined;
    } finally {
      broken.done();
    }
  }

  /** It did not go to sleep as it should have. @throws what keeps its state from being stored */
  async #left(error: Error): Promise<void> {
    if (hasCode(error, "fenced")) {
      this.#host.tell({ type: "fenced", ...this.#about(), cause: error });
      await this.#drop(error.message);
      return;
    }
    const isItsOwn = error instanceof RuntimeEnd;
    if (isItsOwn) this.#host.tell({ type: "crashed", ...this.#about(), cause: error });
    await this.#drop(reasonOf(error));
    if (!isItsOwn && !hasCode(error, "session_stopped")) throw error;
  }

  async #kill(reason: string): Promise<void> {
    this.#interrupt?.(this.#stopped(reason));
    this.#reject(() => this.#stopped(reason));
    await this.#workDone();
    await this.#drop(reason);
    this.#host.tell({ type: "stopped", ...this.#about() });
  }

  async #lose(error: Error): Promise<void> {
    const outward = this.#outward(error);
    this.#reject(() => outward);
    await this.#workDone();
    this.#host.tell({ type: "fenced", ...this.#about(), cause: error });
    await this.#drop(error.message);
  }

  /** Certain, when it resolves, that nothing of this life runs or writes any more. */
  async #drop(reason: string, next = { follows: false }): Promise<void> {
    const tenant = this.#tenant ?? this.#predecessor;
    this.#tenant = undefined;
    this.#predecessor = next.follows ? tenant : undefined;
    this.#life = undefined;
    this.#ended = undefined;
    await tenant?.drop(reason, next);
  }

  async #workDone(): Promise<void> {
    while (this.#working) await new Promise<void>((resolve) => (this.#onWorkDone = resolve));
  }

  #reject(error: () => Error): void {
    for (const letter of this.#letters.takeAll()) letter.reject(error());
  }

  /** An error as who sent the message is told of it. */
  #outward(error: Error): Error {
    if (!(error instanceof RuntimeEnd)) return error;
    const details = { ...this.#ids(), how: error.how, reason: error.message };
    return new SessionError("runtime_failed", details, { cause: error.cause ?? error });
  }

  #failed(): SessionError {
    const { max } = this.#host.options.restart;
    return new SessionError("session_failed", {
      ...this.#ids(),
      failures: max + 1,
      reason: this.#failure ?? "unknown",
    });
  }

  #stopped(reason: string): SessionError {
    return new SessionError("session_stopped", { ...this.#ids(), reason });
  }

  #ids(): { sessionId: string; tenant: string } {
    return { sessionId: this.key.id, tenant: this.key.tenant };
  }

  #about(): { session: SessionKey; agent: string | undefined; mailbox: number } {
    return { session: this.key, agent: this.agent, mailbox: this.mailbox };
  }
}
