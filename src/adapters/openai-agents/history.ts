/**
 * The items of a session of the Agents SDK, read from its turns and written as turns, each change in one commit. Every reader
 * (a run, or a caller outside of runs) has a view: the change of the turns that it has seen last. A write is decided on it.
 */
import { defined } from "../../domain/values/defined.ts";
import {
  encodeValue,
  hasCode,
  idFor,
  sameValue,
  SessionError,
  type LogWrite,
  type Onto,
  type Session,
  type SessionInfo,
  type SessionWrite,
  type Turn,
  type TurnInput,
  type TurnsWrite,
  type TurnWait,
  type Value,
  type WaitingTurn,
  type WriteOutcome,
} from "../../index.ts";
import { noTokens, tokensOf, usageOfTurn, type AgentRunContext, type Tokens } from "./run-usage.ts";
import { cutItems, fieldsOf, itemsOf, joinItems, placeItems, type AgentItem, type Exchange } from "./turn-items.ts";
import { nodeCrypto } from "../../node-crypto.ts";

/** What a write does that finds items which its run has not seen. */
export type OnConflict = "fail" | "append";

/** The log of the ids of applied transactions. */
const operationsLog = "openai-ops";
/** Rounds of deciding on turns that other writers change. */
const roundsMax = 100;
/** Rounds of reading turns that other writers change. A turn that cannot be read is left out in each of them. */
const readRoundsMax = 3;

/** The last turn of a session. */
type LastTurn = Pick<Turn, "seq" | "status" | "agent" | "input" | "output" | "requests" | "usage">;

/** The turns at one moment. */
interface Known {
  readonly onto: Onto;
  /** Undefined: there is no turn. */
  readonly last: LastTurn | undefined;
}

/** The turns as they were read. */
interface Looked extends Known {
  readonly version: number;
  readonly waiting: SessionInfo["waitingTurn"];
}

/** What a run, or a caller outside of runs, has seen and counted. */
export class View {
  /** Undefined: the turns are read before the next write. */
  known: Known | undefined;
  /** True once items were read: a foreign change since then is a conflict. */
  hasRead = false;
  /** The counts of the run that its turns have. */
  counted: Tokens = noTokens;
  /** The items that were stored before the Runner passed them. */
  early: Early | undefined;

  constructor(context?: AgentRunContext) {
    if (context !== undefined) this.counted = tokensOf(context);
  }
}

/** Items that a run stored while it goes on. The Runner passes the final ones later, which take their place. */
interface Early {
  /** The turn behind which they are; undefined: there is none. */
  readonly base: (Exchange & Pick<LastTurn, "seq">) | undefined;
  /** The first turn that has some of them. */
  readonly from: number;
  readonly items: readonly AgentItem[];
}

/** How items are written. */
interface ItemsWrite {
  readonly context?: AgentRunContext | undefined;
  /** The agent that answers. @default that of the session */
  readonly agent?: string | undefined;
  /** All items of the run so far that the Runner has not passed yet; they are stored behind those that it passes now. */
  readonly later?: readonly AgentItem[];
  /** Written in the same commit. */
  readonly operation?: { readonly key: string; readonly digest: string } | undefined;
}

export class History {
  readonly session: Session;
  readonly onConflict: OnConflict;
  /** The last call, which always fulfils; undefined once it has ended. */
  #last: Promise<void> | undefined;

  constructor(session: Session, onConflict: OnConflict) {
    this.session = session;
    this.onConflict = onConflict;
  }

