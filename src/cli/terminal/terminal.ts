import { createInterface, type Interface } from "node:readline";

export interface TerminalOptions {
  /** Earlier questions for the arrow keys, the newest first. */
  readonly history: readonly string[];
  /** Shown at the first Ctrl-C of an idle prompt. */
  readonly onFirstInterrupt: () => void;
  /** Closes the prompt, as Ctrl-D does. */
  readonly signal: AbortSignal;
}

/** Lines that arrive within this time were pasted. */
const pasteMs = 30;

/**
 * An interactive prompt. Its states:
 * - *idle*: the line is empty. The first Ctrl-C shows a note, the second one closes the prompt.
 * - *continuing*: a line ended in a backslash, or pasted lines wait for Enter. Ctrl-C drops the question.
 * - *busy*: `during` runs. Ctrl-C aborts it. Lines that arrive meanwhile are queued.
 * - *closed*: after Ctrl-D, `close` or the signal.
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
      // Stdout has only the answers, also in a pipe.
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

  /** The next question; undefined once the prompt is closed. */
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

  /** Run `work`; its signal aborts at Ctrl-C or when the prompt closes. */
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

  /** The pause after the last line is longer than between pasted lines. */
  #onPause(): void {
    // A paste without a final line break leaves its last line at the prompt, where it waits for Enter.
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
    // The next output on the terminal begins on a new line.
    if (this.#waiting) process.stderr.write("\n");
    this.#running?.abort();
    this.#wake();
  }
}
