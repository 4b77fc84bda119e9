/** The branches of a conversation that have a session each, and the sessions of an earlier import that they are. */
import { relationOfTurns, wordsHash, type Digest } from "./comparison.ts";
import { compared } from "./merge.ts";

/** A branch that arrives. */
export interface ForkedBranch {
  /** The id of its session where no other one is its session. */
  readonly ownId: string;
  /** Its digest under the id of one of its sessions. */
  readonly digestAs: (id: string) => Digest;
}

/** The session of a branch. `isOther`: it has the same words, and other metadata or instructions. */
export interface BranchSession {
  readonly id: string;
  readonly isOther: boolean;
}

/** A session that may be that of a branch; pairs with a lower `rank` are taken first. */
interface Pair {
  readonly branch: ForkedBranch;
  readonly id: string;
  readonly rank: number;
}

/** Finds the sessions of all branches of one conversation. Each session is that of one branch. */
export class BranchSessions {
  readonly #sessions: ReadonlyMap<string, Digest>;
  readonly #found = new Map<ForkedBranch, BranchSession>();
  readonly #taken = new Set<string>();
  #stale = 0;

  /** `sessions`: those that exist, by their ids. */
  constructor(sessions: ReadonlyMap<string, Digest>) {
    this.#sessions = sessions;
  }

  /**
   * The sessions of the branches that have one. A branch takes the session that it is the same as, then one with the same words,
   * then the one that it is an earlier state of, then the one that it continues: a branch that continues a session takes it from
   * no branch that it belongs to.
   */
  match(
    branches: readonly ForkedBranch[],
    limits: { readonly branchesMax: number },
  ): ReadonlyMap<ForkedBranch, BranchSession> {
    this.#matchEqual(branches, limits);
    const earlier: Pair[] = [];
    const grown: Pair[] = [];
    for (const branch of this.#without(branches))
      for (const [id, session] of this.#left()) {
        const digest = branch.digestAs(id);
        if (!mayBeRelated(session, digest)) continue;
        const { relation } = compared(session, digest, limits);
        const pair = { branch, id, rank: Math.abs(session.turns.length - digest.turns.length) };
        if (relation === "grown") grown.push(pair);
        else if (relation !== "other") earlier.push(pair);
      }
    this.#take(earlier);
    this.#take(grown);
    for (const [id, session] of this.#left()) {
      const isStale = branches.some((branch) => {
        const digest = branch.digestAs(id);
        return mayBeRelated(session, digest) && compared(session, digest, limits).relation !== "other";
      });
      if (!isStale) continue;
      this.#taken.add(id);
      this.#stale++;
    }
    return this.#found;
  }

  /**
   * The number of sessions that are states of branches that have another session. They are of branches that an earlier export
   * ended at a message before the last one, and no branch replaces them.
   */
  get stale(): number {
    return this.#stale;
  }

  /** The sessions for branches without one, each of which replaces the one that it has the most turns in common with. */
  replaced(branches: readonly ForkedBranch[]): ReadonlyMap<ForkedBranch, BranchSession> {
    const pairs: Pair[] = [];
    for (const branch of this.#without(branches))
      for (const [id, session] of this.#left())
        pairs.push({ branch, id, rank: -turnsInCommon(session, branch.digestAs(id)) });
    this.#take(pairs);
    return this.#found;
  }

  #matchEqual(branches: readonly ForkedBranch[], limits: { readonly branchesMax: number }): void {
    const byWords = new Map<string, string[]>();
    for (const [id, session] of this.#sessions) {
      if (session.kept.length > 0) continue;
      const words = wordsHash(session);
      const ids = byWords.get(words);
      if (ids === undefined) byWords.set(words, [id]);
      else ids.push(id);
    }
    for (const isOther of [false, true])
      for (const branch of this.#without(branches)) {
        const ids = byWords.get(wordsHash(branch.digestAs(branch.ownId))) ?? [];
        const own = ids.includes(branch.ownId) ? [branch.ownId] : [];
        const id = [...own, ...ids].find((one) => {
          if (this.#taken.has(one)) return false;
          return isOther || compared(this.#sessions.get(one)!, branch.digestAs(one), limits).relation === "same";
        });
        if (id !== undefined) this.#set(branch, { id, isOther });
      }
  }

  #without(branches: readonly ForkedBranch[]): readonly ForkedBranch[] {
    return branches.filter((branch) => !this.#found.has(branch));
  }

  #left(): readonly (readonly [string, Digest])[] {
    return [...this.#sessions].filter(([id]) => !this.#taken.has(id));
  }

  /** Of pairs of one rank, those of a branch and the session of its own id come first. */
  #take(pairs: readonly Pair[]): void {
    const others = ({ branch, id }: Pair): number => (branch.ownId === id ? 0 : 1);
    for (const { branch, id } of pairs.toSorted((a, b) => a.rank - b.rank || others(a) - others(b)))
      if (!this.#found.has(branch) && !this.#taken.has(id)) this.#set(branch, { id, isOther: false });
  }

  #set(branch: ForkedBranch, session: BranchSession): void {
    this.#found.set(branch, session);
    this.#taken.add(session.id);
  }
}

/** False where a comparison would find two that say different things. */
function mayBeRelated(existing: Digest, arriving: Digest): boolean {
  if (existing.about !== arriving.about) return false;
  if (existing.kept.length > 0 || arriving.kept.length > 0) return true;
  // Most of the siblings that differ do so in their last turns.
  for (let index = Math.min(existing.turns.length, arriving.turns.length) - 1; index >= 0; index--)
    if (!isRelated(existing, arriving, index)) return false;
  return true;
}

function turnsInCommon(existing: Digest, arriving: Digest): number {
  const most = Math.min(existing.turns.length, arriving.turns.length);
  let count = 0;
  while (count < most && isRelated(existing, arriving, count)) count++;
  return count;
}

function isRelated(one: Digest, other: Digest, index: number): boolean {
  return relationOfTurns(one.turns[index]!, other.turns[index]!) !== "other";
}
