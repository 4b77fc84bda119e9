/** A session with the turns of a conversation that continues it, in words or in form. */
import { hasTurns } from "../../domain/branches/segments.ts";
import { lastShared, treeData, type BranchTree, type KeptBranch } from "../../domain/branches/tree.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import { attachmentsLog } from "../../domain/attachments/attachment.ts";
import { branchesLog, type Entry, type LogName } from "../../domain/record/entry.ts";
import { countAmended, countSealed } from "../../domain/turns/counters.ts";
import { entryOfTurn, messagesBefore, resumeOf, turnOf, type Turn } from "../../domain/turns/turn.ts";
import type { Counters, Metadata } from "../../domain/record/record.ts";
import { snapshotOrder } from "../snapshots/snapshot-text.ts";
import type { LoggedEntry, SessionSource } from "../snapshots/session-source.ts";
import { lastActivity, type Merge, type MergedTurn, type TurnPlace } from "./merge.ts";

/** A conversation and the session that it continues. The turns of the conversation are in memory together. */
export interface MergedSides {
  readonly merge: Merge;
  readonly existing: SessionSource;
  readonly arriving: SessionSource;
  readonly metadata: Metadata;
  readonly now: number;
}

/** The session after the merge. Its other logs are those of the existing one. */
export async function mergedSession(sides: MergedSides): Promise<SessionSource> {
  const { merge, existing, arriving, metadata, now } = sides;
  const turns = new MergedTurns(sides);
  const counters = await turns.count();
  const { branches, made, layout } = merge;
  const { current, logs } = layout;
  const kept = layout.kept.map((one): KeptBranch => ({
    ...one,
    at: lastActivity(branches, one.number),
    messages: turns.messagesTo(branches.find(({ number }) => number === one.number)?.end),
    isRemoved: false,
  }));
  const tree: BranchTree = { current, kept };
  const hasBranches = existing.record.branch !== undefined || kept.length > 0;
  const branch = hasBranches ? { current, made, shared: lastShared(tree) } : undefined;
  const record: PortableRecord = {
    ...existing.record,
    counters,
    metadata,
    lastActivityAt: Math.max(existing.record.lastActivityAt, arriving.record.lastActivityAt),
  };
  return {
    record: branch === undefined ? record : { ...record, branch },
    inMemory: undefined,
    entries: async function* () {
      yield* attachmentsIn(arriving);
      for await (const logged of existing.entries())
        if (!hasTurns(logged.log) && logged.log !== branchesLog) yield logged;
      if (branch !== undefined) yield { log: branchesLog, entry: { seq: 1, key: null, at: now, data: treeData(tree) } };
      for (const log of snapshotOrder(logs.keys())) yield* turns.entriesOf(log);
    },
  };
}

/** The turns of the merge, as entries of its logs. */
class MergedTurns {
  readonly #sides: MergedSides;
  /** The entries of the conversation. */
  readonly #arriving = new Map<LogName, Entry[]>();
  /** The messages of each turn of both sides, by their logs. */
  readonly #messages = { existing: new Map<LogName, number[]>(), arriving: new Map<LogName, number[]>() };
  /** The messages up to the end of each turn. */
  readonly #ends = new Map<MergedTurn, number>();

  constructor(sides: MergedSides) {
    this.#sides = sides;
  }

