import { decode, type Value } from "../../domain/values/codec.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { grant } from "../../domain/turns/leases.ts";
import { activateSession, failSession, keepState, passivateSession } from "../../domain/record/activation.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../../sessions/core/core.ts";
import { guardLease } from "../../domain/record/guards.ts";
import { Handle } from "../../sessions/handle/handle.ts";
import type { Rule } from "../../sessions/core/writable-session.ts";
import { SessionLease } from "../../sessions/turns/session-lease.ts";

/** Delay before another attempt to recover a session while the store is away, ms. */
const retryMs = 2000;

/** A session that a host has activated: it holds the session's lease from activation until passivation. */
export class HostedSession {
  readonly handle: Handle;
  /** The state that the runtime saved at its last passivation. */
  readonly state: Value | undefined;
  readonly #lease: SessionLease;

  private constructor(handle: Handle, state: Value | undefined) {
    this.handle = handle;
    this.state = state;
    this.#lease = new SessionLease(handle);
  }

  /**
   * Takes the session's lease. The same commit recovers the abandoned turn of a dead holder.
   * @throws SessionError `session_not_found`, `busy`, `session_expired`, `session_ended`, `session_archived`, the
   *   store's
   */
  static async take(core: Core, key: SessionKey, reason: string): Promise<HostedSession> {
    return await core.take(() => HostedSession.#take(core, key, reason));
  }

  static async #take(core: Core, key: SessionKey, reason: string): Promise<HostedSession> {
    await core.instance.ensureAlive();
    const tails = [{ log: "state", last: 1 }];
    const { record, tails: found } = await core.load(key, tails);
    const handle = new Handle(core, record);
    await handle.write(
      (draft, context) => {
        const instance = core.instance.id;
        grant(draft, { instance, ttlMs: null, ticket: null, ahead: true }, context);
        return activateSession(draft, { instance, reason }, context);
      },
      { recovers: "dead" },
    );
    // If another process wrote between the load and the lease, the saved state may have changed.
    const isFresh = handle.record.version === record.version + 1;
    const [entries = []] = isFresh ? found : (await handle.refresh(tails)).tails;
    const [entry] = entries;
    return new HostedSession(handle, entry === undefined ? undefined : decode(entry.data));
  }

  get record(): SessionRecord {
    return this.handle.record;
  }

  get fence(): number {
    return this.#lease.fence;
  }

  /** The error for a session whose lease another process has taken. */
  fenced(): SessionError<"fenced"> {
    const { tenant, id: sessionId, fence: storedFence } = this.record;
    return new SessionError("fenced", { sessionId, tenant, fence: this.fence, storedFence });
  }

  /**
   * Whether the stored lease is still this one.
   * @throws SessionError the store's
   */
  async isCurrent(): Promise<boolean> {
    try {
      const { record } = await this.handle.peek();
      return this.#lease.isIn(record);
    } catch (error) {
      if (hasCode(error, "session_not_found")) return false;
      throw error;
    }
  }

  /**
   * Passivates the session and saves its state in one commit. After a retryable error the session is still held.
   * @throws SessionError `fenced` if another process has taken the lease, `state_too_large`, `value_unstorable`, the
   *   store's
   */
  async passivate(state: Value | undefined, reason: string): Promise<void> {
    const { core } = this.handle;
    try {
      for (const turn of core.turns) if (turn.isUnder(this.#lease)) await turn.settle();
      const fence = this.fence;
      await this.handle.write((draft, context) => {
        keepState(draft, state, context);
        return passivateSession(draft, { reason, fence }, context);
      });
    } catch (error) {
      if (hasCode(error, "fenced") || hasCode(error, "session_not_found")) this.drop();
      throw error;
    }
    this.drop();
  }

  /** Writes nothing more through this handle; the next owner recovers the session. */
  drop(): void {
    this.handle.retire();
    this.#lease.drop();
  }

  /**
   * Records that the session failed too often, and recovers the turn that its dead holder abandoned.
   * @throws SessionError `session_not_found`, `busy` if another process runs it, the store's
   */
  static async recordFailure(core: Core, key: SessionKey, cause: { code: string; message: string }): Promise<void> {
    const { record } = await core.load(key);
    const handle = new Handle(core, record);
    const rule: Rule = (draft, context) => {
      guardLease(draft.record, null, context);
      return failSession(draft, { cause }, context);
    };
    await handle.write(rule, { recovers: "dead", reason: cause.message });
  }

  /**
   * As {@link drop}, and passivates the session in the store now, or later if the store is away, so that the next owner
   * need not wait.
   */
  async abandon(reason: string): Promise<void> {
    this.drop();
    const { core, key } = this.handle;
    try {
      await HostedSession.passivateAbandoned(core, key, reason);
    } catch {
      HostedSession.#retryPassivateAbandoned(core, key, reason);
    }
  }

  /** Retries until the store is back. */
  static #retryPassivateAbandoned(core: Core, key: SessionKey, reason: string): void {
    core.schedule(retryMs, async () => {
      try {
        await HostedSession.passivateAbandoned(core, key, reason);
      } catch (error) {
        if (!hasCode(error, "closed")) HostedSession.#retryPassivateAbandoned(core, key, reason);
      }
    });
  }

  /**
   * Passivates a session that a dead holder abandoned.
   * @throws SessionError the store's
   */
  static async passivateAbandoned(core: Core, key: SessionKey, reason: string): Promise<void> {
    const found = await core.find(key);
    if (found === undefined) return;
    const rule: Rule = (draft, context) => {
      if (draft.record.lease !== null) return null; // another process runs it already
      return passivateSession(draft, { reason }, context);
    };
    await new Handle(core, found.record).write(rule, { recovers: "dead", reason });
  }
}
