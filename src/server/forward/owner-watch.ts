import type { ErrorDetails, Sessions } from "../../index.ts";
import { listHosts, type HostInfo } from "../../admin.ts";

/** Poll interval for hosts whose responses are awaited. */
const lookEveryMs = 1000;

/** The reason to stop waiting for a host. */
export type OwnerProblem = Omit<ErrorDetails["owner_unreachable"], "sessionId" | "address">;

/** A request that waits for a host. */
interface Watched {
  readonly address: string;
  readonly lost: (problem: OwnerProblem) => void;
}

/**
 * Polls the heartbeat of hosts to which requests were forwarded: a host that is paused or cut off keeps its connections
 * open. One query serves all waiting requests; without waiting requests it does not poll.
 */
export class OwnerWatch {
  readonly #sessions: Sessions;
  readonly #waiting = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /**
   * Calls `lost` when the host at this address has no heartbeat, until the returned function is called.
   */
  watch(address: string, lost: (problem: OwnerProblem) => void): () => void {
    const watched: Watched = { address, lost };
    this.#waiting.add(watched);
    this.#timer ??= setInterval(() => void this.#look().catch(() => undefined), lookEveryMs).unref(); // the next poll tries again
    return () => {
      this.#waiting.delete(watched);
      if (this.#waiting.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  async #look(): Promise<void> {
    const hosts = new Map((await listHosts(this.#sessions)).items.map((host) => [host.address, host]));
    for (const { address, lost } of this.#waiting) {
      const host = hosts.get(address);
      if (host?.alive !== true) lost(problemOf(host));
    }
  }
}

function problemOf(host: HostInfo | undefined): OwnerProblem {
  return host === undefined ? { problem: "left" } : { problem: "silent", seenAt: host.seenAt.getTime() };
}
