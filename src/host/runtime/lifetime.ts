/**
 * The lifetime of an activation, with an AbortSignal that is created on first use: most of many idle sessions never
 * need one.
 */
export class Lifetime {
  #controller: AbortController | undefined;
  #reason: Error | undefined;

  /** Aborts when the lifetime ends. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get isOver(): boolean {
    return this.#reason !== undefined;
  }

  end(reason: Error): void {
    this.#reason ??= reason;
    this.#controller?.abort(this.#reason);
  }
}
