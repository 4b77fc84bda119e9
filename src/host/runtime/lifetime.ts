/** How long something lives, as a signal for who asks; nobody may, of a hundred thousand that sleep, so it is made late. */
export class Lifetime {
  #controller: AbortController | undefined;
  #reason: Error | undefined;

  /** Aborts when it is over. */
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
