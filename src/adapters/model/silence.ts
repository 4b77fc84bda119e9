import { failure } from "./failure.ts";

/** The longest silence within an answer where no setting says otherwise, ms. */
export const defaultTimeoutMs = 120_000;

/** Aborts a request after `timeoutMs` without news of its endpoint, or when its caller aborts it. */
export class Silence {
  /** Aborts the request. */
  readonly signal: AbortSignal;
  readonly #asked: AbortSignal;
  readonly #over = new AbortController();
  readonly #timeoutMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(asked: AbortSignal, timeoutMs: number) {
    this.#asked = asked;
    this.#timeoutMs = timeoutMs;
    this.signal = AbortSignal.any([asked, this.#over.signal]);
  }

  /** Waits for news from now on. */
  listen(): void {
    this.pause();
    this.#timer = setTimeout(() => this.#over.abort(), this.#timeoutMs);
  }

  /** Stops the clock: time that the caller takes for an event is not silence of the endpoint. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  /** @throws the reason of the caller's abort; SessionError `model_failed` if the endpoint was silent for too long */
  throwIfAborted(cause?: unknown): void {
    this.#asked.throwIfAborted();
    if (this.#over.signal.aborted) throw failure({ problem: "silent", timeoutMs: this.#timeoutMs }, cause);
  }
}
