/** How many come back at the same time at most, and how long after one the next may, ms. */
const atOnce = 64;
const everyMs = 4;

/** A session's place among those that come back. */
export interface QueuedRestart {
  /** True when it is its turn, false where it left. */
  readonly turn: Promise<boolean>;
  /** Somebody waits for it: it goes before those that nobody waits for. */
  hurry(): void;
  /** It does not come back after all, or it is back. */
  leave(): void;
}

/**
 * Where a thread ends, all that lived in it want to come back at once. They do so one after another, those that somebody
 * speaks to first: the more of them, the longer it takes, but nobody else waits longer for that.
 */
export class RestartQueue {
  readonly #awaited = new Set<(isTurn: boolean) => void>();
  readonly #others = new Set<(isTurn: boolean) => void>();
  readonly #whenAllAreBack: () => void;
  #underWay = 0;
  #isPaced = false;

  constructor(whenAllAreBack: () => void) {
    this.#whenAllAreBack = whenAllAreBack;
  }

  enter(isAwaited: boolean): QueuedRestart {
    const { promise: turn, resolve } = Promise.withResolvers<boolean>();
    let isUnderWay = false;
    const go = (isTurn: boolean): void => {
      isUnderWay = isTurn;
      resolve(isTurn);
    };
    (isAwaited ? this.#awaited : this.#others).add(go);
    this.#pace();
    return {
      turn,
      hurry: () => {
        if (this.#others.delete(go)) this.#awaited.add(go);
      },
      leave: () => {
        if (isUnderWay) this.#underWay--;
        else if (this.#awaited.delete(go) || this.#others.delete(go)) go(false);
        else return;
        isUnderWay = false;
        if (this.#underWay + this.#awaited.size + this.#others.size === 0) this.#whenAllAreBack();
        else this.#pace();
      },
    };
  }

  #pace(): void {
    if (this.#isPaced || this.#underWay >= atOnce) return;
    this.#isPaced = true;
    this.#next();
    setTimeout(() => {
      this.#isPaced = false;
      if (this.#underWay < atOnce && this.#awaited.size + this.#others.size > 0) this.#pace();
    }, everyMs);
  }

  #next(): void {
    for (const waiting of [this.#awaited, this.#others]) {
      const [go] = waiting;
      if (go === undefined) continue;
      waiting.delete(go);
      this.#underWay++;
      go(true);
      return;
    }
  }
}
