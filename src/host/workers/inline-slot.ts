import type { SessionKey } from "../../domain/record/entry.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../../sessions/core/core.ts";
import { HostedSession } from "../runtime/hosted-session.ts";
import { endOf, type WorkerSlot, type Opening, type Profile, type Activation } from "./worker-slot.ts";
import { Lifetime } from "../runtime/lifetime.ts";
import { LiveSession } from "../runtime/live-session.ts";
import { reasonOf, type Runtime } from "../runtime/runtime.ts";

/** Sessions whose code runs in the host's thread. */
export class InlineSlot implements WorkerSlot {
  readonly #core: Core;
  readonly #runtime: Runtime;
  readonly #activations = new Set<InlineActivation>();

  constructor(core: Core, runtime: Runtime) {
    this.#core = core;
    this.#runtime = runtime;
  }

  async open(key: SessionKey, { reason, signal }: Opening): Promise<InlineActivation> {
    signal.throwIfAborted();
    // Before the lease is taken: another process may take it in a gap that ends before the answer of the store arrives.
    const { lapses: knownGaps } = this.#core.instance;
    const hosted = await HostedSession.take(this.#core, key, reason);
    const onEnd = (): void => void this.#activations.delete(activation);
    const activation = new InlineActivation(hosted, { runtime: this.#runtime, knownGaps, onEnd });
    this.#activations.add(activation);
    try {
      await unlessAborted(activation.activate(), signal);
      return activation;
    } catch (error) {
      await activation.drop(reasonOf(error));
      throw error;
    }
  }

  isBlockedByOther(): boolean {
    return false; // another session that blocks this thread blocks this check too
  }

  async close(): Promise<void> {
    for (const activation of this.#activations) await activation.drop("the host was closed");
  }

  memoryBytes(): undefined {
    return undefined;
  }
}

interface ActivationOptions {
  readonly runtime: Runtime;
  /** Heartbeat gaps of this process before the lease was taken. */
  readonly knownGaps: number;
  readonly onEnd: () => void;
}

/** A session in the host's thread. */
class InlineActivation implements Activation {
  readonly #hosted: HostedSession;
  readonly #runtime: Runtime;
  readonly #lifetime = new Lifetime();
  readonly #session: LiveSession;
  readonly #onEnd: () => void;
  /** Heartbeat gaps of this process when the lease was last verified. */
  #knownGaps: number;

  constructor(hosted: HostedSession, { runtime, knownGaps, onEnd }: ActivationOptions) {
    this.#knownGaps = knownGaps;
    this.#hosted = hosted;
    this.#runtime = runtime;
    this.#session = new LiveSession(hosted, this.#lifetime, runtime.model);
    this.#onEnd = onEnd;
  }

  get fence(): number {
    return this.#hosted.fence;
  }

  get memoryBytes(): undefined {
    return undefined;
  }

  get profile(): Profile {
    const { agent, metadata } = this.#hosted.record;
    const { timeoutMinutes } = metadata;
    return { agent, timeoutMinutes: typeof timeoutMinutes === "number" ? timeoutMinutes : undefined };
  }

  async activate(): Promise<void> {
    if (this.#runtime.activate !== undefined) await this.#run(() => this.#runtime.activate?.(this.#session));
  }

  async deliver(message: unknown): Promise<unknown> {
    await this.#guardHeartbeatGap();
    // The session may have been killed during the check.
    if (this.#lifetime.isOver) throw this.#hosted.fenced();
    const answer = await this.#run(() => this.#runtime.onMessage(this.#session, message as never));
    if (!isStream(answer)) return answer;
    if (!this.#lifetime.isOver) return this.#guarded(answer);
    // The activation ended before its code answered: the chunks have no reader.
    await answer[Symbol.asyncIterator]().return?.();
    throw this.#hosted.fenced();
  }

  /** After a gap in this process's heartbeat, verifies that no other process has taken the lease. */
  async #guardHeartbeatGap(): Promise<void> {
    const { instance } = this.#hosted.handle.core;
    const { lapses } = instance;
    if (this.#knownGaps === lapses && !instance.isLate) return;
    if (!(await this.#hosted.isCurrent())) throw this.#hosted.fenced();
    this.#knownGaps = lapses;
  }

  async activeAt(): Promise<number> {
    return this.#hosted.record.lastActivityAt;
  }

  async isCurrent(): Promise<boolean> {
    return await this.#hosted.isCurrent();
  }

  async notifyIdle(): Promise<void> {
    if (this.#runtime.onIdle !== undefined) await this.#run(() => this.#runtime.onIdle?.(this.#session));
  }

  async passivate(reason: string): Promise<void> {
    if (this.#runtime.deactivate !== undefined) await this.#run(() => this.#runtime.deactivate?.(this.#session));
    await this.#hosted.passivate(this.#session.state, reason);
    this.#end("the session was passivated");
  }

  async drop(reason: string): Promise<void> {
    this.#end(reason);
    await this.#hosted.abandon(reason);
  }

  #end(reason: string): void {
    this.#lifetime.end(new Error(reason));
    this.#onEnd();
  }

  /** Turns an error of the runtime into RuntimeEnd; `fenced` stays as it is. */
  async #run<T>(call: () => T | Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw hasCode(error, "fenced") ? error : endOf(error);
    }
  }

  /** The chunks, with their errors as those of the runtime. Unlike a generator, it passes `return` on before the first `next`. */
  #guarded(chunks: AsyncIterable<unknown>): AsyncIterableIterator<unknown> {
    const iterator = chunks[Symbol.asyncIterator]();
    const guarded: AsyncIterableIterator<unknown> = {
      next: () => this.#run(() => iterator.next()),
      return: async () => {
        await this.#run(() => iterator.return?.());
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => guarded,
    };
    return guarded;
  }
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

export function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}
