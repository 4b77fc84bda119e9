import type { SessionKey } from "../../domain/record/entry.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../../sessions/core/core.ts";
import { HostedSession } from "../runtime/hosted-session.ts";
import { endOf, type WorkerSlot, type Opening, type Profile, type Activation } from "./worker-slot.ts";
import { Lifetime } from "../runtime/lifetime.ts";
import { LiveSession } from "../runtime/live-session.ts";
import { reasonOf, type Runtime } from "../runtime/runtime.ts";

/** Sessions whose code runs in this very thread. */
export class InlineSlot implements WorkerSlot {
  readonly #core: Core;
  readonly #runtime: Runtime;
  readonly #tenants = new Set<InlineTenant>();

  constructor(core: Core, runtime: Runtime) {
    this.#core = core;
    this.#runtime = runtime;
  }

  async open(key: SessionKey, { reason, signal }: Opening): Promise<InlineTenant> {
    signal.throwIfAborted();
    const residence = await HostedSession.take(this.#core, key, reason);
    const tenant = new InlineTenant(residence, this.#runtime, () => this.#tenants.delete(tenant));
    this.#tenants.add(tenant);
    try {
      await unlessAborted(tenant.activate(), signal);
      return tenant;
    } catch (error) {
      await tenant.drop(reasonOf(error));
      throw error;
    }
  }

  holdsUp(): boolean {
    return false; // while another's code has this thread, nobody asks
  }

  async close(): Promise<void> {
    for (const tenant of this.#tenants) await tenant.drop("its host was closed");
  }

  memoryBytes(): undefined {
    return undefined;
  }
}

/** One session in this thread. */
class InlineTenant implements Activation {
  readonly #residence: HostedSession;
  readonly #runtime: Runtime;
  readonly #lifetime = new Lifetime();
  readonly #session: LiveSession;
  readonly #gone: () => void;
  /** How often its process had gone unheard when it was last known to stand. */
  #lapses: number;

  constructor(residence: HostedSession, runtime: Runtime, gone: () => void) {
    this.#lapses = residence.handle.core.instance.lapses;
    this.#residence = residence;
    this.#runtime = runtime;
    this.#session = new LiveSession(residence, this.#lifetime, runtime.model);
    this.#gone = gone;
  }

  get fence(): number {
    return this.#residence.fence;
  }

  get memoryBytes(): undefined {
    return undefined;
  }

  get profile(): Profile {
    const { agent, metadata } = this.#residence.record;
    const { timeoutMinutes } = metadata;
    return { agent, timeoutMinutes: typeof timeoutMinutes === "number" ? timeoutMinutes : undefined };
  }

  async activate(): Promise<void> {
    if (this.#runtime.activate !== undefined) await this.#run(() => this.#runtime.activate?.(this.#session));
  }

  async deliver(message: unknown): Promise<unknown> {
    await this.#guardLapse();
    // It may have been killed while the store was asked.
    if (this.#lifetime.isOver) throw this.#residence.fenced();
    const answer = await this.#run(() => this.#runtime.onMessage(this.#session, message as never));
    return isStream(answer) ? this.#guarded(answer) : answer;
  }

  /** After a time in which nobody heard of this process, others may have taken its sessions for abandoned. */
  async #guardLapse(): Promise<void> {
    const { instance } = this.#residence.handle.core;
    const { lapses } = instance;
    if (this.#lapses === lapses && !instance.isLate) return;
    if (!(await this.#residence.stands())) throw this.#residence.fenced();
    this.#lapses = lapses;
  }

  async activeAt(): Promise<number> {
    return this.#residence.record.lastActivityAt;
  }

  async stands(): Promise<boolean> {
    return await this.#residence.stands();
  }

  async idle(): Promise<void> {
    if (this.#runtime.onIdle !== undefined) await this.#run(() => this.#runtime.onIdle?.(this.#session));
  }

  async leave(reason: string): Promise<void> {
    if (this.#runtime.deactivate !== undefined) await this.#run(() => this.#runtime.deactivate?.(this.#session));
    await this.#residence.leave(this.#session.state, reason);
    this.#end("the session was put to sleep");
  }

  async drop(reason: string): Promise<void> {
    this.#end(reason);
    await this.#residence.abandon(reason);
  }

  #end(reason: string): void {
    this.#lifetime.end(new Error(reason));
    this.#gone();
  }

  /** Whatever the runtime throws is its end, save that the session is another's by now. */
  async #run<T>(call: () => T | Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw hasCode(error, "fenced") ? error : endOf(error);
    }
  }

  async *#guarded(parts: AsyncIterable<unknown>): AsyncGenerator<unknown, void, undefined> {
    try {
      yield* parts;
    } catch (error) {
      throw hasCode(error, "fenced") ? error : endOf(error);
    }
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
