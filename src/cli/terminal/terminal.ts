import { createInterface, type Interface } from "node:readline";

export interface TerminalOptions {
  /** Earlier questions for the arrow keys, the newest first. */
  readonly history: readonly string[];
  /** Shown at the first Ctrl-C of an idle prompt. */
  readonly onFirstInterrupt: () => void;
  /** Ends it, as Ctrl-D does. */
  readonly signal: AbortSignal;
}

/** Lines that arrive within this time were pasted. */
const pasteMs = 30;

/**
 * The prompt of a person. It is *idle*, in the middle of a question (*continuing*: a line ended in a backslash, or pasted
 * lines wait for Enter), *busy* while `during` runs, or *closed*. Ctrl-C stops what runs when busy, drops what was
 * typed when there is something, and at an idle prompt, twice, closes. What is typed while busy waits for its turn.
 */
export class Terminal {
  readonly #lines: Interface;
  readonly #onFirstInterrupt: () => void;
  readonly #questions: string[] = [];
  #pieces: string[] = [];
  #continues = false;
  #pasteTimer: NodeJS.Timeout | undefined;
  #running: AbortController | undefined;
  #interrupted = false;
  #waiting = false;
  #closed = false;
  #wake: () => void = () => undefined;

  constructor({ history, onFirstInterrupt, signal }: TerminalOptions) {
    this.#onFirstInterrupt = onFirstInterrupt;
    this.#lines = createInterface({
      input: process.stdin,
      // Not stdout: the prompt must not end up in a pipe beside the answers.
      output: process.stderr,
      terminal: true,
      history: [...history],
      historySize: 1000,
      removeHistoryDuplicates: true,
      signal,
    });
    this.#lines.on("line", (line) => this.#onLine(line));
    this.#lines.on("SIGINT", () => this.#onInterrupt());
    this.#lines.on("close", () => this.#onClose());
  }

  /** The next question; undefined once the person has left. */
  async next(): Promise<string | undefined> {
    for (;;) {
      const question = this.#questions.shift();
      if (question !== undefined) return question;
      if (this.#closed) return undefined;
      this.#prompt();
      this.#waiting = true;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#waiting = false;
    }
  }

  /** Run `work`; its signal aborts at Ctrl-C or when the person leaves. */
  async during(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.#running = new AbortController();
    try {
      await work(this.#running.signal);
    } finally {
      this.#running = undefined;
    }
  }

  close(): void {
    this.#lines.close();
  }

  #prompt(): void {
    this.#lines.setPrompt(this.#pieces.length === 0 ? "> " : "… ");
    this.#lines.prompt(true);
  }

  #onLine(line: string): void {
    this.#interrupted = false;
    this.#continues = line.endsWith("\\");
    this.#pieces.push(this.#continues ? line.slice(0, -1) : line);
    clearTimeout(this.#pasteTimer);
    this.#pasteTimer = setTimeout(() => this.#onPause(), pasteMs);
  }

  /** No more lines came along with the last one. */
  #onPause(): void {
    // What is left on the line after a paste is its last line, and waits for Enter.
    if (this.#continues || this.#lines.line !== "") {
      if (this.#running === undefined) this.#prompt();
      return;
    }
    this.#questions.push(this.#pieces.splice(0).join("\n"));
    this.#wake();
  }

  #onInterrupt(): void {
    if (this.#running !== undefined) {
      this.#running.abort();
      return;
    }
    if (this.#lines.line !== "" || this.#pieces.length > 0) {
      clearTimeout(this.#pasteTimer);
      this.#pieces = [];
      this.#lines.write(null, { ctrl: true, name: "e" });
      this.#lines.write(null, { ctrl: true, name: "u" });
      process.stderr.write("\n");
    } else if (this.#interrupted) {
      this.#lines.close();
      return;
    } else {
      this.#interrupted = true;
      process.stderr.write("\n");
      this.#onFirstInterrupt();
    }
    this.#prompt();
  }

  #onClose(): void {
    clearTimeout(this.#pasteTimer);
    this.#closed = true;
    // Whatever comes next on the terminal begins a line of its own.
    if (this.#waiting) process.stderr.write("\n");
    this.#running?.abort();
    this.#wake();
  }
}
