/**
 * Joins a conversation that arrives and the session that exists under its id, turn by turn. The branches of both are trees of turns.
 * A turn of one has a twin in the other where both follow twins and say the same, or where one of them is a last turn that the other
 * one continues. Where two twins are followed by turns of both, and none of those are twins, the two say different things.
 */
import {
  firstBranches,
  layoutOf,
  type EndedBranch,
  type TurnInTree,
  type TurnLayout,
} from "../../domain/branches/layout.ts";
import { keptLog, type LogName } from "../../domain/record/entry.ts";
import { hasNewerForm, relationOfTurns, type Digest, type Relation, type TurnDigest } from "./comparison.ts";

/** The place of a turn in a session. */
export interface TurnPlace {
  readonly log: LogName;
  readonly seq: number;
}

/** A turn of a session after a conversation has joined it. */
export interface MergedTurn extends TurnInTree<MergedTurn> {
  readonly digest: TurnDigest;
  /** Which of the two has the turn, and its place there. */
  readonly side: "existing" | "arriving";
  readonly place: TurnPlace;
  /** The existing turn whose place an arriving one takes: that one says less, or has an older form. */
  readonly replaced: TurnPlace | undefined;
}

/** A branch of a session after a conversation has joined it. */
export interface MergedBranch extends EndedBranch<MergedTurn> {
  /** The last activity in it, epoch ms. */
  readonly at: number;
  /** The branch of the conversation that it is a continuation or a copy of; undefined where nothing of it is new. */
  readonly arriving: number | undefined;
}

/** The session after a conversation has joined it. */
export interface Merge {
  readonly branches: readonly MergedBranch[];
  readonly layout: TurnLayout<MergedTurn>;
  /** The greatest number of a branch. */
  readonly made: number;
  /** The turns that the session did not have. */
  readonly added: number;
  /** The branches of the conversation that are more than a session may have. */
  readonly leftOut: number;
  /** The digest of the session. */
  readonly digest: Digest;
}

/** How a conversation stands to a session, and what they are together where it continues the session. */
export type Comparison =
  | { readonly relation: Exclude<Relation, "grown"> }
  | { readonly relation: "grown"; readonly merge: Merge };

/** `branchesMax`: the most branches that the session may have. */
export function compared(
  existing: Digest,
  arriving: Digest,
  { branchesMax }: { readonly branchesMax: number },
): Comparison {
  if (existing.about !== arriving.about) return { relation: "other" };
  const [known, later] = [new DigestTree(existing, "existing"), new DigestTree(arriving, "arriving")];
  const twins = twinsOf(known, later);
  if (twins === undefined) return { relation: "other" };
  const merge = new Merging({ known, later, twins, branchesMax }).result();
  if (merge !== undefined) return { relation: "grown", merge };
  const all = [...twins.values()];
  const isWhole = all.length === known.size && all.every(({ relation }) => relation === "same");
  if (later.size > all.length || !isWhole) return { relation: "earlier" };
  const hasField = ([name, value]: readonly [string, string]): boolean => existing.fields.get(name) === value;
  const isSame = [...twins].every(([turn, twin]) => !hasNewerForm(twin.turn.digest, turn.digest));
  return { relation: isSame && [...arriving.fields].every(hasField) ? "same" : "other" };
}

/** A turn of one of the two. */
interface DigestTurn extends TurnInTree<DigestTurn> {
  readonly side: MergedTurn["side"];
  readonly digest: TurnDigest;
  readonly place: TurnPlace;
  /** The turns that follow, in the order of their branches. */
  readonly after: DigestTurn[];
}

/** The turns of a digest as a tree. */
class DigestTree {
  readonly digest: Digest;
  /** The number of all turns. */
  readonly size: number;
  /** By ascending number. */
  readonly branches: readonly EndedBranch<DigestTurn>[];
  /** The first turns, in the order of their branches. */
  readonly firsts: readonly DigestTurn[];

  constructor(digest: Digest, side: DigestTurn["side"]) {
    this.digest = digest;
    const { current, kept } = digest;
    const lines = new Map<number, { readonly parent: number; readonly from: number; readonly turns: DigestTurn[] }>();
    const turnAt = (branch: number, number: number): DigestTurn | undefined => {
      let line = lines.get(branch);
      while (line !== undefined && number < line.from) line = number < 1 ? undefined : lines.get(line.parent);
      return line?.turns[number - line.from];
    };
    const all = [{ number: current, parent: current, from: 1, isRemoved: false, turns: digest.turns }, ...kept];
    // The turns of a branch begin after those of its parent, unless that is the current one.
    for (const { number, parent, from, turns } of [all[0]!, ...kept.toSorted((a, b) => a.from - b.from)]) {
      let before = turnAt(parent, from - 1);
      const log = number === current ? "turns" : keptLog(number);
      const own = turns.map((text, index): DigestTurn => {
        const place = { log, seq: index + 1 };
        return (before = { side, before, number: from + index, digest: text, place, after: [] });
      });
      lines.set(number, { parent, from, turns: own });
    }
    this.branches = all
      .filter(({ isRemoved }) => !isRemoved)
      .map(({ number, from, turns }) => ({ number, end: turnAt(number, from + turns.length - 1) }))
      .toSorted((a, b) => a.number - b.number);
    const seen = new Set<DigestTurn>();
    const firsts: DigestTurn[] = [];
    for (const { end } of this.branches)
      for (let turn = end; turn !== undefined && !seen.has(turn); turn = turn.before) {
        seen.add(turn);
        (turn.before?.after ?? firsts).push(turn);
      }
    this.firsts = firsts;
    this.size = seen.size;
  }

