import { GrowingText } from "../values/growing-text.ts";
import type { AnswerEvent } from "./answer-event.ts";
import type { Turn } from "./turn.ts";

/** An event that is no text, and the length of the text before it. */
interface PlacedEvent {
  readonly event: Exclude<AnswerEvent, { type: "text" }>;
  readonly length: number;
}

/**
 * A streamed answer. Iterate it for the text as it arrives, from its beginning, any number of times (text that arrived
 * before it is read comes in larger chunks); `done` resolves with the sealed turn. The answer runs to its end and is
 * stored with or without a reader; only its `signal` or `session.cancel()` stops it. An answer that failed or was stopped
 * throws its reason, after the text that arrived. `events` has its tool calls and reasoning too.
 */
export class Answer implements AsyncIterable<string> {
  /** The number of the turn that the question began. */
  readonly seq: number;
  /**
   * The sealed turn; or the turn as it waits, with the status `waiting`, if a tool needs approval.
   * @throws SessionError `interrupted`, `model_failed`, `model_refused`, `fenced`, or the store's
   */
  readonly done: Promise<Turn>;
  /**
   * An earlier call with the same key began the turn, and its answer has ended, or runs: this call asked no model. Undefined
   * where this call began it. @internal
   */
  readonly repeats: "ended" | "running" | undefined;
  /** The output of the turn before it waited, for readers that count from its beginning. @internal */
  readonly before: readonly AnswerEvent[];
  readonly #text = new GrowingText();
  #length = 0;
  readonly #others: PlacedEvent[] = [];
  #ended = false;
  readonly #wake: (() => void)[] = [];

  /** Made by `consult`: `run` passes on each event and resolves with the sealed turn. @internal */
  constructor(
    seq: number,
    run: (emit: (event: AnswerEvent) => void) => Promise<Turn>,
    {
      repeats,
      before = [],
    }: { readonly repeats?: Answer["repeats"]; readonly before?: Answer["before"] | undefined } = {},
  ) {
    this.seq = seq;
    this.repeats = repeats;
    this.before = before;
    this.done = run((event) => {
      if (event.type === "text") {
        this.#text.add(event.text);
        this.#length += event.text.length;
      } else {
        this.#others.push({ event, length: this.#length });
      }
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

  /**
   * The answer as it happens, from its beginning, any number of times: pieces of its text and of the model's reasoning,
   * tool calls and their results, in order.
   * @throws SessionError as `done`, after the events that arrived
   */
  async *events(): AsyncGenerator<AnswerEvent, void, undefined> {
    let position = GrowingText.start;
    let unsent = "";
    let sent = 0;
    for (let index = 0; ;) {
      const other = this.#others[index];
      if (other?.length === sent) {
        index++;
        yield other.event;
        continue;
      }
      if (unsent === "") ({ text: unsent, next: position } = this.#text.read(position));
      if (unsent !== "") {
        const text = unsent.slice(0, other === undefined ? undefined : other.length - sent);
        unsent = unsent.slice(text.length);
        sent += text.length;
        yield { type: "text", text };
      } else if (this.#ended) break;
      else await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    await this.done;
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
