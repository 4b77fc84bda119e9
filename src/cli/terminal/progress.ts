import type { SingleBar } from "cli-progress";
import { note, number, span } from "./output.ts";
import { counted } from "../../errors/counted.ts";

/** The progress of a command over sessions. */
export interface Advance {
  /** The part of `total` that is done. */
  readonly done: number;
  /** The total that `done` counts up to; undefined if it is unknown. */
  readonly total: number | undefined;
  readonly sessions: number;
  readonly bytes: number;
}

const formats = {
  known: "{bar} {percentage} % · {sessions}{rate} · {eta_formatted} left",
  unknown: "{sessions}{rate}",
  counted: "{title} {bar} {value} of {total}",
} as const;

/** The signals that end a process without listeners for them. */
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * One line on a terminal with the progress, the rate and the time left; without a terminal, nothing. The line is removed
 * when the work ends, also by an error or a signal.
 */
export class Progress implements Disposable {
  readonly #makeBar: ((format: string) => SingleBar) | undefined;
  readonly #startedAt = performance.now();
  #bar: SingleBar | undefined;
  #over = false;
  readonly #unlisten: (() => void)[] = [];

  private constructor(makeBar: ((format: string) => SingleBar) | undefined) {
    this.#makeBar = makeBar;
    if (makeBar !== undefined) for (const name of signals) this.#listen(name);
  }

  /** Earlier listeners decide whether the process ends; without any, the signal ends it as by default. */
  #listen(name: NodeJS.Signals): void {
    const isDecided = process.listenerCount(name) > 0;
    const onSignal = (): void => {
      this[Symbol.dispose]();
      if (!isDecided) process.kill(process.pid, name);
    };
    process.once(name, onSignal);
    this.#unlisten.push(() => process.removeListener(name, onSignal));
  }

  /** Load the library only if stderr is a terminal. */
  static async begin(): Promise<Progress> {
    if (!Progress.isShown) return new Progress(undefined);
    const { SingleBar, Presets } = (await import("cli-progress")).default;
    const options = {
      stream: process.stderr,
      barsize: 24,
      fps: 10,
      etaBuffer: 100,
      clearOnComplete: true,
      // Without this the library turns line wrapping off, and a killed process leaves the terminal that way.
      linewrap: true,
      formatTime: (seconds: unknown) => (typeof seconds === "number" ? span(seconds * 1000) : "?"),
    };
    return new Progress((format) => new SingleBar({ ...options, format }, Presets.shades_classic));
  }

  static get isShown(): boolean {
    return process.stderr.isTTY;
  }

  /** Show the progress over sessions that are read or written. */
  show({ done, total, sessions, bytes }: Advance): void {
    if (this.#makeBar === undefined) return;
    const seconds = Math.max(0.001, (performance.now() - this.#startedAt) / 1000);
    const rate = `${(bytes / 1e6 / seconds).toFixed(1)} MB/s`;
    const isKnown = total !== undefined && total > 0;
    const at = isKnown ? { done: Math.min(done, total), total } : { done: 0, total: 1 };
    this.#draw(isKnown ? formats.known : formats.unknown, at, {
      // A backup by pages counts sessions only at its end.
      sessions: sessions === 0 ? "" : `${counted(sessions, "session", number)} · `,
      rate,
    });
  }

  /** Show the progress over items that are done one by one. */
  count(title: string, done: number, total: number): void {
    this.#draw(formats.counted, { done, total }, { title });
  }

  #draw(format: string, { done, total }: { done: number; total: number }, payload: object): void {
    if (this.#over || this.#makeBar === undefined) return;
    if (this.#bar === undefined) {
      this.#bar = this.#makeBar(format);
      this.#bar.start(total, done, payload);
      return;
    }
    if (this.#bar.getTotal() !== total) this.#bar.setTotal(total);
    this.#bar.update(done, payload);
  }

  /** Print a note that stays; the next update draws the line below it. */
  note(text: string): void {
    this.#clear();
    note(text);
  }

  #clear(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  /** Remove the line, and draw no other. */
  [Symbol.dispose](): void {
    this.#over = true;
    this.#clear();
    for (const unlisten of this.#unlisten.splice(0)) unlisten();
  }
}
