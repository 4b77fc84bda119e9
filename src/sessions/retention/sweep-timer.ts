import type { Core } from "../core/core.ts";
import { sweep } from "./sweep.ts";

/** The sweep of a long-lived process, over all tenants of its store. It keeps no process alive. */
export class SweepTimer {
  readonly #core: Core;
  readonly #everyMs: number;
  readonly #stop = new AbortController();
  #timer: NodeJS.Timeout;
  #running: Promise<void> = Promise.resolve();

  constructor(core: Core, everyMs: number) {
    this.#core = core;
    this.#everyMs = everyMs;
    // Processes that start together must not sweep together.
    this.#timer = this.#schedule(Math.random() * everyMs);
  }

  #schedule(delayMs: number): NodeJS.Timeout {
    // Longer than a 32-bit timer holds is a day less than 25 days: it then looks a little early.
    const timer = setTimeout(
      () => {
        this.#running = this.#run();
      },
      Math.min(delayMs, 2 ** 31 - 1),
    );
    return timer.unref();
  }

  async #run(): Promise<void> {
    try {
      await sweep(this.#core, undefined, { signal: this.#stop.signal });
    } catch {
      // The sweep published the error on its channel. The next round tries again; expiry is judged on read, so nothing
      // depends on this one.
    }
    if (!this.#stop.signal.aborted) this.#timer = this.#schedule(this.#everyMs * (0.9 + Math.random() * 0.2));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }
}
