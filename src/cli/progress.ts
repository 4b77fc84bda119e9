import { span } from "./output.ts";

/** How far something has come. */
export interface Advance {
  /** Of `total`. */
  readonly done: number;
  readonly sessions: number;
  readonly bytes: number;
}

const redrawMs = 100;
const width = 24;

/** One line on a terminal that says how far it is, how fast, and how long it will take; elsewhere nothing. */
export class Progress {
  readonly #total: number | undefined;
  readonly #startedAt = performance.now();
  #drawnAt = 0;

  /** `total`: what `done` comes to; undefined where nobody knows. */
  constructor(total: number | undefined) {
    this.#total = total;
  }

  static get isShown(): boolean {
    return process.stderr.isTTY;
  }

  show({ done, sessions, bytes }: Advance): void {
    const now = performance.now();
    if (!Progress.isShown || now - this.#drawnAt < redrawMs) return;
    this.#drawnAt = now;
    const seconds = Math.max(0.001, (now - this.#startedAt) / 1000);
    const rate = `${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
    const parts = [`${sessions.toLocaleString("en")} sessions`, rate, ...this.#left(done, seconds)];
    process.stderr.write(`\r\u001b[2K${this.#bar(done)}${parts.join(" · ")}`);
  }

  /** Take the line away. */
  clear(): void {
    if (Progress.isShown && this.#drawnAt > 0) process.stderr.write("\r\u001b[2K");
  }

  #bar(done: number): string {
    if (this.#total === undefined || this.#total === 0) return "";
    const share = Math.min(1, done / this.#total);
    const filled = Math.round(share * width);
    return `${"█".repeat(filled)}${"░".repeat(width - filled)} ${Math.floor(share * 100)} % · `;
  }

  #left(done: number, seconds: number): string[] {
    if (this.#total === undefined || done === 0) return [];
    return [`${span(Math.max(0, ((this.#total - done) * seconds * 1000) / done))} left`];
  }
}
