import { decode, type Value } from "../../domain/values/codec.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { grant } from "../../domain/turns/leases.ts";
import { activateSession, failSession, keepState, passivateSession } from "../../domain/record/activation.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Core } from "../../sessions/core/core.ts";
import { guardLease } from "../../domain/record/guards.ts";
import { Handle, type Rule } from "../../sessions/core/handle.ts";
import { SessionLease } from "../../sessions/turns/session-lease.ts";

/** A session that could not be put in order is looked after again after so long. */
const retryMs = 2000;

/** One session as it lives in a host: held by a lease from the moment it is taken in until it sleeps or its host is over. */
export class HostedSession {
  readonly handle: Handle;
  /** What the runtime left behind the last time. */
  readonly state: Value | undefined;
  readonly #lease: SessionLease;

  private constructor(handle: Handle, state: Value | undefined) {
    this.handle = handle;
    this.state = state;
    this.#lease = new SessionLease(handle);
  }

  /**
   * Take a session in. What a dead holder left is put in order in the same commit.
   * @throws SessionError `session_not_found`, `busy`, `session_expired`, `session_ended`, `session_archived`, the store's
   */
  static async take(core: Core, key: SessionKey, reason: string): Promise<HostedSession> {
    core.guardOpen();
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
    // Where others wrote between the look and the lease, the state may be a later one.
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

  /** What is thrown once it is another's. */
  fenced(): SessionError<"fenced"> {
    const { tenant, id: sessionId, fence: storedFence } = this.record;
    return new SessionError("fenced", { sessionId, tenant, fence: this.fence, storedFence });
  }

  /** Whether the store still knows it as this one's. @throws SessionError the store's */
  async stands(): Promise<boolean> {
    try {
      const { record } = await this.handle.peek();
      return record.lease?.fence === this.fence;
    } catch (error) {
      if (hasCode(error, "session_not_found")) return false;
      throw error;
    }
  }

  /**
   * Put the session to sleep with what its runtime wants to know the next time. Where this throws what may pass, it is still
   * resident.
   * @throws SessionError `fenced` where it was another's already, `state_too_large`, `value_unstorable`, the store's
   */
  async leave(state: Value | undefined, reason: string): Promise<void> {
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

  /** It is over here: nothing is written through it any more, and whoever takes the session in next puts it in order. */
  drop(): void {
    this.handle.retire();
    this.#lease.drop();
  }

  /**
   * Nobody is to run this session for now: what its dead holder left is put in order, and its events say why.
   * @throws SessionError `session_not_found`, `busy` where somebody runs it, the store's
   */
  static async giveUp(core: Core, key: SessionKey, cause: { code: string; message: string }): Promise<void> {
    const { record } = await core.load(key);
    const handle = new Handle(core, record);
    const rule: Rule = (draft, context) => {
      guardLease(draft.record, null, context);
      return failSession(draft, { cause }, context);
    };
    await handle.write(rule, { recovers: "dead", reason: cause.message });
  }

  /** It is over here, and nobody else is to wait for it: as {@link drop}, and put in order in the store, now or soon. */
  async abandon(reason: string): Promise<void> {
    this.drop();
    const { core, key } = this.handle;
    try {
      await HostedSession.tidy(core, key, reason);
    } catch {
      HostedSession.#tidyLater(core, key, reason);
    }
  }

  /** The store is away: it is tried again until it is there. */
  static #tidyLater(core: Core, key: SessionKey, reason: string): void {
    core.schedule(retryMs, async () => {
      try {
        await HostedSession.tidy(core, key, reason);
      } catch (error) {
        if (!hasCode(error, "closed")) HostedSession.#tidyLater(core, key, reason);
      }
    });
  }

  /** What somebody who is dead left of it is put in order. @throws SessionError the store's */
  static async tidy(core: Core, key: SessionKey, reason: string): Promise<void> {
    const found = await core.find(key);
    if (found === undefined) return;
    const rule: Rule = (draft, context) => {
      if (draft.record.lease !== null) return null; // somebody runs it already
      return passivateSession(draft, { reason }, context);
    };
    await new Handle(core, found.record).write(rule, { recovers: "dead", reason });
  }
}
