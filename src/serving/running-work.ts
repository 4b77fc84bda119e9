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
