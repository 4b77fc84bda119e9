/** Which store a session is opened on: the one it belongs to, or the fallback while that one cannot be reached. */
import { channel } from "node:diagnostics_channel";
import type { SessionKey } from "../../domain/record/entry.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { BreakerState } from "../../store/calls/breaker.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../core/handle.ts";
import { Outbox } from "./outbox.ts";
import type { OutboxState } from "./outbox-sums.ts";

/** How the sessions of a process stand. */
export interface Health {
  /** `down`: the store could not be reached when it was last asked. */
  readonly store: "up" | "down";
  readonly breaker: BreakerState;
  /** Sessions are stateless now, or something said in one is not in the store yet. */
  readonly degraded: boolean;
  /** Sessions opened without the store since the process began. */
  readonly fallbackSessions: number;
  /** What waits for the store; null where there is no fallback. */
  readonly outbox: OutboxState | null;
}

/** How often the store is tried while something waits for it. */
const retryMs = 1000;
/** How long a closing process tries to tell the store what waits. */
const lastTryMs = 5000;

/** What is published on the channel `perdure:fallback` where a session is opened while the store is away. */
export interface FallbackNews {
  readonly tenant: string;
  readonly session: string;
  /** Why the store cannot be reached. */
  readonly reason: string;
}

const opened = channel("perdure:fallback");

export class FallbackRouter {
  readonly core: Core;
  /** What stands in for the store while it is away. */
  readonly fallback: Core | undefined;
  readonly #outbox: Outbox | undefined;
  #fallbackSessions = 0;
  #telling: Promise<boolean> | undefined;
  #closing: Promise<void> | undefined;
  #scheduled = false;

  constructor(core: Core, fallback: Core | undefined) {
    this.core = core;
    this.fallback = fallback;
    if (fallback === undefined) return;
    this.#outbox = new Outbox({ fallback, store: core });
    // A file may hold what an earlier process could not tell.
    this.#schedule();
  }

  /**
   * Open a session on the store, or on the fallback where the store is away. `waiting` names the session of the fallback
   * that stands for it, where that is not the one of the same name.
   * @throws SessionError what `open` throws
   */
  async open<Opened extends Handle | undefined>(
    open: (core: Core) => Promise<Opened>,
    waiting?: SessionKey,
  ): Promise<Opened> {
    const fallback = this.fallback;
    try {
      const handle = await open(this.core);
      if (handle !== undefined) await this.#tellFirst(handle, waiting ?? handle.key);
      return handle;
    } catch (error) {
      if (fallback === undefined || !hasCode(error, "store_unavailable")) throw error;
      const handle = await open(fallback);
      // Nobody knows whether there is none: the store is away.
      if (handle === undefined) throw error;
      this.#fallbackSessions++;
      const { id: session, tenant } = handle.key;
      opened.publish({ session, tenant, reason: error.details.reason } satisfies FallbackNews);
      this.#schedule();
      return handle;
    }
  }

  /** What was said in it while the store was away comes before what is said now. */
  async #tellFirst(handle: Handle, waiting: SessionKey): Promise<void> {
    try {
      if ((await this.#outbox?.tellOf(waiting)) === true) await handle.refresh();
    } catch (error) {
      // It cannot be told just now, and goes on waiting; that keeps nobody from going on with the session.
      if (!(error instanceof SessionError) || error.code === "store_unavailable") throw error;
    }
  }

  async health(): Promise<Health> {
    const breaker = this.core.breaker.breaker;
    const outbox = (await this.#outbox?.state()) ?? null;
    const store = breaker.since === null ? "up" : "down";
    const isStateless = store === "down" && this.fallback !== undefined;
    const degraded = isStateless || (outbox !== null && (outbox.waiting > 0 || outbox.parkedItems > 0));
    return { store, breaker, degraded, fallbackSessions: this.#fallbackSessions, outbox };
  }

  /**
   * Replays to the store what waits, one last time, and closes both stores, also if the outbox cannot be read.
   * @throws SessionError `outbox_unsent` if turns would be lost with this process
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const fallback = this.fallback;
    if (fallback === undefined) {
      await this.core.close();
      return;
    }
    // What is being answered is sealed first, so that it is told too.
    await fallback.settle();
    let unsent = 0;
    try {
      await this.#tellLast();
      unsent = (await this.#outbox?.state())?.waiting ?? 0;
    } finally {
      try {
        await fallback.close();
      } finally {
        await this.core.close();
      }
    }
    if (unsent > 0 && !fallback.store.capabilities.durable) throw new SessionError("outbox_unsent", { turns: unsent });
  }

  async #tellLast(): Promise<void> {
    const patience = new AbortController();
    const tired = this.core.options.clock.sleep(lastTryMs, patience.signal);
    // Failing to tell, and the end of the patience, come to the same: what still waits is counted afterwards.
    await Promise.race([this.#tell(), tired]).catch(() => undefined);
    patience.abort();
    await tired.catch(() => undefined);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.core.schedule(retryMs, async () => {
      this.#scheduled = false;
      try {
        if (await this.#tell()) this.#schedule();
      } catch (error) {
        if (!hasCode(error, "closed")) this.#schedule();
      }
    });
  }

  #tell(): Promise<boolean> {
    this.#telling ??= (this.#outbox?.tell() ?? Promise.resolve(false)).finally(() => (this.#telling = undefined));
    return this.#telling;
  }
}
