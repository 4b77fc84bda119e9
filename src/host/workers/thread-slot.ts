import type { SessionKey } from "../../domain/record/entry.ts";
import type { Core } from "../../sessions/core/core.ts";
import { HostedSession } from "../runtime/hosted-session.ts";
import { SessionError } from "../../errors.ts";
import { RuntimeEnd, type WorkerSlot, type Fault, type Opening, type Profile, type Activation } from "./worker-slot.ts";
import type { LifeId, WorkerStart } from "./wire.ts";
import { Worker, type WorkerKind } from "./worker.ts";

/** A worker that does not answer for so long when it is told to let a session go is ended with all that it runs, ms. */
const patienceMs = 1000;

/** So often is a thread looked at while its stall timeout runs. */
const looksPerStall = 5;

/** How a worker is started, and what of. */
export interface WorkerPlan {
  readonly core: Core;
  readonly kind: WorkerKind;
  readonly memoryMax: number | undefined;
  readonly stallTimeoutMs: number;
  readonly start: WorkerStart;
  /** It is one session's alone, and ends with it. */
  readonly isOwn: boolean;
}

/** Sessions whose code runs in a worker. */
export class ThreadSlot implements WorkerSlot {
  readonly #plan: WorkerPlan;
  readonly #worker: Worker;
  readonly #begun: Promise<void>;
  #isRepeatable = false;
  readonly #lives = new Map<LifeId, Lodger>();
  /** The number of the call that each life is at; where the worker ends, one of those it had begun did it. */
  readonly #atWork = new Map<LifeId, number>();
  /** Who was at work when the worker ended. */
  #suspects: ReadonlySet<LifeId> = new Set();
  #lastLife = 0;
  #stalls: NodeJS.Timeout | undefined;