  /**
   * The newest items, oldest first. A run does not see the items of its own that were stored while it ran.
   * @throws SessionError to a run `turn_waiting` while a turn waits, `turn_open` while another writer answers one
   */
  async items(view: View, limit: number | undefined, isRun: boolean): Promise<readonly Value[]> {
    if (limit !== undefined && limit <= 0) return [];
    const newest = (turns: readonly Exchange[]): readonly Value[] => {
      const items = turns.flatMap(itemsOf);
      return limit === undefined ? items : items.slice(-limit);
    };
    return await this.#inOrder(async () => {
      const { early } = view;
      if (early !== undefined) {
        const { base, from } = early;
        const before = (await this.#turns()).filter(({ seq }) => seq < from);
        return newest(base?.seq === from ? [...before, base] : before);
      }
      for (let round = 1; ; round++) {
        const known = await this.#look();
        const { waiting, last } = known;
        if (isRun && waiting !== null) throw turnWaiting(this.session.id, waiting);
        // The writer of an open turn may be dead: then its turn ends with what it left.
        if (last?.status === "open" && (await this.session.recover())) continue;
        if (isRun && last?.status === "open")
          throw new SessionError("turn_open", { sessionId: this.session.id, turn: last.seq });
        const turns = await this.#turns(limit);
        // A turn that was written in between would make the next write a conflict.
        if (turns.at(-1)?.seq !== last?.seq && round < readRoundsMax) continue;
        view.known = known;
        view.hasRead = true;
        return newest(turns);
      }
    });
  }

  /** @throws SessionError `conflict` where another writer has changed the turns since the view, `turn_open` */
  add(view: View, items: readonly AgentItem[], write: ItemsWrite = {}): Promise<void> {
    return this.#inOrder(() => this.#add(view, items, write));
  }

  async #add(view: View, given: readonly AgentItem[], { later: coming = [], ...write }: ItemsWrite): Promise<void> {
    let [items, later] = [given, coming];
    for (let round = 1; ; round++) {
      const known = (view.known ??= await this.#look());
      const { early } = view;
      const base = early === undefined ? known.last : early.base;
      later = withoutCallsOf(base, later);
      const isEmpty = early === undefined && items.length + later.length === 0;
      if (isEmpty && write.operation === undefined) return;
      const turns = turnsWrite(known.last?.seq ?? 0, { base, replacedFrom: early?.from, items: [...items, ...later] });
      try {
        // As `#write`, without a function that waits: most calls of a session come here.
        const now = countsOf(view, write.context);
        const parts = { ...write, turns, isOpen: later.length > 0 };
        const written = sessionWriteOf(known, parts, { before: view.counted, now });
        this.#landed(view, known, { write: written, now, outcome: await this.session.write(written) });
        view.early = later.length === 0 ? undefined : earlyBehind(base, items, later);
        return;
      } catch (error) {
        if (!hasCode(error, "conflict")) throw error;
        if ((view.hasRead && this.onConflict === "fail") || round === roundsMax) throw error;
        // What was stored while the run went on stays where it is, before the items of the other writer.
        [items, later] = [without(items, early?.items ?? []), without(later, early?.items ?? [])];
        view.known = undefined;
        view.early = undefined;
      }
    }
  }

  /** Removes the newest item. */
  async pop(view: View): Promise<Value | undefined> {
    return await this.#inOrder(() =>
      this.#decide(view, async ({ last }) => {
        if (last === undefined) return undefined;
        const turns = itemsOf(last).length > 0 ? [last] : await this.#turns();
        const item = turns.flatMap(itemsOf).at(-1);
        return { turns: replacedEnd(turns, 1, []), result: item };
      }),
    );
  }

  /** Removes all items, and the ids of applied transactions. */
  async clear(view: View): Promise<void> {
    await this.#inOrder(async () => {
      const { info } = await this.session.look();
      const operations = operationsLog in info.logs ? { [operationsLog]: { from: 1, entries: [] } } : {};
      await this.#write(view, undefined, { turns: { from: 1, turns: [] }, logs: operations });
      view.early = undefined;
    });
  }

  /** Replaces all items. @throws SessionError `conflict` where another writer has changed the turns since the view */
  async replace(view: View, items: readonly AgentItem[], write: ItemsWrite): Promise<void> {
    await this.#inOrder(async () => {
      const known = view.hasRead && view.known !== undefined ? view.known : await this.#look();
      const turns = { from: 1, turns: placeItems(undefined, items).begun.map(sealed) };
      await this.#write(view, known, { ...write, turns });
      view.early = undefined;
    });
  }

  /** Replaces the items at the end, if they are those that are expected. @throws SessionError `conflict` if they are not */
  async replaceSuffix(
    view: View,
    { expected, replacement }: { readonly expected: readonly AgentItem[]; readonly replacement: readonly AgentItem[] },
    write: ItemsWrite,
  ): Promise<void> {
    await this.#inOrder(() =>
      this.#decide(view, async ({ onto, last }) => {
        const isEnough = last !== undefined && itemsOf(last).length > expected.length;
        const turns = isEnough ? [last] : await this.#turns();
        const items = turns.flatMap(itemsOf);
        const at = items.length - expected.length;
        if (at < 0 || !sameValue(items.slice(at), expected as readonly Value[])) throw this.#changed(onto);
        return { turns: replacedEnd(turns, expected.length, replacement), write };
      }),
    );
  }

  /** Changes items, wherever they are. `start` makes a function that gets the items of each turn, one turn after the other. */
  async change(view: View, start: () => (items: readonly Value[]) => readonly Value[]): Promise<void> {
    await this.#inOrder(() =>
      this.#decide(view, async ({ last }) => {
        const change = start();
        const turns = await this.#turns();
        const changed = turns.map((turn) => changedTurn(turn, change));
        const first = changed.findIndex((turn, index) => turn !== turns[index]);
        if (first < 0 || last === undefined) return undefined;
        const kept = changed.slice(first).filter(({ input, output }) => input.length + output.length > 0);
        return { turns: rewrite(last.seq, turns[first]!.seq, kept) };
      }),
    );
  }

  /**
   * Applies a transaction once.
   * @throws SessionError `key_reused` for another transaction under a known id, and as `apply`
   */
  async once(
    operation: { readonly id: string; readonly transaction: Value },
    apply: (operation: NonNullable<ItemsWrite["operation"]>) => Promise<void>,
  ): Promise<void> {
    const key = idFor(operation.id);
    const digest = nodeCrypto()
      .createHash("sha256")
      .update(encodeValue(ordered(operation.transaction)))
      .digest("base64url");
    const isApplied = async (): Promise<boolean> => {
      const [entry] = await this.session.log(operationsLog).get([key]);
      if (entry === undefined) return false;
      if (entry.value === digest) return true;
      throw new SessionError("key_reused", { sessionId: this.session.id, key, seq: entry.seq });
    };
    if (await isApplied()) return;
    try {
      await apply({ key, digest });
    } catch (error) {
      // The commit of an earlier try may have landed meanwhile.
      const isSettled = hasCode(error, "conflict") || hasCode(error, "key_reused");
      if (!isSettled || !(await isApplied())) throw error;
    }
  }

  /** Lets the turn of the run wait with a state. @throws SessionError `conflict` where another writer has changed the turns */
  async pause(view: View, wait: TurnWait): Promise<WaitingTurn> {
    return await this.#inOrder(async () => {
      const known = view.known ?? (await this.#look());
      const { last, onto } = known;
      if (last === undefined) throw this.#changed(onto);
      const { seq, agent, input, output } = last;
      // The session has counted the usage of the turn that it replaces.
      const turn: TurnInput = { input, output, agent, requests: 0 };
      const outcome = await this.session.write({ turns: { from: seq, turns: [turn], wait }, onto });
      view.known = undefined;
      view.early = undefined;
      if (outcome.status === "duplicate" || outcome.waiting === undefined)
        throw new Error("a turn without a key waits");
      return outcome.waiting;
    });
  }

  /** The state of the turn that waits, once: the turn is done then, and the run goes on behind its items. */
  async resume<State>(load: (state: string) => Promise<State> | State): Promise<State> {
    const { session } = this;
    const waiting = await session.waiting();
    if (waiting === null) throw new SessionError("turn_not_waiting", { sessionId: session.id });
    if (typeof waiting.state !== "string") throw turnWaiting(session.id, waiting);
    // A state that cannot be loaded leaves the turn waiting.
    const state = await load(waiting.state);
    // One commit: the turn either waits with its state, or it is done.
    await this.#inOrder(() => session.sealWaiting(waiting.token));
    return state;
  }

  /** Waits for the calls before this one. */
  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const before = this.#last;
    const result = before === undefined ? work() : before.then(work);
    const settle = (): void => {
      if (this.#last === settled) this.#last = undefined;
    };
    const settled = result.then(settle, settle);
    this.#last = settled;
    return result;
  }

  /** Decides a write on what is stored, anew whenever another writer was first. */
  async #decide<T>(view: View, decide: (known: Known) => Promise<Decision<T> | undefined>): Promise<T | undefined> {
    for (let round = 1; ; round++) {
      const known = await this.#look();
      const decision = await decide(known);
      if (decision === undefined) return undefined;
      const { turns, write = {}, result } = decision;
      try {
        await this.#write(view, known, { ...write, turns });
        view.early = undefined;
        return result;
      } catch (error) {
        if (!hasCode(error, "conflict") || round === roundsMax) throw error;
      }
    }
  }

  async #look(): Promise<Looked> {
    const look = await this.session.look([{ log: "turns", last: 1 }]);
    const [entry] = look.tails[0] ?? [];
    const { version, marks, info } = look;
    const last =
      entry === undefined ? undefined : { ...(entry.value as unknown as Omit<LastTurn, "seq">), seq: entry.seq };
    return { onto: { version, marks }, last, version, waiting: info.waitingTurn };
  }

  async #turns(last?: number): Promise<Turn[]> {
    return await Array.fromAsync(this.session.turns(defined({ last })));
  }

  async #write(view: View, known: Known | undefined, parts: WriteParts): Promise<void> {
    const now = countsOf(view, parts.context);
    const write = sessionWriteOf(known, parts, { before: view.counted, now });
    this.#landed(view, known, { write, now, outcome: await this.session.write(write) });
  }

  /** The view knows what a write has stored. @throws SessionError `key_reused` */
  #landed(
    view: View,
    known: Known | undefined,
    { write, now, outcome }: { readonly write: SessionWrite; readonly now: Tokens; readonly outcome: WriteOutcome },
  ): void {
    if (outcome.status === "duplicate") {
      const { key, seq } = outcome.entry;
      throw new SessionError("key_reused", { sessionId: this.session.id, key: key ?? "", seq });
    }
    view.counted = now;
    const from = write.turns?.from;
    const kept = known?.last !== undefined && (from === undefined || from > known.last.seq) ? known.last : undefined;
    // Of what stands before the written turns nothing is known where they are none.
    const isKnown = outcome.turns.length > 0 || kept !== undefined || from === 1;
    view.known = isKnown
      ? { onto: { version: outcome.version, marks: {} }, last: outcome.turns.at(-1) ?? kept }
      : undefined;
  }

  #changed(onto: Onto): SessionError {
    const { version } = typeof onto === "number" ? { version: onto } : onto;
    return new SessionError("conflict", { sessionId: this.session.id, log: "turns", seenVersion: version });
  }
}

