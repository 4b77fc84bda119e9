import { keyText } from "../../domain/record/entry.ts";
import type { ErrorDetails } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import type { WritableSession } from "../core/writable-session.ts";

/**
 * The pauses of a writer under contention: the first lasts up to `firstMs`, each later one is longer by `factor`, and
 * after `max` appends in a row that meet no other turn the contention is over.
 */
const yields = { firstMs: 8, factor: 1.5, max: 4 } as const;
/** Stale positions of callers that are remembered. */
const staleViewsMax = 1000;

/** Counts the conflicts of one view, and decides when its next append pauses for other writers. */
export class Contention {
  readonly #core: Core;
  /** The version that its owner had seen at its last conflict. */
  #conflictSeen: number | undefined;
  /** The caller passed what it has seen, and other callers may pass the same. */
  readonly #isGiven: boolean;
  /** Conflicts since the last turn that was committed. */
  #conflicts = 0;
  /** The number of the next pause for other writers; 0 for none. */
  #yields = 0;
  #landedAt = 0;

  constructor(core: Core, { isGiven }: { readonly isGiven: boolean }) {
    this.#core = core;
    this.#isGiven = isGiven;
  }

  /** Count a conflict, once for each view that had fallen behind. The fallback counts none: its events are not replayed. */
  met(session: WritableSession, { seenTurn, storedTurn, seenVersion, storedVersion }: ErrorDetails["conflict"]): void {
    this.#conflicts++;
    if (this.#core.isFallback || seenVersion === undefined || storedVersion === undefined) return;
    if (seenTurn === undefined || storedTurn === undefined) return;
    const met = { seenTurn, storedTurn, seenVersion, storedVersion };
    if (this.#isNew(session, met)) this.#core.conflicts.count(session, met);
  }

  /**
   * True for the first conflict of what the owner had seen. Where the caller passed that (`seen`), several callers may pass the
   * same: then true once for each stored version.
   */
  #isNew(
    session: WritableSession,
    { seenVersion, storedVersion }: { seenVersion: number; storedVersion: number },
  ): boolean {
    if (this.#conflictSeen === seenVersion) return false;
    this.#conflictSeen = seenVersion;
    if (!this.#isGiven) return true;
    const { staleViews } = this.#core;
    const view = `${keyText(session.key)} ${storedVersion}`;
    if (staleViews.has(view)) return false;
    staleViews.add(view);
    const [oldest] = staleViews;
    if (staleViews.size > staleViewsMax && oldest !== undefined) staleViews.delete(oldest);
    return true;
  }

  /** A turn of the owner was committed. */
  landed(): void {
    if (this.#conflicts > 0) this.#yields = 1;
    else if (this.#yields > 0) this.#yields = (this.#yields + 1) % (yields.max + 1);
    this.#conflicts = 0;
    if (this.#yields > 0) this.#landedAt = this.#core.options.clock.now();
  }

  /**
   * Make room for other writers of the session before turns are written. The writer of the last turn knows the newest
   * version and needs one round trip. A refused writer needs two, so it is refused for as long as the first one
   * continues. A writer that was refused since its turn before the last one therefore pauses before its next turn. The
   * pauses grow while no other turn comes, because the other writers may not get a processor or a lock in a short one. Undefined if there is no need to pause.
   */
  makeRoom(): Promise<void> | undefined {
    if (this.#yields === 0 || this.#conflicts > 0) return undefined;
    const pauseMs = yields.firstMs * yields.factor ** (this.#yields - 1);
    return this.#core.options.clock.now() - this.#landedAt < pauseMs ? this.#core.pause(pauseMs) : undefined;
  }
}