  /** Reads and counts the turns of both sides; the counters of the session. */
  async count(): Promise<Counters> {
    const { existing, arriving, merge } = this.#sides;
    for await (const { log, entry } of arriving.entries()) {
      if (!hasTurns(log)) continue;
      listIn(this.#arriving, log).push(entry);
      this.#add("arriving", log, turnOf(entry));
    }
    const all = [...merge.layout.logs.values()].flat();
    const replacing = new Map(all.flatMap((turn) => (turn.replaced ? [[nameOf(turn.replaced), turn] as const] : [])));
    let { counters } = existing.record;
    for await (const { log, entry } of existing.entries()) {
      if (!hasTurns(log)) continue;
      const turn = turnOf(entry);
      this.#add("existing", log, turn);
      const by = replacing.get(nameOf({ log, seq: entry.seq }));
      if (by !== undefined) counters = countAmended(counters, turn, turnOf(this.#arrivingAt(by.place)));
    }
    for (const turn of all) {
      const { side, place, before, replaced } = turn;
      this.#ends.set(turn, this.messagesTo(before) + (this.#messages[side].get(place.log)?.[place.seq - 1] ?? 0));
      if (side === "arriving" && replaced === undefined)
        counters = countSealed(counters, turnOf(this.#arrivingAt(place)));
    }
    const current = merge.layout.logs.get("turns") ?? [];
    return { ...counters, turns: current.length, messages: this.messagesTo(current.at(-1)) };
  }

  #add(side: MergedTurn["side"], log: LogName, { input, output }: Turn): void {
    listIn(this.#messages[side], log).push(input.length + output.length);
  }

  #arrivingAt({ log, seq }: TurnPlace): Entry {
    return this.#arriving.get(log)![seq - 1]!;
  }

  /** The messages of a branch up to the end of this turn. */
  messagesTo(turn: MergedTurn | undefined): number {
    return turn === undefined ? 0 : (this.#ends.get(turn) ?? 0);
  }

  /** The entries of a log, in order. A run of turns that are in one log of the existing session is read at once. */
  async *entriesOf(log: LogName): AsyncGenerator<LoggedEntry, void, undefined> {
    const { existing, merge } = this.#sides;
    const turns = merge.layout.logs.get(log) ?? [];
    for (let at = 0; at < turns.length;) {
      const first = turns[at]!;
      if (first.side === "arriving") {
        yield { log, entry: this.#placed(first, this.#arrivingAt(first.place), ++at) };
        continue;
      }
      let end = at + 1;
      while (isNext(first, turns[end], end - at)) end++;
      for await (const entry of rangeOf(existing, first.place, end - at))
        yield { log, entry: this.#placed(turns[at]!, entry, ++at) };
    }
  }

  /** The two sides may count other messages before a turn: an export makes results of open calls. */
  #placed({ before }: MergedTurn, given: Entry, seq: number): Entry {
    const entry = { ...given, seq };
    const count = this.messagesTo(before);
    return messagesBefore(entry) === count ? entry : entryOfTurn(turnOf(entry), count, resumeOf(entry));
  }
}

function nameOf({ log, seq }: TurnPlace): string {
  return `${log} ${seq}`;
}

/** True for the turn that is so many entries after the first one, in the same log of the existing session. */
function isNext({ place }: MergedTurn, turn: MergedTurn | undefined, count: number): boolean {
  return turn?.side === "existing" && turn.place.log === place.log && turn.place.seq === place.seq + count;
}

function listIn<Item>(lists: Map<LogName, Item[]>, log: LogName): Item[] {
  const list = lists.get(log) ?? [];
  lists.set(log, list);
  return list;
}

/** So many entries of a session, from this place on. */
async function* rangeOf(
  { inMemory, entries }: SessionSource,
  { log, seq }: TurnPlace,
  count: number,
): AsyncGenerator<Entry, void, undefined> {
  if (inMemory !== undefined) yield* (inMemory.logs.get(log) ?? []).slice(seq - 1, seq - 1 + count);
  else
    for await (const { log: name, entry } of entries()) {
      if (name === log && entry.seq >= seq + count) return;
      if (name === log && entry.seq >= seq) yield entry;
    }
}

/** The attachments of a source, which are put for the session on the way. */
async function* attachmentsIn({ inMemory, entries }: SessionSource): AsyncGenerator<LoggedEntry, void, undefined> {
  if (inMemory?.logs.has(attachmentsLog) === false) return;
  for await (const logged of entries()) if (logged.log === attachmentsLog) yield logged;
}