/** The parts of a write of turns. */
type WriteParts = ItemsWrite & Pick<SessionWrite, "logs"> & { readonly turns: TurnsWrite; readonly isOpen?: boolean };

/** The counts of the run so far. */
function countsOf(view: View, context: AgentRunContext | undefined): Tokens {
  return context === undefined ? view.counted : tokensOf(context);
}

function sessionWriteOf(
  known: Known | undefined,
  { agent, operation, turns, logs, isOpen = false }: WriteParts,
  counts: { readonly before: Tokens; readonly now: Tokens },
): SessionWrite {
  const amended = turns.amends === true && turns.turns.length === 1 ? known?.last : undefined;
  const last = turns.turns.at(-1);
  const written =
    last === undefined
      ? turns
      : {
          ...turns,
          turns: [
            ...turns.turns.slice(0, -1),
            {
              ...last,
              ...defined({ agent }),
              ...usageOfTurn(amended, counts),
              ...(isOpen ? { status: "interrupted" as const } : {}),
            },
          ],
        };
  const entry: LogWrite | undefined =
    operation === undefined ? undefined : { entries: [{ key: operation.key, value: operation.digest }] };
  return defined({
    turns: written,
    logs: entry === undefined ? logs : { ...logs, [operationsLog]: entry },
    onto: known?.onto,
  });
}

