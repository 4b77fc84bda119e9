/**
 * Items of a framework's own transcript as turns of its session. The framework reads its transcript alone. The turns are written in
 * the same commit, and other frameworks read them. The first message of an item has a mark, which names the item: a message without
 * a mark is of another writer.
 */
import { defined } from "../../domain/values/defined.ts";
import {
  hasCode,
  type ErrorCode,
  type Message,
  type Session,
  type SessionInfo,
  type SessionWrite,
  type Turn,
  type TurnInput,
  type ToolCall,
  type TurnsWrite,
  type Value,
} from "../../index.ts";
import { digestOf, hasOpenCalls, isQuestion } from "./shown-messages.ts";

/** An item of the transcript. */
export interface ProjectedItem {
  readonly id: string;
  /** None: the item is in no turn, or leaves the one that it is in. */
  readonly messages: readonly Message[];
  /**
   * `new`: no turn has the item. `change`: the messages replace those of the item, if the last turns have it. `more`: an answer that
   * the last turn may have already; its message grows by these.
   */
  readonly kind: "new" | "change" | "more";
  /** The tokens of the model's answer, as far as they are known with this item. */
  readonly usage?: ItemUsage;
  /** The model that answered. */
  readonly model?: string;
}

/** The tokens of one answer, as its mark keeps them. */
export interface ItemUsage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens?: number;
  readonly reasoningTokens?: number;
}

/** The end of the turns that the transcript has, as the metadata of the session keeps it. */
interface Position {
  /** The number of the last turn. */
  readonly turn: number;
  /** The number of messages of other writers in that turn. */
  readonly others: number;
  /** The version of the session by the last change of its turns. */
  readonly version: number;
  /** The number and the digest of the messages of that turn, which tell it from another one; absent in older sessions. */
  readonly end?: TurnEnd;
}

interface TurnEnd {
  readonly count: number;
  readonly digest: string;
  /** The time of the turn, epoch ms, where it was read: a turn of others has no mark. */
  readonly at?: number;
}

/** Messages of other writers in a turn, of which the transcript does not have the last ones. */
export interface ForeignMessages {
  readonly turn: Turn;
  /** All messages of other writers in the turn. */
  readonly messages: readonly Message[];
  /** The number of those that the transcript has. */
  readonly known: number;
  /** The number of those that it has once these are added. */
  readonly added: number;
  /** True where others have replaced turns, and the transcript may have some of these messages. */
  readonly mayBeKnown: boolean;
  /** The calls of this framework in the turns that were read, by their ids. */
  readonly calls: ReadonlyMap<string, OwnCall>;
}

/** A call that an item of the transcript makes. */
export interface OwnCall {
  readonly call: ToolCall;
  /** The id of the item. */
  readonly item: string;
}

/** The part of a write that makes the turns what the transcript says. */
export type ProjectedWrite = Pick<SessionWrite, "turns" | "set">;

/** A turn with as many messages grows no more, unless a call in it has no result yet: so an amendment has a bounded size. */
const messagesMax = 32;
/** The last turns, in which an item that changes is looked for. */
const turnsMax = 100;

/** Failures of turns, which do not keep the transcript from being stored: it is then stored without them. */
const failuresOfTurns: readonly ErrorCode[] = [
  "budget_exceeded",
  "legal_hold",
  "message_invalid",
  "replaced_too_large",
  "session_forked",
  "turn_open",
  "turn_parts_exceeded",
  "turn_too_large",
  "turn_waiting",
  "write_too_large",
];

/** True for an error after which the write is worth a try without its turns. */
export function isFailureOfTurns(error: unknown): boolean {
  return failuresOfTurns.some((code) => hasCode(error, code));
}

/** The turns of the sessions of one framework. */
export class ProjectedTurns {
  /** The format of the marks. */
  readonly #format: string;
  /** The name of the position in the metadata of a session. */
  readonly #name: string;

  constructor(format: string) {
    this.#format = format;
    this.#name = `${format}-turns`;
  }

