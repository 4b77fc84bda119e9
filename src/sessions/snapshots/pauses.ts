import { setImmediate as turnOfTheLoop } from "node:timers/promises";

/** About 10 ms of parsing, encoding or hashing. */
const charactersMax = 512 * 1024;

/** Work on long texts, with a turn of the event loop after each {@link charactersMax} characters. */
export class Pauses {
  readonly #pause: () => Promise<unknown>;
  #since = 0;

  /** @param pause lets the event loop turn; tests count the work between two of them */
  constructor(pause: () => Promise<unknown> = () => turnOfTheLoop()) {
    this.#pause = pause;
  }

  /** Work on this many characters was done. */
  async after(characters: number): Promise<void> {
    this.#since += characters;
    if (this.#since < charactersMax) return;
    this.#since = 0;
    await this.#pause();
  }
}