function turnWaiting(sessionId: string, waiting: NonNullable<Looked["waiting"]>): SessionError {
  const { turn, reason, since, expiresAt } = waiting;
  const end = expiresAt === null ? {} : { expiresAt: expiresAt.getTime() };
  return new SessionError("turn_waiting", { sessionId, turn, reason, since: since.getTime(), ...end });
}

interface Decision<T> {
  readonly turns: TurnsWrite;
  readonly write?: ItemsWrite;
  readonly result?: T;
}

/** Where `later` items are behind `items`, which are behind `base`. */
function earlyBehind(base: Early["base"], items: readonly AgentItem[], later: readonly AgentItem[]): Early {
  const { extended, begun } = placeItems(base, items);
  const last = begun.at(-1) ?? extended ?? base;
  const seq = (base?.seq ?? 0) + begun.length;
  const isExtended = last !== undefined && placeItems(last, later).extended !== undefined;
  return {
    base: last === undefined ? undefined : { input: last.input, output: last.output, seq },
    from: isExtended ? seq : seq + 1,
    items: later,
  };
}

/**
 * A write that puts items behind the turn `base`. The stored turns from `replacedFrom` to `end` have earlier forms of the items,
 * and go.
 */
function turnsWrite(
  end: number,
  {
    base,
    replacedFrom = Infinity,
    items,
  }: {
    readonly base: Early["base"];
    readonly replacedFrom?: number | undefined;
    readonly items: readonly AgentItem[];
  },
): TurnsWrite {
  const { extended, begun } = placeItems(base, items);
  if (base === undefined) return rewrite(end, 1, begun);
  if (extended !== undefined) return rewrite(end, base.seq, [extended, ...begun]);
  return replacedFrom <= base.seq ? rewrite(end, base.seq, [base, ...begun]) : rewrite(end, base.seq + 1, begun);
}

