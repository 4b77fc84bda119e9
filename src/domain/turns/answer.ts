import { GrowingText } from "../values/growing-text.ts";
import type { Turn } from "./turn.ts";

/**
 * A streamed answer. Iterate it for the text as it arrives, from its beginning, any number of times (text that arrived
 * before it is read comes in larger chunks); `done` resolves with the sealed turn. The answer runs to its end and is
 * stored with or without a reader; only its `signal` or `session.cancel()` stops it. An answer that failed or was stopped
 * throws its reason, after the text that arrived.
 */
export class Answer implements AsyncIterable<string> {
  /** The number of the turn that the question began. */
  readonly seq: number;
  /**
   * The sealed turn.
   * @throws SessionError `interrupted`, `model_failed`, `model_refused`, `fenced`, or the store's
   */
  readonly done: Promise<Turn>;
  readonly #text = new GrowingText();
  #ended = false;
  readonly #wake: (() => void)[] = [];

  /** Made by `consult`: `run` passes on each text and resolves with the sealed turn. @internal */
  constructor(seq: number, run: (say: (text: string) => void) => Promise<Turn>) {
    this.seq = seq;
    this.done = run((text) => {
      this.#text.add(text);
      this.#notify();
    }).finally(() => {
      this.#ended = true;
      this.#notify();
    });
    // Readers of `done` and iterators get a failure; without a reader it must not end the process.
    this.done.catch(() => undefined);
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void, undefined> {
    for (let position = GrowingText.start; ;) {
      const { text, next } = this.#text.read(position);
      position = next;
      if (text !== "") yield text;
      else if (this.#ended) break;
      else await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    await this.done;
  }

  /** The whole text, once the answer is there. @throws SessionError as `done` */
  async text(): Promise<string> {
    await this.done;
    return this.#text.toString();
  }
}
