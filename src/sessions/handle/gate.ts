/** Opens once: the next operation of a handle waits for it. Most gates are open before an operation comes. */
export class Gate {
  #isOpen = false;
  #opened: PromiseWithResolvers<void> | undefined;

  open(): void {
    this.#isOpen = true;
    this.#opened?.resolve();
  }

  /** Resolves when the gate is open; undefined if it is. */
  passed(): Promise<void> | undefined {
    if (this.#isOpen) return undefined;
    this.#opened ??= Promise.withResolvers();
    return this.#opened.promise;
  }
}
