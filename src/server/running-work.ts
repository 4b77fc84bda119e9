import type { RequestContext } from "./http/route.ts";

/** Asks the host of the request, if it gave a context, to stay alive until the work settles. */
export function waitUntil(c: RequestContext, work: Promise<unknown>): void {
  const settled = work.then(
    () => undefined,
    () => undefined,
  );
  lifetimeOf(c)?.waitUntil(settled);
}

function lifetimeOf(c: RequestContext): RequestContext["executionCtx"] | undefined {
  try {
    return c.executionCtx;
  } catch {
    // The getter throws where the host gave none.
    return undefined;
  }
}

/** The requests and answers that a server still works on: a stopping server waits for them. */
export class RunningWork {
  readonly #running = new Set<Promise<void>>();

  /** Tracks work until it settles. */
  async track<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => undefined,
      () => undefined,
    );
    this.#running.add(settled);
    try {
      return await work;
    } finally {
      this.#running.delete(settled);
    }
  }

  /** Resolves once the running work has settled, or after `ms`. */
  async settle(ms: number): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, ms);
    await Promise.race([Promise.all(this.#running), late.promise]);
    clearTimeout(timer);
  }
}
