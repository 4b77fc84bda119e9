import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { releaseLease, renewLease } from "../../domain/turns/leases.ts";
import { hasCode } from "../../errors.ts";
import type { Handle } from "../core/handle.ts";
import { traceCall } from "../tracing/operation.ts";

/**
 * The exclusive right to write to one session, held by the `Session` it was taken on. It is given back by `release`,
 * by `await using`, by `close`, or by the end of its process.
 */
export class SessionLease implements AsyncDisposable {
  /** Grows with every lease of the session; a write under a smaller one fails `fenced`. */
  readonly fence: number;
  /** The commit that granted it. */
  readonly #commitId: string | undefined;
  readonly #handle: Handle;
  #released: Promise<void> | undefined;
  #isLost = false;

  /** Made by `session.lease` on a handle that has just been granted one. @internal */
  constructor(handle: Handle) {
    this.fence = handle.record.fence;
    this.#commitId = handle.record.lease?.commitId;
    this.#handle = handle;
    handle.takeLease();
    handle.core.leases.add(this);
  }

  get key(): SessionKey {
    return this.#handle.key;
  }

  /** True where the record names this lease. */
  isIn({ lease }: Pick<SessionRecord, "lease">): boolean {
    return lease?.fence === this.fence && lease.commitId === this.#commitId;
  }

  /** Move the end of a lease that was taken with a `ttl`. @throws SessionError `fenced` */
  async renew(ttl: Duration): Promise<void> {
    await traceCall(this.#handle.about("lease.renew"), async () => {
      const ttlMs = parseDuration(ttl, "ttl");
      await this.#handle.write(({ record }, context) => renewLease(record, { fence: this.fence, ttlMs }, context));
    });
  }

  /** Give it back; a turn in progress under it is sealed as interrupted. Does nothing for one that was lost already. */
  release(): Promise<void> {
    this.#released ??= traceCall(this.#handle.about("lease.release"), () => this.#release());
    return this.#released;
  }

  async #release(): Promise<void> {
    const { core } = this.#handle;
    try {
      for (const turn of core.turns) if (turn.isUnder(this)) await turn.settle();
      if (this.#isLost) return;
      await this.#handle.write(({ record }) => releaseLease(record, this.fence));
      core.instance.disuse(this.key, this.fence);
    } catch (error) {
      // Superseded or removed: there is nothing left to give back, and every write under it has said so.
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

  /** Another writer has superseded it, or its session is gone: nothing is left to give back. Its writes go on failing. */
  lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    const { core } = this.#handle;
    core.leases.delete(this);
    core.instance.disuse(this.key, this.fence);
  }

  /** The lease is over, and the store knows it, or is to learn it from whoever comes next. */
  drop(): void {
    const { core } = this.#handle;
    this.#released ??= Promise.resolve();
    core.leases.delete(this);
    core.instance.disuse(this.key, this.fence);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
