import type { SessionKey } from "../domain/entry.ts";
import { hasCode, SessionError } from "../errors.ts";
import type { Core } from "../sessions/core.ts";
import { Residence } from "../sessions/residence.ts";
import { RuntimeEnd, type Cell, type Profile, type Tenant } from "./cell.ts";
import { Lifetime } from "./lifetime.ts";
import { LiveSession } from "./live-session.ts";
import { reasonOf, type Runtime } from "./runtime.ts";

/** Sessions whose code runs in this very thread. */
export class InlineCell implements Cell {
  readonly #core: Core;
  readonly #runtime: Runtime;
  readonly #tenants = new Set<InlineTenant>();

  constructor(core: Core, runtime: Runtime) {
    this.#core = core;
    this.#runtime = runtime;
  }

  async open(key: SessionKey): Promise<InlineTenant> {
    const residence = await Residence.take(this.#core, key);
    const tenant = new InlineTenant(residence, this.#runtime, () => this.#tenants.delete(tenant));
    this.#tenants.add(tenant);
    try {
      await tenant.activate();
      return tenant;
    } catch (error) {
      await tenant.drop();
      throw error;
    }
  }

  async close(): Promise<void> {
    for (const tenant of this.#tenants) await tenant.drop();
  }

  memoryBytes(): undefined {
    return undefined;
  }
}

/** One session in this thread. */
class InlineTenant implements Tenant {
  readonly #residence: Residence;
  readonly #runtime: Runtime;
  readonly #lifetime = new Lifetime();
  readonly #session: LiveSession;
  readonly #gone: () => void;

  constructor(residence: Residence, runtime: Runtime, gone: () => void) {
    this.#residence = residence;
    this.#runtime = runtime;
    this.#session = new LiveSession(residence, this.#lifetime, runtime.model);
    this.#gone = gone;
  }

  get fence(): number {
    return this.#residence.fence;
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
    const answer = await this.#run(() => this.#runtime.onMessage(this.#session, message as never));
    return isStream(answer) ? this.#guarded(answer) : answer;
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

  async leave(): Promise<void> {
    if (this.#runtime.deactivate !== undefined) await this.#run(() => this.#runtime.deactivate?.(this.#session));
    await this.#residence.leave(this.#session.state);
    this.#end("the session was put to sleep");
  }

  async drop(): Promise<void> {
    this.#residence.drop();
    this.#end("this life of the session is over");
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
      throw endOf(error);
    }
  }

  async *#guarded(parts: AsyncIterable<unknown>): AsyncGenerator<unknown, void, undefined> {
    try {
      yield* parts;
    } catch (error) {
      throw endOf(error);
    }
  }
}

function endOf(error: unknown): Error {
  if (hasCode(error, "fenced")) return error;
  if (error instanceof RuntimeEnd) return error;
  return new RuntimeEnd("threw", reasonOf(error), { cause: error });
}

export function isStream(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

/** What the host throws for a session of which another is the owner. */
export type Lost = SessionError<"fenced">;
