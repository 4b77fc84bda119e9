import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { fenced, sessionIds } from "../../domain/record/guards.ts";
import { releaseLease, renewLease } from "../../domain/turns/leases.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Rule } from "../core/writable-session.ts";
import type { Handle } from "../handle/handle.ts";
import type { Found, SessionWatch } from "../polling/change-poller.ts";
import { traceCall } from "../tracing/operation.ts";

/** A granted lease that is held for so long is confirmed, ms; an unconfirmed one lapses after a few seconds. */
const confirmMs = 1500;

/**
 * The exclusive right to write to one session, held by the `Session` on which it was taken. `release`, `await using`,
 * `close` and the end of its process release it.
 */
export class SessionLease implements AsyncDisposable {
  /** The fencing token: grows with each lease of the session. A write under a smaller one fails with `fenced`. */
  readonly fence: number;
  /** The commit that granted it. */
  readonly #commitId: string | undefined;
  readonly #handle: Handle;
  #released: Promise<void> | undefined;
  #isLost = false;
  /** Aborted when the lease is lost; undefined until a caller asks for its signal. */
  #stop: AbortController | undefined;
  #watch: SessionWatch | undefined;

  /** Made by `session.lease`, on a handle with a new lease. @internal */
  constructor(handle: Handle) {
    const { fence, lease } = handle.record;
    this.fence = fence;
    this.#commitId = lease?.commitId;
    this.#handle = handle;
    handle.takeLease();
    handle.core.leases.add(this);
  }

  /**
   * Takes the lease that was granted to a place in the queue, without a write. It lasts as long as this instance, which is
   * written if the lease is held for longer than a moment. @internal
   */
  static granted(handle: Handle): SessionLease {
    handle.core.instance.use(handle.key, handle.record.fence);
    const lease = new SessionLease(handle);
    lease.#confirmLater();
    return lease;
  }

  #confirmLater(): void {
    this.#handle.core.schedule(confirmMs, async () => {
      if (this.#released !== undefined || this.#isLost) return;
      try {
        await this.#renew(null);
      } catch (error) {
        if (hasCode(error, "store_unavailable")) this.#confirmLater();
      }
    });
  }

  /**
   * Aborts within about a second once another writer has taken the lease over, or the session was removed; the reason is a
   * `SessionError`. A lease that is released does not abort it. The session is polled from the first read of this property on.
   */
  get signal(): AbortSignal {
    if (this.#stop === undefined) {
      this.#stop = new AbortController();
      const { core, key } = this.#handle;
      if (this.#isLost) this.#stop.abort(fenced(this.#handle.record, this.fence));
      else if (this.#released === undefined)
        this.#watch = core.poller.watch(key, { needs: "record", isQuiet: true }, (found) => this.#onFound(found));
    }
    return this.#stop.signal;
  }

  /** A store that is unavailable says nothing about the lease. */
  #onFound(found: Found): void {
    if (found.status === "failed") return;
    const handle = this.#handle;
    if (found.status === "found") {
      handle.learn(found.view.record);
      if (!this.isIn(handle.record)) handle.core.loseLease(this.key, this.fence);
      return;
    }
    this.#stop?.abort(new SessionError("session_not_found", sessionIds(handle.record)));
    handle.core.loseLease(this.key, this.fence);
  }

  /** The view of the session that writes under this lease. @internal */
  get handle(): Handle {
    return this.#handle;
  }

  get key(): SessionKey {
    return this.#handle.key;
  }

  /** True if the record names this lease. */
  isIn({ lease }: Pick<SessionRecord, "lease">): boolean {
    return lease?.fence === this.fence && lease.commitId === this.#commitId;
  }

  /** Renew a lease that was taken with a `ttl`. @throws SessionError `fenced` */
  async renew(ttl: Duration): Promise<void> {
    await traceCall(this.#handle.about("lease.renew"), async () => {
      const ttlMs = parseDuration(ttl, "ttl");
      await this.#renew(ttlMs);
    });
  }

  async #renew(ttlMs: number | null): Promise<void> {
    await this.#handle.write(({ record }, context) => renewLease(record, { fence: this.fence, ttlMs }, context));
  }

  /** Release the lease. A turn in progress under it is sealed as interrupted. Does nothing for a lost lease. */
  release(): Promise<void> {
    this.#released ??= traceCall(this.#handle.about("lease.release"), () => this.#release());
    return this.#released;
  }

  async #release(): Promise<void> {
    const { core } = this.#handle;
    this.#watch?.stop();
    try {
      for (const turn of core.turns) if (turn.isUnder(this)) await turn.settle();
      if (this.#isLost) return;
      const rule: Rule = ({ record }, context) => releaseLease(record, this.fence, context);
      await this.#handle.fold(rule);
      core.instance.disuse(this.key, this.fence);
    } catch (error) {
      // Superseded, or the session was removed: no lease is left to release, and each write under it has failed.
      if (hasCode(error, "fenced") || hasCode(error, "session_not_found")) {
        this.lose();
        return;
      }
      this.#handle.abandon(this.fence);
      throw error;
    } finally {
      core.leases.delete(this);
      if (this.#handle.fence === this.fence) this.#handle.dropLease();
    }
  }

  /** Drop a lease that was superseded or whose session was removed. Writes under it keep failing. */
  lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#watch?.stop();
    this.#stop?.abort(fenced(this.#handle.record, this.fence));
    const { core } = this.#handle;
    core.leases.delete(this);
    core.instance.disuse(this.key, this.fence);
  }

  /** Drop a lease that has ended in the store, or that the next writer recovers. */
  drop(): void {
    const { core } = this.#handle;
    this.#released ??= Promise.resolve();
    this.#watch?.stop();
    core.leases.delete(this);
    core.instance.disuse(this.key, this.fence);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
