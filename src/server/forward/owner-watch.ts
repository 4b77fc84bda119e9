import type { HostInfo, Sessions } from "../../index.ts";

/** How often hosts are looked after whose answers are waited for. */
const lookEveryMs = 1000;

/** Somebody waits for an answer of a host. */
interface Watched {
  readonly address: string;
  readonly lost: (reason: string) => void;
}

/**
 * Looks after the hosts to which requests were sent on: one that is paused, or is cut off, keeps its connections, and only its
 * heartbeat tells. One question for all that wait, while somebody waits.
 */
export class OwnerWatch {
  readonly #sessions: Sessions;
  readonly #waiting = new Set<Watched>();
  #timer: NodeJS.Timeout | undefined;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /** Call `lost` with the reason where the host at this address is not heard of any more, until the returned function is called. */
  watch(address: string, lost: (reason: string) => void): () => void {
    const watched: Watched = { address, lost };
    this.#waiting.add(watched);
    this.#timer ??= setInterval(() => void this.#look().catch(() => undefined), lookEveryMs).unref(); // the next look tries again
    return () => {
      this.#waiting.delete(watched);
      if (this.#waiting.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  async #look(): Promise<void> {
    const hosts = new Map((await this.#sessions.hosts()).map((host) => [host.address, host]));
    for (const { address, lost } of this.#waiting) {
      const host = hosts.get(address);
      if (host?.alive !== true) lost(reasonOf(host));
    }
  }
}

function reasonOf(host: HostInfo | undefined): string {
  if (host === undefined) return "it has left";
  return `it was last heard of at ${host.seenAt.toISOString()}, so its sessions wake where they are spoken to`;
}