/** A write that replaces the last items of the last turns. `turns` has all turns, or the last ones, of which
 * items stay where `replacement` has any. */
function replacedEnd(turns: readonly LastTurn[], count: number, replacement: readonly AgentItem[]): TurnsWrite {
  const end = turns.at(-1)?.seq ?? 0;
  let removed = count;
  for (const turn of turns.toReversed()) {
    const { length } = itemsOf(turn);
    if (removed > 0 && removed >= length) {
      removed -= length;
      continue;
    }
    const base = removed === 0 ? turn : { ...turn, ...cutItems(turn, length - removed) };
    return turnsWrite(end, { base, replacedFrom: removed === 0 ? undefined : turn.seq, items: replacement });
  }
  return rewrite(end, turns[0]?.seq ?? 1, placeItems(undefined, replacement).begun);
}

function changedTurn(turn: LastTurn, change: (items: readonly Value[]) => readonly Value[]): LastTurn {
  const items = itemsOf(turn);
  const next = change(items);
  if (sameValue(items, next)) return turn;
  const differs = items.findIndex((item, index) => !sameValue(item, next[index]));
  return { ...turn, ...joinItems(cutItems(turn, differs), next.slice(differs) as readonly AgentItem[]) };
}

/** Where the last one of the stored turns is replaced it is amended: it keeps its key, its time and its usage. */
function rewrite(end: number, from: number, exchanges: readonly Exchange[]): TurnsWrite {
  const turns = exchanges.map(sealed);
  if (from > end) return { turns };
  return from === end && turns.length > 0 ? { from, amends: true, turns } : { from, turns };
}

/** A question without an answer is interrupted. A turn that ends with a call is done: its caller runs the tool. */
function sealed({ input, output }: Exchange): TurnInput {
  return { input, output, status: output.length > 0 ? "done" : "interrupted" };
}

/**
 * The items of the first list that are not in the second one: a call, and the result of a call, by the id of the call. Any other item of
 * the second list stands for one equal item, as a text may be said twice.
 */
export function without(items: readonly AgentItem[], known: readonly AgentItem[]): readonly AgentItem[] {
  const left = [...known];
  return items.filter((item) => {
    const { type, callId } = fieldsOf(item);
    if (callId !== undefined)
      return !known.some((one) => fieldsOf(one)["callId"] === callId && fieldsOf(one)["type"] === type);
    const at = left.findIndex((one) => fieldsOf(one)["callId"] === undefined && sameValue(item as Value, one as Value));
    if (at !== -1) left.splice(at, 1);
    return at === -1;
  });
}

/** A run that goes on after an approval begins calls which are stored already. */
function withoutCallsOf(turn: Exchange | undefined, items: readonly AgentItem[]): readonly AgentItem[] {
  if (turn === undefined || items.length === 0) return items;
  const calls = (itemsOf(turn) as readonly AgentItem[]).filter((item) => fieldsOf(item)["type"] === "function_call");
  return without(items, calls);
}

/** The value with the fields of its objects in order, so that equal values have equal texts. */
function ordered(value: Value): Value {
  if (Array.isArray(value)) return (value as readonly Value[]).map(ordered);
  if (typeof value !== "object" || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  return Object.fromEntries(
    Object.entries(value as Readonly<Record<string, Value>>)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, field]) => [name, ordered(field)]),
  );
}