  /** The last turn of the current branch. */
  get end(): DigestTurn | undefined {
    return this.branches.find(({ number }) => number === this.digest.current)?.end;
  }
}

/** The existing turn that an arriving one says the same as, or that one of the two continues. */
interface Twin {
  readonly turn: DigestTurn;
  readonly relation: Exclude<Relation, "other">;
}

type Twins = ReadonlyMap<DigestTurn, Twin>;

/** The twins of the arriving turns that have one; undefined where the two say different things. */
function twinsOf(known: DigestTree, later: DigestTree): Twins | undefined {
  const twins = new Map<DigestTurn, Twin>();
  const places = [[known.firsts, later.firsts] as const];
  for (let place = places.pop(); place !== undefined; place = places.pop()) {
    const [existing, arriving] = place;
    if (existing.length === 0 || arriving.length === 0) continue;
    const found = pairsOf(existing, arriving);
    if (found.size === 0) return undefined;
    for (const [turn, twin] of found) {
      twins.set(turn, twin);
      places.push([twin.turn.after, turn.after]);
    }
  }
  return twins;
}

/** Pairs of turns that follow twins: equal ones first, then those that say the same, then those that continue each other. */
function pairsOf(existing: readonly DigestTurn[], arriving: readonly DigestTurn[]): Twins {
  const pairs = new Map<DigestTurn, Twin>();
  const left = new Set(existing);
  const pair = (fits: (one: DigestTurn, other: DigestTurn) => Twin["relation"] | undefined): void => {
    for (const turn of arriving.filter((one) => !pairs.has(one)))
      for (const one of left) {
        const relation = fits(one, turn);
        if (relation === undefined) continue;
        pairs.set(turn, { turn: one, relation });
        left.delete(one);
        break;
      }
  };
  pair((one, { digest }) => (one.digest === digest ? "same" : undefined));
  pair((one, { digest }) => (relationOfTurns(one.digest, digest) === "same" ? "same" : undefined));
  // Of several turns that one continues, it continues the longest.
  const longest = [...left].toSorted((a, b) => b.digest.length - a.digest.length);
  left.clear();
  for (const one of longest) left.add(one);
  // Only the last turn of a branch grows.
  const grows = (one: DigestTurn, other: DigestTurn): boolean =>
    one.after.length === 0 && relationOfTurns(one.digest, other.digest) === "grown";
  pair((one, other) => (grows(one, other) ? "grown" : undefined));
  pair((one, other) => (grows(other, one) ? "earlier" : undefined));
  return pairs;
}

interface Sides {
  readonly known: DigestTree;
  readonly later: DigestTree;
  readonly twins: Twins;
  readonly branchesMax: number;
}

/** Puts the new turns of a conversation into the session. */
class Merging {
  readonly #sides: Sides;
  readonly #turns = new Map<DigestTurn, MergedTurn>();
  /** The arriving turns, by the existing ones that they are twins of. */
  readonly #arriving: ReadonlyMap<DigestTurn, { readonly turn: DigestTurn; readonly relation: Twin["relation"] }>;
  #added = 0;

  constructor(sides: Sides) {
    this.#sides = sides;
    this.#arriving = new Map([...sides.twins].map(([turn, twin]) => [twin.turn, { turn, relation: twin.relation }]));
  }

