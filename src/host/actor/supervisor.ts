/**
 * Decides whether and when a session restarts after its runtime failed, and waits until then.
 *
 * A failure of the session's own code counts against `restart.max`. A failure that another session on the same thread may
 * have caused delays the restart, but never ends it. A failure that another session did cause delays nothing: the session
 * is *displaced*, and restarts in the order of the host's restart queue.
 */
import type { ActorContext } from "./actor-context.ts";
import type { QueuedRestart } from "./restart-queue.ts";
import { Restarts } from "../runtime/restarts.ts";
import type { RuntimeEnd } from "../workers/worker-slot.ts";

export class Supervisor {
  readonly #host: ActorContext;
  #failures: Restarts | undefined;
  /** Failures in doubt since the last answer. */
  #doubts: Restarts | undefined;
  #restarts = 0;
  #lastFailure: RuntimeEnd | undefined;
  #isDisplaced = false;
  #queued: QueuedRestart | undefined;
  #endPause: (() => void) | undefined;

  constructor(host: ActorContext) {
    this.#host = host;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** The failure after which the session was not restarted. */
  get lastFailure(): RuntimeEnd | undefined {
    return this.#lastFailure;
  }

  /** Whether the session restarts through the restart queue. */
  get isDisplaced(): boolean {
    return this.#isDisplaced;
  }

  /** Delay before the restart, ms. Null: do not restart; a crash that another session may have caused never leads to null. */
  restartDelay({ fault }: RuntimeEnd): number | null {
    if (fault === "another's") return 0;
    const { restart } = this.#host.options;
    const now = this.#host.clock.now();
    if (fault === "own") return (this.#failures ??= new Restarts(restart)).next(now);
    return (this.#doubts ??= new Restarts({ ...restart, max: Number.POSITIVE_INFINITY })).next(now);
  }

  /** Counts a restart. */
  restarting({ fault }: RuntimeEnd): void {
    this.#isDisplaced = fault === "another's";
    this.#restarts++;
  }

  answered(): void {
    this.#doubts = undefined;
  }

  failed(end: RuntimeEnd): void {
    this.#lastFailure = end;
  }

  /** Forgets the failures of a session that is started again by hand. */
  reset(): void {
    this.#failures = undefined;
    this.#lastFailure = undefined;
  }

  /** Waits before a restart, until the delay is over or `interrupt` is called. */
  async pause(ms: number): Promise<void> {
    if (ms === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const alarm = this.#host.wheel.after(ms, resolve, { holds: true });
    this.#endPause = resolve;
    await promise;
    alarm.cancel();
    this.#endPause = undefined;
  }

  /**
   * Waits for the session's turn in the restart queue; one with waiting callers goes first. Resolves with the call that
   * ends the turn; undefined if the session left the queue.
   */
  async turn(hasCallers: boolean): Promise<(() => void) | undefined> {
    const queued = this.#host.restartQueue.enter(hasCallers);
    this.#queued = queued;
    const isTurn = await queued.turn;
    this.#queued = undefined;
    if (!isTurn) return undefined;
    this.#isDisplaced = false;
    return () => queued.leave();
  }

  /** A caller waits for the session. */
  prioritize(): void {
    this.#queued?.prioritize();
  }

  leaveQueue(): void {
    this.#queued?.leave();
  }

  /** Ends the current wait. */
  interrupt(): void {
    this.#endPause?.();
    this.leaveQueue();
  }
}
