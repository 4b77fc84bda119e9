/** Opens sessions on the primary store, or on the fallback while the primary store is unavailable. */
import { channel } from "node:diagnostics_channel";
import type { SessionKey } from "../../domain/record/entry.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { defined } from "../../domain/values/defined.ts";
import type { BreakerState } from "../../store/calls/breaker.ts";
import { diskSpaceOf, type DiskSpace } from "../../store/calls/disk-space.ts";
import type { WritesState } from "../../store/calls/write-watch.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";
import { guardSecret } from "../devices/secret-check.ts";
import type { Outbox } from "./outbox.ts";
import type { OutboxState } from "./outbox-sums.ts";

/** The health of the sessions of a process. */
export interface Health {
  /** `down`: the last call did not reach the store. */
  readonly store: "up" | "down";
  readonly breaker: BreakerState;
  /** The store can be read and refuses writes since then; a write that succeeds ends it. */
  readonly writes: WritesState;
  /** The space for the files of the store; null: not known, as for PostgreSQL; absent for a store in memory. */
  readonly disk?: DiskSpace | null;
  /** New sessions open in the fallback, or the outbox is not empty. */
  readonly degraded: boolean;
  /** Sessions opened without the store since the process began. */
  readonly fallbackSessions: number;
  /** The outbox; null without a fallback. */
  readonly outbox: OutboxState | null;
}

/** Interval of replays while the outbox is not empty. */
const retryMs = 1000;
/** Time limit of the last replay, at close. */
const lastReplayMs = 5000;

/** Published on the channel `perdure:fallback` for each session that is opened in the fallback. */
export interface FallbackNews {
  readonly tenant: string;
  readonly session: string;
  /** The error of the store. */
  readonly reason: string;
}

const opened = channel("perdure:fallback");

export class FallbackRouter {
  readonly core: Core;
  /** Used while the primary store is unavailable. */
  readonly fallback: Core | undefined;
  #outbox: Promise<Outbox> | undefined;
  #fallbackSessions = 0;
  #replaying: Promise<boolean> | undefined;
  #closing: Promise<void> | undefined;
  #scheduled = false;

  constructor(core: Core, fallback: Core | undefined) {
    this.core = core;
    this.fallback = fallback;
    if (fallback === undefined) return;
    // The outbox file may contain turns of an earlier process.
    this.#schedule();
  }

  /**
   * Open a session on the store, or on the fallback if the store is unavailable. Its turns in the outbox are replayed
   * first. `waiting` names its session in the fallback if that has another id.
   * @throws SessionError those of `open`
   */
  async open<Opened extends Handle | undefined>(
    open: (core: Core) => Promise<Opened>,
    waiting?: SessionKey,
  ): Promise<Opened> {
    const fallback = this.fallback;
    try {
      const handle = await open(this.core);
      if (handle !== undefined) await this.#replayFirst(handle, waiting ?? handle.key);
      return handle;
    } catch (error) {
      if (fallback === undefined || !hasCode(error, "store_unavailable")) throw error;
      const handle = await open(fallback);
      // The session may exist in the store: not found in the fallback proves nothing.
      if (handle === undefined) throw error;
      this.#fallbackSessions++;
      const { id: session, tenant } = handle.key;
      opened.publish({ session, tenant, reason: error.message } satisfies FallbackNews);
      this.#schedule();
      return handle;
    }
  }

  /** Replay the turns of a session before it takes new ones. */
  async #replayFirst(handle: Handle, waiting: SessionKey): Promise<void> {
    try {
      if ((await (await this.#loadOutbox())?.replaySession(waiting)) === true) await handle.refresh();
    } catch (error) {
      // The outbox keeps the turns and retries; the session stays usable meanwhile.
      if (!(error instanceof SessionError) || error.code === "store_unavailable") throw error;
    }
  }

  /** The outbox; undefined without a fallback. The first call loads it, and it counts what was committed before. */
  async #loadOutbox(): Promise<Outbox | undefined> {
    const { core: store, fallback } = this;
    if (fallback === undefined) return undefined;
    this.#outbox ??= import("./outbox.ts").then(({ Outbox }) => new Outbox({ fallback, store }));
    return await this.#outbox;
  }

  async health(): Promise<Health> {
    const breaker = this.core.breaker.state;
    const outbox = (await (await this.#loadOutbox())?.state()) ?? null;
    const store = breaker.since === null ? "up" : "down";
    const isStateless = store === "down" && this.fallback !== undefined;
    const degraded = isStateless || (outbox !== null && (outbox.waiting > 0 || outbox.parkedItems > 0));
    const disk = await diskSpaceOf(this.core.store.capabilities);
    return {
      ...defined({ disk }),
      store,
      breaker,
      writes: this.core.writes.state,
      degraded,
      fallbackSessions: this.#fallbackSessions,
      outbox,
    };
  }

  /**
   * Replay the outbox a last time, then close both stores, also if the outbox cannot be read.
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
    // Running answers are sealed first, so that they are replayed too.
    await fallback.settle();
    let unsent = 0;
    try {
      await this.#replayLast();
      unsent = (await (await this.#loadOutbox())?.state())?.waiting ?? 0;
    } finally {
      try {
        await fallback.close();
      } finally {
        await this.core.close();
      }
    }
    if (unsent > 0 && !fallback.store.capabilities.durable) throw new SessionError("outbox_unsent", { turns: unsent });
  }

  async #replayLast(): Promise<void> {
    const timer = new AbortController();
    const timeout = this.core.options.clock.sleep(lastReplayMs, timer.signal);
    // After an error or the time limit, the caller counts what is left.
    await Promise.race([this.#replay(), timeout]).catch(() => undefined);
    timer.abort();
    await timeout.catch(() => undefined);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.core.schedule(retryMs, async () => {
      this.#scheduled = false;
      try {
        if (await this.#replay()) this.#schedule();
      } catch (error) {
        if (!hasCode(error, "closed")) this.#schedule();
      }
    });
  }

  #replay(): Promise<boolean> {
    this.#replaying ??= this.#replayAll().finally(() => (this.#replaying = undefined));
    return this.#replaying;
  }

  async #replayAll(): Promise<boolean> {
    const outbox = await this.#loadOutbox();
    if (outbox === undefined) return false;
    await guardSecret(this.core);
    return await outbox.replay();
  }
}