  /** True for a session whose turns were never written, nor read, by this framework. */
  isNewTo({ metadata }: SessionInfo): boolean {
    return metadata[this.#name] === undefined;
  }

  /**
   * The messages that others have added since this framework wrote to the session, up to a turn in progress. Where others have
   * replaced the last known turn, those from the last turn on that has an item of this framework.
   */
  async foreign(session: Session): Promise<readonly ForeignMessages[]> {
    const { info } = session;
    if (this.#isCurrent(info)) return [];
    const position = this.#positionOf(info);
    const stands = await isStored(session, position);
    const from = stands ? Math.max(1, position.turn) : await this.#lastOwn(session);
    const found: ForeignMessages[] = [];
    const calls = new Map<string, OwnCall>();
    for await (const turn of session.turns({ from })) {
      if (turn.status === "open" || turn.status === "waiting") break;
      for (const one of this.#callsIn(turn)) calls.set(one.call.id, one);
      const known = stands && turn.seq === position.turn ? position.others : 0;
      const messages = this.#othersIn(turn);
      const added = messages.length;
      if (added > known) found.push({ turn, messages, known, added, mayBeKnown: !stands, calls });
    }
    return found;
  }

  /** The last turn that has an item: the transcript has all that was before it. */
  async #lastOwn(session: Session): Promise<number> {
    const isOwn = ({ input, output }: Turn): boolean =>
      [...input, ...output].some((message) => this.#markOf(message) !== undefined);
    let size = 1;
    for (let to = session.info.turn; to > 0; to -= size, size = Math.min(turnsMax, size * 8)) {
      const turns = await Array.fromAsync(session.turns({ from: Math.max(1, to - size + 1), to }));
      const own = turns.findLast(isOwn);
      if (own !== undefined) return own.seq;
    }
    return 1;
  }

  /**
   * The part of a write that adds these messages to the transcript.
   * @param isWhole true where others have added no more of them
   */
  adopted({ info }: Session, foreign: readonly ForeignMessages[], isWhole: boolean): ProjectedWrite {
    const last = foreign.at(-1);
    if (last === undefined) return {};
    const { turn, added: others } = last;
    const end = { ...endOf(turn), at: turn.at.getTime() };
    return this.#positioned({ turn: turn.seq, others, version: isWhole ? info.seen.version : 0, end });
  }

  /**
   * The turns to write for these items. The write must be decided on the session's version, and have no other change of turns.
   * @param known the last turn, where it was read with the session
   */
  async projected(session: Session, items: readonly ProjectedItem[], known?: Turn): Promise<ProjectedWrite> {
    const { info } = session;
    const drafts = await this.#drafts(session, { items, known: known?.seq === info.turn ? known : undefined });
    for (const item of items) {
      const { id, kind, messages } = item;
      const at = kind === "new" ? -1 : drafts.findLastIndex((draft) => this.#rangeOf(draft, id) !== undefined);
      if (kind === "more" && at === drafts.length - 1) this.#grow(drafts[at], item);
      else if (kind === "change" && at >= 0) this.#change(drafts, at, item);
      // The rest of an answer of an earlier turn: the tokens of the answer count there.
      else if (kind === "more" && at >= 0) this.#add(drafts, { id, kind, messages });
      else if (kind !== "change") this.#add(drafts, item);
    }
    const first = drafts.findIndex(({ isChanged }) => isChanged);
    const from = drafts[first]?.stored;
    if (first < 0) return {};
    const kept = drafts.slice(first).filter(({ input, output }) => input.length + output.length > 0);
    const isAmended = from?.seq === info.turn && kept[0]?.stored === from;
    const turns: TurnsWrite = {
      ...defined({ from: from?.seq, amends: isAmended || undefined }),
      turns: kept.map((draft) => this.#turnOf(draft)),
    };
    const end = kept.at(-1) ?? drafts[first - 1];
    return {
      turns,
      ...this.#positioned({
        turn: (from?.seq ?? info.turn + 1) - 1 + kept.length,
        others: end === undefined ? Number.MAX_SAFE_INTEGER : this.#othersIn(end).length,
        version: info.version + 1,
        ...defined({ end: end && endOf(end) }),
      }),
    };
  }

  /** The last turns: those in which an item of these may be. */
  async #drafts(
    session: Session,
    { items, known }: { readonly items: readonly ProjectedItem[]; readonly known: Turn | undefined },
  ): Promise<Draft[]> {
    if (session.info.turn === 0) return [];
    for (const last of [1, turnsMax]) {
      const turns = last === 1 && known !== undefined ? [known] : await Array.fromAsync(session.turns({ last }));
      const drafts = turns.map(draftOf);
      const isMissing = ({ id, kind }: ProjectedItem): boolean =>
        kind === "change" && !drafts.some((draft) => this.#rangeOf(draft, id) !== undefined);
      if (last === turnsMax || !items.some(isMissing)) return drafts;
    }
    return [];
  }

  #add(drafts: Draft[], item: ProjectedItem): void {
    if (item.messages.length === 0) return;
    const isAsked = item.messages.every(isQuestion);
    let last = drafts.at(-1);
    if (last === undefined || !this.#isExtendable(last, isAsked)) drafts.push((last = { input: [], output: [] }));
    const list = isAsked ? "input" : "output";
    last[list] = [...last[list], ...this.#marked(item, item.messages)];
    last.model = item.model ?? last.model;
    last.isChanged = true;
  }

  /** A question extends a question, and an answer whatever is not complete. Turns that others have answered are left to them. */
  #isExtendable(last: Draft, isAsked: boolean): boolean {
    if (last.output.length === 0) return true;
    const messages = [...last.input, ...last.output];
    const isFull = messages.length >= messagesMax && !hasOpenCalls(messages);
    return !isAsked && !isFull && this.#othersIn(last).length === 0;
  }

  /** Turns behind the one that changes are written anew, so they must be this framework's; else it stays as it was. */
  #change(drafts: Draft[], at: number, item: ProjectedItem): void {
    const { id, messages } = item;
    const draft = drafts[at]!;
    const isLast = draft.stored === undefined || drafts[at + 1]?.stored === undefined;
    const isOwn = (one: Draft): boolean => one.stored === undefined || this.#othersIn(one.stored).length === 0;
    if (!isLast && !drafts.slice(at).every(isOwn)) return;
    const [list = "output", from = 0, to = 0] = this.#rangeOf(draft, id) ?? [];
    // A result that others have given to a call stays theirs.
    const given = new Set(this.#othersIn(draft).flatMap(({ role, tool_call_id: of }) => (role === "tool" ? [of] : [])));
    const own = messages.filter(({ role, tool_call_id: of }) => role !== "tool" || !given.has(of));
    draft[list] = [...draft[list].slice(0, from), ...this.#marked(item, own), ...draft[list].slice(to)];
    draft.isChanged = true;
  }

  /** An answer grows in its place, also where results of its first calls are behind it. */
  #grow(draft: Draft | undefined, item: ProjectedItem): void {
    const { id, messages } = item;
    const [list = "output", from = 0, to = 0] = (draft && this.#rangeOf(draft, id)) ?? [];
    if (draft === undefined || messages.length === 0) return;
    const earlier = draft[list].slice(from, to);
    const usage = item.usage ?? this.#usagesIn(earlier)[0];
    const grown = this.#marked({ id, ...defined({ usage }) }, [[...earlier, ...messages].reduce(joined)]);
    draft[list] = [...draft[list].slice(0, from), ...grown, ...draft[list].slice(to)];
    draft.model = item.model ?? draft.model;
    draft.isChanged = true;
  }

  /** The place of an item in a turn. */
  #rangeOf(draft: Draft, id: string): readonly [list: "input" | "output", from: number, to: number] | undefined {
    for (const list of ["input", "output"] as const) {
      const from = draft[list].findIndex((message) => this.#markOf(message)?.value === id);
      if (from >= 0) return [list, from, from + (this.#markOf(draft[list][from]!)?.count ?? 1)];
    }
    return undefined;
  }

  /** The messages of an item, the first one with its mark. */
  #marked({ id, usage }: Pick<ProjectedItem, "id" | "usage">, messages: readonly Message[]): readonly Message[] {
    const count = messages.length === 1 ? undefined : messages.length;
    // A mark has the form of a native form, which no model is sent. Without a hash it would be one of a model.
    const native: Value = defined({
      format: this.#format,
      version: 1,
      value: id,
      hash: "",
      count,
      usage: usage as unknown as Value,
    });
    return messages.map((message, index) => (index === 0 ? { ...message, native } : message));
  }

  #markOf({ native }: Message): Mark | undefined {
    const mark = native as (Mark & { readonly format?: string }) | undefined;
    return mark?.format === this.#format ? mark : undefined;
  }

  #usagesIn(messages: readonly Message[]): readonly ItemUsage[] {
    return messages.flatMap((message) => this.#markOf(message)?.usage ?? []);
  }

  /**
   * A turn that was stored keeps its agent, and its model until another one answers. Its tokens are those of its answers, and those
   * that others have counted in it.
   */
  #turnOf({ stored, input, output, model }: Draft): TurnInput {
    const isAnswered = output.length > 0 && !hasOpenCalls(output);
    const usages = this.#usagesIn(output);
    const more = stored === undefined || usages.length === 0 ? undefined : this.#ofOthers(stored);
    const usage = usages.length === 0 ? undefined : sumOf([...usages, ...(more?.usage ?? [])]);
    const requests = usages.length === 0 ? undefined : usages.length + (more?.requests ?? 0);
    const { agent } = stored ?? {};
    const status = isAnswered ? "done" : "interrupted";
    return { input, output, status, ...defined({ agent, model, usage, requests }) };
  }

  /** What others have counted in a turn: what it has beside the tokens of the marks. */
  #ofOthers(turn: Turn): { readonly usage: readonly ItemUsage[]; readonly requests: number } | undefined {
    const { usage, requests, output } = turn;
    if (usage === undefined || this.#othersIn(turn).length === 0) return undefined;
    const usages = this.#usagesIn(output);
    const own = sumOf(usages);
    const rest = (name: keyof ItemUsage): number => Math.max(0, (usage[name] ?? 0) - (own[name] ?? 0));
    const known = (name: keyof ItemUsage): number | undefined => (usage[name] === undefined ? undefined : rest(name));
    const others = defined({
      inputTokens: rest("inputTokens"),
      outputTokens: rest("outputTokens"),
      cachedTokens: known("cachedTokens"),
      reasoningTokens: known("reasoningTokens"),
    });
    return { usage: [others], requests: Math.max(0, requests - usages.length) };
  }

  /** The calls of the items in a turn. */
  #callsIn({ output }: Turn): readonly OwnCall[] {
    let [item, covered] = ["", 0];
    return output.flatMap((message, index) => {
      const mark = this.#markOf(message);
      if (mark !== undefined) [item, covered] = [mark.value, index + (mark.count ?? 1)];
      const { tool_calls: calls = [] } = message;
      return index < covered ? calls.map((call) => ({ call, item })) : [];
    });
  }

  /** The messages without a mark of this framework. */
  #othersIn({ input, output }: Pick<Turn, "input" | "output">): readonly Message[] {
    return [input, output].flatMap((messages) => {
      let covered = 0;
      return messages.filter((message, index) => {
        const mark = this.#markOf(message);
        if (mark !== undefined) covered = index + (mark.count ?? 1);
        return index >= covered;
      });
    });
  }

  #isCurrent(info: SessionInfo): boolean {
    return info.turn === 0 || (!this.isNewTo(info) && this.#positionOf(info).version === info.seen.version);
  }

  #positionOf({ metadata }: SessionInfo): Position {
    return (metadata[this.#name] as unknown as Position | undefined) ?? { turn: 0, others: 0, version: 0 };
  }

  #positioned(position: Position): Pick<SessionWrite, "set"> {
    return { set: { metadata: { [this.#name]: position as unknown as Value } } };
  }
}

/** True where the last known turn begins with the messages that it had. */
async function isStored(session: Session, { turn: known, end }: Position): Promise<boolean> {
  if (known === 0) return true;
  if (known > session.info.turn) return false;
  if (end === undefined) return true;
  const [turn] = await Array.fromAsync(session.turns({ from: known, to: known }));
  if (turn === undefined || (end.at ?? turn.at.getTime()) !== turn.at.getTime()) return false;
  const messages = [...turn.input, ...turn.output];
  return messages.length >= end.count && digestOf(messages.slice(0, end.count)) === end.digest;
}

function endOf({ input, output }: Pick<Turn, "input" | "output">): TurnEnd {
  const messages = [...input, ...output];
  return { count: messages.length, digest: digestOf(messages) };
}

/** The mark of an item: its id, the number of its messages, and its tokens. */
interface Mark {
  readonly value: string;
  readonly count?: number;
  readonly usage?: ItemUsage;
}

/** A turn that is stored, or begun, and its messages after the changes. */
interface Draft {
  readonly stored?: Turn;
  model?: string | undefined;
  input: readonly Message[];
  output: readonly Message[];
  isChanged?: boolean;
}

function draftOf(stored: Turn): Draft {
  return { stored, input: stored.input, output: stored.output, model: stored.model };
}

function sumOf(usages: readonly ItemUsage[]): ItemUsage {
  const sum = (name: keyof ItemUsage): number => usages.reduce((all, usage) => all + (usage[name] ?? 0), 0);
  const known = (name: keyof ItemUsage): number | undefined =>
    usages.some((usage) => usage[name] !== undefined) ? sum(name) : undefined;
  return defined({
    inputTokens: sum("inputTokens"),
    outputTokens: sum("outputTokens"),
    cachedTokens: known("cachedTokens"),
    reasoningTokens: known("reasoningTokens"),
  });
}

/** Two messages of one answer as one. */
function joined(message: Message, more: Message): Message {
  const calls = [message, more].flatMap(({ tool_calls: own = [] }) => own);
  return defined({
    ...message,
    content: joinedContent(message.content, more.content),
    tool_calls: calls.length === 0 ? undefined : calls,
  });
}

function joinedContent(content: Value | undefined, more: Value | undefined): Value {
  if (content == null || more == null) return content ?? more ?? null;
  if (typeof content === "string" && typeof more === "string") return content + more;
  return [content, more].flatMap((one): readonly Value[] =>
    typeof one === "string" ? [{ type: "text", text: one }] : (one as readonly Value[]),
  );
}
