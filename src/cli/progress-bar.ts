import { clearLine, cursorTo } from "node:readline";

const width = 30;
const everyMs = 100;

/** How far something is, on one line of a terminal; nothing where stderr is none. */
export class ProgressBar {
  readonly #title: string;
  #shownAt = Number.NEGATIVE_INFINITY;

  constructor(title: string) {
    this.#title = title;
  }

  show(done: number, all: number): void {
    if (!process.stderr.isTTY || performance.now() - this.#shownAt < everyMs) return;
    this.#shownAt = performance.now();
    const full = all === 0 ? width : Math.round((width * done) / all);
    cursorTo(process.stderr, 0);
    process.stderr.write(`${this.#title} ${"█".repeat(full)}${"░".repeat(width - full)} ${done} of ${all}`);
    clearLine(process.stderr, 1);
  }

  /** Leave the line to what comes next. */
  end(): void {
    if (!Number.isFinite(this.#shownAt)) return;
    cursorTo(process.stderr, 0);
    clearLine(process.stderr, 0);
  }
}
