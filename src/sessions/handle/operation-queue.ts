import { Gate } from "./gate.ts";

/** Operations that fold, between two that do not. Opens when all have ended. */
class Group extends Gate {
  /** Those that have not ended. */
  count = 0;
}

/** A place in the queue, of an operation that folds. Opens when the next operation that folds may begin. */
export class FoldingPlace extends Gate {
  readonly group: Group;
  /** Resolves when the operation may begin; undefined if it may begin now. */
  readonly before: Promise<unknown> | undefined;

  constructor(group: Group, before: Promise<unknown> | undefined) {
    super();
    this.group = group;
    this.before = before;
  }
}

/**
 * The order of the operations of one handle. Each begins when the one before has ended. Operations that fold begin when the write
 * of the one before is in the queue of its session.
 */
export class OperationQueue {
  #pending = 0;
  /** Settles when the last operation that does not fold has ended. */
  #alone: Promise<unknown> | undefined;
  /** The operations that fold and came later. */
  #group: Group | undefined;
  /** The last of them. */
  #last: FoldingPlace | undefined;

  /** The number of operations that have not ended. */
  get pending(): number {
    return this.#pending;
  }

  /** Run an operation when all earlier ones have ended. */
  async run<T>(operation: () => Promise<T>): Promise<T> {
    this.#pending++;
    const before = this.#group === undefined ? this.#alone : this.#group.passed();
    const result = before === undefined ? operation() : before.then(operation, operation);
    this.#alone = result;
    this.#group = undefined;
    this.#last = undefined;
    try {
      return await result;
    } finally {
      this.#left();
    }
  }

  /** Take a place for an operation that folds; the caller gives it back by {@link leave}. */
  enter(): FoldingPlace {
    this.#pending++;
    const before = this.#last === undefined ? this.#alone?.then(ignore, ignore) : this.#last.passed();
    this.#group ??= new Group();
    this.#group.count++;
    this.#last = new FoldingPlace(this.#group, before);
    return this.#last;
  }

  /** The operation of this place has ended. */
  leave(place: FoldingPlace): void {
    const { group } = place;
    place.open();
    if (--group.count === 0) group.open();
    this.#left();
  }

  #left(): void {
    if (--this.#pending > 0) return;
    this.#alone = undefined;
    this.#group = undefined;
    this.#last = undefined;
  }
}

function ignore(): void {
  // An operation begins also after one that failed.
}
