import { changeOf } from "../domain/change.ts";
import type { Value } from "../domain/codec.ts";
import type { SessionKey } from "../domain/entry.ts";
import { grant } from "../domain/leases.ts";
import type { SessionRecord } from "../domain/record.ts";
import { passivate, stateOf } from "../domain/residence.ts";
import { hasCode } from "../errors.ts";
import type { Core } from "./core.ts";
import { Handle } from "./handle.ts";
import { SessionLease } from "./session-lease.ts";

/** One session as it lives in a host: held by a lease from the moment it is taken in until it sleeps or its host is over. */
export class Residence {
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
  static async take(core: Core, key: SessionKey): Promise<Residence> {
    core.guardOpen();
    await core.instance.ensureAlive();
    const tails = [{ log: "state", last: 1 }];
    const { record, tails: found } = await core.load(key, tails);
    const handle = new Handle(core, record);
    await handle.write(
      (draft, context) => {
        grant(draft, { instance: core.instance.id, ttlMs: null, ticket: null, ahead: true }, context);
        return changeOf(draft);
      },
      { recovers: "dead" },
    );
    // Where others wrote between the look and the lease, the state may be a later one.
    const isFresh = handle.record.version === record.version + 1;
    const [entries = []] = isFresh ? found : (await handle.refresh(tails)).tails;
    return new Residence(handle, stateOf(entries[0]));
  }

  get record(): SessionRecord {
    return this.handle.record;
  }

  get fence(): number {
    return this.#lease.fence;
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
  async leave(state: Value | undefined): Promise<void> {
    const { core } = this.handle;
    try {
      for (const turn of core.turns) if (turn.isUnder(this.#lease)) await turn.settle();
      const fence = this.fence;
      await this.handle.write((draft, context) => passivate(draft, { fence, state }, context));
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
}