  constructor(plan: WorkerPlan) {
    this.#plan = plan;
    this.#worker = new Worker(plan.core, {
      ...plan,
      lifeEnded: (life, end) => this.#lives.get(life)?.opening.ended(end),
    });
    this.#begun = this.#begin();
    this.#begun.catch(() => undefined); // who opens a session here hears of it
    void this.#worker.ended.then((end) => this.#ended(end));
    if (!plan.isOwn) this.#watchForStalls();
  }

  /** End a thread that takes up none of the calls that wait for it. */
  #watchForStalls(): void {
    const { stallTimeoutMs } = this.#plan;
    let begun = 0;
    let looks = 0;
    let isHoldingItsBreath = false;
    const look = (): void => {
      const { turnstile, sent } = this.#worker;
      const isStalled = turnstile.begun === begun && begun > 0 && (begun < sent || isHoldingItsBreath);
      begun = turnstile.begun;
      // Counted by looks, so that a pause of the whole program is not taken for one of its thread.
      looks = isStalled ? looks + 1 : 0;
      // Those it has begun wait for it, too: for their timers, and for what the store answers.
      if (!isHoldingItsBreath && this.#atWork.size > 1) {
        isHoldingItsBreath = true;
        void this.#worker.calls.breathe().then(
          () => (isHoldingItsBreath = false),
          () => undefined, // it ended
        );
      }
      if (looks < looksPerStall) return;
      void this.#worker.end(new RuntimeEnd("deadline", `its thread was kept from others for ${stallTimeoutMs} ms`));
    };
    this.#stalls = setInterval(look, stallTimeoutMs / looksPerStall).unref();
  }

  async #begin(): Promise<void> {
    const { repeatable } = await this.#worker.begin(this.#plan.start);
    this.#isRepeatable = repeatable;
  }

  /** Resolves when it can take sessions in. @throws SessionError `runtime_invalid`, RuntimeEnd */
  get begun(): Promise<void> {
    return this.#begun;
  }

  /** How many live here. */
  get size(): number {
    return this.#lives.size;
  }

  get isOver(): boolean {
    return this.#worker.isOver;
  }

  async open(key: SessionKey, opening: Opening): Promise<Activation> {
    const life = ++this.#lastLife;
    this.#lives.set(life, { key, opening });
    const aborted = Promise.withResolvers<never>();
    aborted.promise.catch(() => undefined);
    const abort = (): void => aborted.reject(opening.signal.reason);
    opening.signal.addEventListener("abort", abort, { once: true });
    if (opening.signal.aborted) abort();
    try {
      await Promise.race([this.#begun, aborted.promise]);
      const opened = this.working(life, () => this.#worker.calls.open(life, key, opening.reason));
      const { fence, profile } = await Promise.race([opened, aborted.promise]);
      return new WorkerTenant(this, { life, key, fence, profile });
    } catch (error) {
      await this.drop(life, key, "it was not taken in");
      throw error;
    } finally {
      opening.signal.removeEventListener("abort", abort);
    }
  }

  get calls(): Worker["calls"] {
    return this.#worker.calls;
  }

  holdsUp({ tenant, id }: SessionKey): boolean {
    const { inside } = this.#worker.turnstile;
    if (inside === undefined) return false;
    const key = this.#lives.get(inside)?.key; // undefined: one that is being dropped
    return key?.id !== id || key.tenant !== tenant;
  }

  /** Do something of which the worker may end. */
  async working<T>(life: LifeId, work: () => Promise<T>): Promise<T> {
    const before = this.#worker.sent;
    const working = work();
    const call = this.#worker.sent; // as the worker counts them: they come to it in this order
    if (call > before) this.#atWork.set(life, call); // what cannot be copied was not sent
    try {
      return await working;
    } catch (error) {
      // Everybody is told of the end in the same words; whose doing it was differs.
      if (!(error instanceof RuntimeEnd) || !this.#worker.isOver) throw error;
      throw this.#endFor(life, await this.#worker.ended, call);
    } finally {
      if (this.#atWork.get(life) === call) this.#atWork.delete(life); // it may be at another by now
    }
  }

  /** A life is over, of itself. */
  async left(life: LifeId): Promise<void> {
    this.#lives.delete(life);
    if (this.#plan.isOwn) await this.#worker.end();
  }

  /** End a life; where the worker does not listen, with it all others. */
  async drop(life: LifeId, key: SessionKey, reason: string, next = { follows: false }): Promise<void> {
    this.#lives.delete(life);
    if (this.#plan.isOwn || !(await this.#letGo(life, reason))) await this.#worker.end();
    if (next.follows || !this.#worker.isOver) return;
    try {
      await HostedSession.tidy(this.#plan.core, key, reason);
    } catch {
      // The store is away; the lease is a dead instance's, and whoever opens the session next puts it in order.
    }
  }

  /** False where the worker did not answer. */
  async #letGo(life: LifeId, reason: string): Promise<boolean> {
    if (this.#worker.isOver) return true;
    const silence = Promise.withResolvers<false>();
    const timer = setTimeout(() => silence.resolve(false), patienceMs);
    const heard = this.#worker.calls.drop(life, reason).then(
      () => true,
      () => true, // it ended while it was asked
    );
    try {
      return await Promise.race([heard, silence.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  async close(): Promise<void> {
    this.#lives.clear();
    await this.#worker.end();
  }

  memoryBytes(): number | undefined {
    return this.#worker.heapBytes;
  }

  /** Of what one session has for itself. */
  ownMemoryBytes(): number | undefined {
    return this.#plan.isOwn ? this.memoryBytes() : undefined;
  }

  #ended(end: RuntimeEnd): void {
    clearInterval(this.#stalls);
    const atWork = [...this.#atWork].filter(([, call]) => this.#wasBegun(call));
    this.#suspects = new Set(atWork.map(([life]) => life));
    for (const [life, { opening }] of this.#lives) opening.ended(this.#endFor(life, end, this.#atWork.get(life)));
    this.#lives.clear();
  }

  /** The end of the worker as that of a life, which was at a call or was not. */
  #endFor(life: LifeId, { how, message, cause }: RuntimeEnd, call = Number.POSITIVE_INFINITY): RuntimeEnd {
    const fault = this.#faultOf(life);
    return new RuntimeEnd(how, message, { cause, fault, mayRepeat: this.#isRepeatable || !this.#wasBegun(call) });
  }

  #wasBegun(call: number): boolean {
    return call <= this.#worker.turnstile.begun;
  }

  /** By whose doing this life ended with the worker. */
  #faultOf(life: LifeId): Fault {
    if (this.#plan.isOwn) return "own";
    const { inside } = this.#worker.turnstile;
    if (inside !== undefined) return inside === life ? "own" : "another's";
    if (this.#suspects.size === 0) return "in doubt";
    if (!this.#suspects.has(life)) return "another's";
    return this.#suspects.size === 1 ? "own" : "in doubt";
  }
}

/** Who lives in a worker. */
interface Lodger {
  readonly key: SessionKey;
  readonly opening: Opening;
}

interface Lodging {
  readonly life: LifeId;
  readonly key: SessionKey;
  readonly fence: number;
  readonly profile: Profile;
}

/** One session in a worker. */
class WorkerTenant implements Activation {
  readonly fence: number;
  readonly profile: Profile;
  readonly #cell: ThreadSlot;
  readonly #life: LifeId;
  readonly #key: SessionKey;

  constructor(cell: ThreadSlot, { life, key, fence, profile }: Lodging) {
    this.#cell = cell;
    this.#life = life;
    this.#key = key;
    this.fence = fence;
    this.profile = profile;
  }

  get memoryBytes(): number | undefined {
    return this.#cell.ownMemoryBytes();
  }

  async deliver(message: unknown): Promise<unknown> {
    const delivered = await this.#ask((calls) => calls.deliver(this.#life, message)).catch((error: unknown) => {
      throw copyError(error);
    });
    return "inParts" in delivered ? this.#parts() : delivered.value;
  }

  #parts(): AsyncIterableIterator<unknown> {
    const parts: AsyncIterableIterator<unknown> = {
      next: () => this.#ask((calls) => calls.next(this.#life)),
      return: async () => {
        await this.#ask((calls) => calls.enough(this.#life));
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => parts,
    };
    return parts;
  }

  async activeAt(): Promise<number> {
    return await this.#ask((calls) => calls.activeAt(this.#life));
  }

  async stands(): Promise<boolean> {
    return await this.#ask((calls) => calls.stands(this.#life));
  }

  async idle(): Promise<void> {
    await this.#ask((calls) => calls.idle(this.#life));
  }

  async leave(reason: string): Promise<void> {
    await this.#ask((calls) => calls.leave(this.#life, reason));
    await this.#cell.left(this.#life);
  }

  async drop(reason: string, next?: { readonly follows: boolean }): Promise<void> {
    await this.#cell.drop(this.#life, this.#key, reason, next);
  }

  async #ask<T>(call: (calls: ThreadSlot["calls"]) => Promise<T>): Promise<T> {
    return await this.#cell.working(this.#life, () => call(this.#cell.calls));
  }
}

/** What cannot be copied to another thread is the mistake of who sent it. */
function copyError(cause: unknown): unknown {
  if (!(cause instanceof DOMException)) return cause;
  const expected = "a value that can be copied to another thread";
  return new SessionError("argument_invalid", { name: "message", value: cause.message, expected }, { cause });
}