  /** Undefined where the conversation has nothing that the session has not, or has no place for. */
  result(): Merge | undefined {
    const { known, later } = this.#sides;
    const continued = this.#continued();
    const isLonger = [...this.#arriving.values()].some(({ relation }) => relation === "grown");
    const fresh = later.branches.filter((branch) => this.#isNew(branch) && !continued.has(branch.number));
    const chosen = this.#chosen(fresh);
    if (continued.size === 0 && chosen.length === 0 && !isLonger) return undefined;
    const ofExisting = new Map([...continued].map(([number, existing]) => [existing, number]));
    let { made } = known.digest;
    const branches = [
      ...known.branches.map(({ number, end }): MergedBranch => {
        const longer = this.#arriving.get(end!);
        const grown = longer?.relation === "grown" ? this.#branchAt(longer.turn) : undefined;
        const arriving = ofExisting.get(number) ?? grown;
        const last = ofExisting.has(number) ? later.branches.find((one) => one.number === arriving)?.end : end;
        const at = Math.max(atOf(known.digest, number), arriving === undefined ? 0 : atOf(later.digest, arriving));
        return { number, end: this.#merged(last), at, arriving };
      }),
      ...chosen.map(({ number: arriving, end }): MergedBranch => {
        return { number: ++made, end: this.#merged(end), at: atOf(later.digest, arriving), arriving };
      }),
    ];
    const layout = layoutOf(branches, this.#currentOf(branches));
    const leftOut = fresh.length - chosen.length;
    const digest = this.#digestOf(branches, layout, made);
    return { branches, layout, made, added: this.#added, leftOut, digest };
  }

  #isNew({ end }: EndedBranch<DigestTurn>): boolean {
    return end !== undefined && !this.#sides.twins.has(end);
  }

  /** The existing branches that the arriving ones continue, by the numbers of those. Each is continued by one. */
  #continued(): ReadonlyMap<number, number> {
    const { known, later, twins } = this.#sides;
    const ends = new Map<DigestTurn | undefined, number>(known.branches.map(({ number, end }) => [end, number]));
    // One that a branch of the conversation is a copy of is not continued by another.
    for (const { end } of later.branches) {
      const twin = end && twins.get(end);
      if (twin !== undefined) ends.delete(twin.turn);
    }
    const continued = new Map<number, number>();
    for (const branch of later.branches.filter((one) => this.#isNew(one))) {
      let turn = branch.end;
      while (turn !== undefined && !twins.has(turn)) turn = turn.before;
      const last = turn && twins.get(turn)?.turn;
      const number = ends.get(last);
      if (number === undefined) continue;
      ends.delete(last);
      continued.set(branch.number, number);
    }
    return continued;
  }

  /** The new branches that the session has a place for: the one that is shown, and the first others. */
  #chosen(fresh: readonly EndedBranch<DigestTurn>[]): readonly EndedBranch<DigestTurn>[] {
    const { known, later, branchesMax } = this.#sides;
    const shown = fresh.find(({ number }) => number === later.digest.current);
    return firstBranches(fresh, { max: branchesMax - known.branches.length, shown });
  }

  /** The arriving branch that ends with this turn. */
  #branchAt(turn: DigestTurn): number | undefined {
    const { branches, digest } = this.#sides.later;
    const numbers = branches.filter(({ end }) => end === turn).map(({ number }) => number);
    return numbers.includes(digest.current) ? digest.current : numbers[0];
  }

  /** The branch that the conversation shows, where that is new and the session was not continued in another one. */
  #currentOf(branches: readonly MergedBranch[]): number {
    const { known, later } = this.#sides;
    const { current, isFixed } = known.digest;
    const isKnown = known.end === undefined || this.#arriving.has(known.end);
    const shown = branches.find(({ arriving }) => arriving === later.digest.current);
    return shown === undefined || isFixed || !isKnown ? current : shown.number;
  }

  /** The turn of the session for one of either side, after the turns before it. */
  #merged(end: DigestTurn | undefined): MergedTurn | undefined {
    const line: DigestTurn[] = [];
    let turn = end;
    for (; turn !== undefined && !this.#turns.has(this.#own(turn)); turn = turn.before) line.push(turn);
    let before = turn && this.#turns.get(this.#own(turn));
    for (const one of line.toReversed()) {
      before = this.#turnOf(this.#own(one), before);
      this.#turns.set(this.#own(one), before);
    }
    return before;
  }

  /** The existing turn for an arriving one that has a twin. */
  #own(turn: DigestTurn): DigestTurn {
    return this.#sides.twins.get(turn)?.turn ?? turn;
  }

  /** `own` is the existing one of two twins. */
  #turnOf(own: DigestTurn, before: MergedTurn | undefined): MergedTurn {
    const { number, side, digest, place } = own;
    const { turn, relation } = this.#arriving.get(own) ?? { turn: own, relation: "earlier" };
    const isNewer = relation === "grown" || (relation === "same" && hasNewerForm(digest, turn.digest));
    if (isNewer) return { before, number, side: "arriving", digest: turn.digest, place: turn.place, replaced: place };
    if (side === "arriving") this.#added++;
    return { before, number, side, digest, place, replaced: undefined };
  }

  #digestOf(branches: readonly MergedBranch[], { current, kept, logs }: TurnLayout<MergedTurn>, made: number): Digest {
    const { known, later } = this.#sides;
    const { about, fields, isFixed } = known.digest;
    const turnsOf = (log: LogName): readonly TurnDigest[] => (logs.get(log) ?? []).map(({ digest }) => digest);
    return {
      about,
      fields: new Map([...fields, ...later.digest.fields]),
      turns: turnsOf("turns"),
      current,
      at: lastActivity(branches, current),
      made,
      isFixed,
      kept: kept.map((one) => {
        const { number } = one;
        return { ...one, at: lastActivity(branches, number), isRemoved: false, turns: turnsOf(keptLog(number)) };
      }),
    };
  }
}

/** The last activity in a branch of one of the two. */
function atOf({ current, at, kept }: Digest, number: number): number {
  return number === current ? at : (kept.find((one) => one.number === number)?.at ?? 0);
}

/** The last activity in a branch of both. */
export function lastActivity(branches: readonly MergedBranch[], number: number): number {
  return branches.find((one) => one.number === number)?.at ?? 0;
}
