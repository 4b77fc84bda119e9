import { SessionError } from "../errors.ts";
import type { Core } from "../sessions/core/core.ts";
import type { Actor } from "./actor/actor.ts";
import type { TimerWheel } from "./actor/timer-wheel.ts";

/** Records per query of a check. */
const verifyPageSize = 500;
/** Pause before another check, after the store did not answer the last one, ms. */
const verifyAgainMs = 1000;

/**
 * Checks after a gap in the heartbeat which sessions the host still owns. Each session checks its lease again before its next
 * message; this check finds lost sessions that get no message.
 */
export class LeaseCheck {
  readonly #core: Core;
  readonly #wheel: TimerWheel;
  readonly #actors: () => Iterable<Actor>;
  readonly #onHeartbeatGap = (): void => void this.#verifyUntilDone();
  #isClosed = false;

  constructor(core: Core, wheel: TimerWheel, actors: () => Iterable<Actor>) {
    this.#core = core;
    this.#wheel = wheel;
    this.#actors = actors;
    core.instance.onHeartbeatGap.add(this.#onHeartbeatGap);
  }

  close(): void {
    this.#isClosed = true;
    this.#core.instance.onHeartbeatGap.delete(this.#onHeartbeatGap);
  }

  /** Repeats the check while the store is away: a session without messages makes no check of its own. */
  async #verifyUntilDone(): Promise<void> {
    try {
      await this.#verify();
    } catch {
      if (!this.#isClosed) this.#wheel.after(verifyAgainMs, this.#onHeartbeatGap);
    }
  }

  /** After a gap in the heartbeat, drops the sessions whose lease another host has taken. */
  async #verify(): Promise<void> {
    const actors = [...this.#actors()].filter(({ fence }) => fence !== undefined);
    for (let from = 0; from < actors.length; from += verifyPageSize) {
      const some = actors.slice(from, from + verifyPageSize);
      const fences = some.map(({ fence }) => fence);
      const found = await this.#core.loadEach(some.map(({ key }) => ({ key, tails: [] })));
      some.forEach((actor, index) => {
        const loaded = found[index];
        // A session that cannot be read checks its lease again before its next message.
        if (actor.fence !== fences[index] || loaded instanceof SessionError) return;
        if (loaded?.record.lease?.fence !== actor.fence) actor.lost(loaded?.record.fence);
      });
    }
  }
}
