/** Counts the conflicts that callers met, and appends them to the session's events once it is quiet. */
import type { Clock } from "../../clock.ts";
import { appendConflicts, type Conflict } from "../../domain/record/conflict.ts";
import { keyText } from "../../domain/record/entry.ts";
import { hasCode } from "../../errors.ts";
import { correlationNow } from "../tracing/correlation.ts";
import { traceStep } from "../tracing/operation.ts";
import type { WritableSession } from "./writable-session.ts";

/** The conflicts of a session are written after this time without another one. */
const quietMs = 1000;
/** This many are written at once, quiet or not. */
const conflictsMax = 100;
/** After this many conflicts of its own, a write waits for quiet again. */
const attemptsMax = 3;

/** The conflicts of one session that are not written yet. */
interface Unwritten {
  readonly view: WritableSession;
  readonly conflicts: Conflict[];
}

/**
 * The refusal itself writes nothing: an event written at once would change the record, refuse other writers, and so cause
 * more of the conflicts that it reports. A killed process loses the conflicts of its last second.
 */
export class ConflictLog {
  readonly #clock: Clock;
  readonly #unwritten = new Map<string, Unwritten>();
  readonly #writing = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  count(session: WritableSession, met: Omit<Conflict, "correlation">): void {
    const correlation = correlationNow();
    const conflict: Conflict = correlation === undefined ? met : { ...met, correlation };
    const text = keyText(session.key);
    const unwritten = this.#unwritten.get(text);
    if (unwritten !== undefined) {
      unwritten.conflicts.push(conflict);
      return;
    }
    if (this.#stop.signal.aborted) return;
    // A view of its own: what the caller has seen stays as it is.
    const first: Unwritten = { view: session.freshView(), conflicts: [conflict] };
    this.#unwritten.set(text, first);
    const writing = this.#write(text, first).finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }

  /** Write all counted conflicts now. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#writing);
  }

  async #write(text: string, { view, conflicts }: Unwritten): Promise<void> {
    let isWritten = false;
    while (!isWritten) {
      await this.#quiet(conflicts);
      const isLast = this.#stop.signal.aborted;
      const batch = conflicts.slice(0, conflictsMax);
      // No caller waits for this write: the tracing channel reports how it ends.
      await traceStep(view.about("conflict"), () =>
        view.write((draft, context) => appendConflicts(draft, batch, context), { attemptsMax }),
      ).then(
        () => conflicts.splice(0, batch.length),
        (error: unknown) => (hasCode(error, "contended") && !isLast ? undefined : conflicts.splice(0)),
      );
      isWritten = conflicts.length === 0;
    }
    this.#unwritten.delete(text);
  }

  async #quiet(conflicts: readonly Conflict[]): Promise<void> {
    for (let known = 0; known !== conflicts.length && conflicts.length < conflictsMax;) {
      known = conflicts.length;
      await this.#clock.sleep(quietMs, this.#stop.signal).catch(() => undefined);
    }
  }
}
