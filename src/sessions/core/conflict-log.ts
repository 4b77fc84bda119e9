/** The conflicts that callers were told of, counted in the process and written to the record of events once it is quiet. */
import type { Clock } from "../../clock.ts";
import { tellConflicts, type Conflict } from "../../domain/record/conflict.ts";
import { keyText } from "../../domain/record/entry.ts";
import { hasCode, type SessionError } from "../../errors.ts";
import { correlationNow } from "../tracing/correlation.ts";
import { Handle } from "./handle.ts";
import { part } from "../tracing/operation.ts";

/** Conflicts of a session are written once none has come for this time. */
const quietMs = 1000;
/** So many are written at once, whether or not it is quiet. */
const conflictsMax = 100;
/** So often a write meets a newer record before it waits for quiet again. */
const attemptsMax = 3;

/** The conflicts of one session that are not written yet. */
interface Unwritten {
  readonly view: Handle;
  readonly conflicts: Conflict[];
}

/**
 * Call `work`, which may be refused because the turns went on elsewhere. The caller gets the error at once and as it is.
 * The conflict is counted here, once for each view that had fallen behind, however often its owner tries again.
 */
export async function countingConflicts<T>(handle: Handle, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (hasCode(error, "conflict")) {
      handle.refused();
      handle.core.conflicts.count(handle, error.details);
    }
    throw error;
  }
}

/**
 * A refusal itself writes nothing: written at once, the event would bump the record, refuse other writers, and so bring
 * about more of what it tells. A process that is killed loses the conflicts of its last second.
 */
export class ConflictLog {
  readonly #clock: Clock;
  readonly #unwritten = new Map<string, Unwritten>();
  readonly #writing = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  count(
    handle: Handle,
    { seenTurn, storedTurn, seenVersion, storedVersion }: SessionError<"conflict">["details"],
  ): void {
    const { core } = handle;
    // The store is not told of what happens in the fallback.
    if (core.isFallback || seenVersion === undefined || storedVersion === undefined) return;
    if (!handle.isNewConflict({ seenVersion, storedVersion })) return;
    const correlation = correlationNow();
    const known = { seenTurn, storedTurn, seenVersion, storedVersion };
    const conflict: Conflict = correlation === undefined ? known : { ...known, correlation };
    const text = keyText(handle.key);
    const unwritten = this.#unwritten.get(text);
    if (unwritten !== undefined) {
      unwritten.conflicts.push(conflict);
      return;
    }
    if (this.#stop.signal.aborted) return;
    // A view of its own: the caller's goes on knowing what it knew.
    const begun: Unwritten = { view: new Handle(core, handle.record), conflicts: [conflict] };
    this.#unwritten.set(text, begun);
    const writing = this.#write(text, begun).finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
  }

  /** Write what is counted, now. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#writing);
  }

  async #write(text: string, { view, conflicts }: Unwritten): Promise<void> {
    let isWritten = false;
    while (!isWritten) {
      await this.#quiet(conflicts);
      const isLast = this.#stop.signal.aborted;
      const told = conflicts.slice(0, conflictsMax);
      // What becomes of it, the channel of operations says.
      await part(view.about("conflict"), () =>
        view.write((draft, context) => tellConflicts(draft, told, context), { attemptsMax }),
      ).then(
        () => conflicts.splice(0, told.length),
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
