/** Conversations of other programs, as sessions. */
import { createHash, type Hash } from "node:crypto";
import { firstBranches, layoutOf, type EndedBranch, type TurnInTree } from "../../domain/branches/layout.ts";
import { lastShared, treeData, type KeptBranch } from "../../domain/branches/tree.ts";
import { portableOf, type Portable, type PortableRecord } from "../../domain/copies/snapshot.ts";
import { branchesLog, type Entry } from "../../domain/record/entry.ts";
import type { Context } from "../../domain/record/guards.ts";
import { createSession } from "../../domain/record/lifecycle.ts";
import { noCounters } from "../../domain/record/record.ts";
import { countBegun, countSealed } from "../../domain/turns/counters.ts";
import { exchangesOf, instructionsOf, type Exchange } from "../../domain/turns/exchange.ts";
import {
  entryOfTurn,
  parseMessages,
  turnBytes,
  type Message,
  type ReportedUsage,
  type Turn,
  type Usage,
} from "../../domain/turns/turn.ts";
import { guardTurnParts } from "../../domain/turns/turns.ts";
import { addCounts, isModelName, parseUsage } from "../../domain/turns/usage.ts";
import { encode, type Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import { durationMaxMs } from "../../domain/values/limits.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { newSession } from "../session/opening.ts";

/** What the file of another program says of a message. */
export interface MessageFacts {
  /** When it was written, epoch ms. */
  readonly at?: number;
  /** The tokens of the model call that wrote it. */
  readonly usage?: ReportedUsage;
  /** The model that wrote it. */
  readonly model?: string;
  /** True for a question that is a turn of its own, although the question before it has no answer. @default false */
  readonly beginsTurn?: boolean;
}

/** How many things of each kind have no place in a session: `{ branch: 1, attachment: 2 }`. */
export type LeftOut = { readonly [kind: string]: number };

/** Another branch of a conversation. */
export interface ConversationBranch {
  /** All of its messages from the beginning on, in the order in which they were said. */
  readonly messages: readonly Message[];
  /** What is known of some of the messages. */
  readonly facts?: ReadonlyMap<Message, MessageFacts>;
}

/** A conversation of another program. */
export interface Conversation {
  /** @default an id made from the whole conversation, the same at each import */
  readonly id?: string;
  /** In the order in which they were said; system messages before all others are the instructions. */
  readonly messages: readonly Message[];
  /** What is known of some of the messages. */
  readonly facts?: ReadonlyMap<Message, MessageFacts>;
  readonly title?: string;
  readonly agent?: string;
  readonly user?: string;
  readonly metadata?: { readonly [key: string]: Value | undefined };
  /** When it began, epoch ms. @default the time of its first message that has one, or that of its last change, the earlier one, else now */
  readonly createdAt?: number;
  /** When it last changed, epoch ms. @default the time of its last message, else that of its beginning, else now */
  readonly updatedAt?: number;
  /** How many parts of its messages are kept beside their content, for the report. @default 0 */
  readonly aside?: number;
  /** What of it is not imported, for the report. @default nothing */
  readonly leftOut?: LeftOut;
  /**
   * The conversation that it is a branch of, and how many branches that has, for a session of each. Its session has one of the ids
   * `id`, `id-branch-2`, …: the one of the session that it continues, else `id` above, else the first one that is free. The
   * session of another id than the first one has `branchOf` in its metadata.
   */
  readonly branchOf?: { readonly id: string; readonly count: number };
  /** Its other branches, which become branches of the session, in their order. The turns that they begin with alike are shared. @default none */
  readonly branches?: readonly ConversationBranch[];
  /** How many of these branches come before the one that `messages` is. @default 0 */
  readonly branchesBefore?: number;
}

/** How to make a session of a conversation. */
export interface ConversationOptions {
  readonly id: string;
  /** The agent of a conversation that names none. */
  readonly agent: string | undefined;
  /** The time to live of the session, from the import. @default that of new sessions */
  readonly ttl: string | number | undefined;
}

/** The most characters of a title. */
const titleLengthMax = 256;

/** The title as a session may have it; undefined for one of spaces only. */
function titleOf(title: string | undefined): string | undefined {
  const cut = title?.slice(0, titleLengthMax).toWellFormed();
  return cut?.trim() === "" ? undefined : cut;
}

/** A conversation as a session. */
export interface ConversationSession {
  readonly portable: Portable;
  /** The turns of all branches. */
  readonly turns: number;
  /** What the session has no place for, for the report. */
  readonly leftOut: LeftOut;
}

/**
 * A conversation as a new session: the system messages before all others are its instructions, and each question with its answer
 * is a turn.
 * @throws SessionError `message_invalid`, `value_unstorable`, `turn_too_large`, `turn_parts_exceeded`, `metadata_too_large`, `id_invalid`
 */
export function portableConversation(
  core: Core,
  conversation: Conversation,
  { id, agent: agentElse, ttl }: ConversationOptions,
): ConversationSession {
  const { user, title, agent = agentElse } = conversation;
  const context = core.context();
  const { shown, branches, leading, leftOut } = readBranches(conversation, context);
  const times = timesOfAll(branches.map(({ times }) => times));
  const session = newSession(
    core,
    { tenant: "default", id },
    defined({
      agent,
      user: user === undefined ? undefined : parseNewId(user, "user"),
      metadata: { ...timesMoved(conversation, times), ...conversation.metadata },
      title: titleOf(title),
      instructions: instructionsOf(leading),
      ttl,
    }),
  );
  const { record, splices } = createSession(session, context);
  if (record === null) throw new Error("creating a session makes a record");
  const { createdAt, updatedAt } = times;
  // A time to live begins with the import, or old conversations would have expired by then.
  const dated = { ...record, createdAt, lastActivityAt: record.ttlMs === durationMaxMs ? updatedAt : context.now };
  const layout = layoutOf(branches, shown.number);
  const logs = new Map<string, readonly Entry[]>(splices.map(({ log, entries }) => [log, entries]));
  let counters = noCounters;
  for (const [log, said] of layout.logs) {
    const turns = said.map(({ content, at }, index): Turn => {
      return { seq: index + 1, key: null, status: "done", agent: session.agent, at: new Date(at), ...content };
    });
    for (const turn of turns) {
      guardTurnParts(record, turn, context);
      counters = countSealed(countBegun(counters, turn), turn);
    }
    logs.set(
      log,
      turns.map((turn, index) => entryOfTurn(turn, said[index]!.messagesBefore)),
    );
    for (const [index, { data }] of (logs.get(log) ?? []).entries()) {
      const [bytes, bytesMax] = [turnBytes(data, turns[index]!), context.limits.turnBytesMax];
      if (bytes > bytesMax) throw new SessionError("turn_too_large", { sessionId: id, bytes, bytesMax });
    }
  }
  const { turns } = counters;
  const current = layout.logs.get("turns") ?? [];
  counters = { ...counters, turns: current.length, messages: messagesTo(shown.end) };
  const portable: PortableRecord = { ...portableOf(dated), counters };
  if (layout.kept.length === 0) return { portable: { record: portable, logs }, turns, leftOut };
  const byNumber = new Map(branches.map((branch) => [branch.number, branch]));
  const kept = layout.kept.map((one): KeptBranch => {
    const { end, at } = byNumber.get(one.number)!;
    return { ...one, at, messages: messagesTo(end), isRemoved: false };
  });
  const tree = { current: shown.number, kept };
  logs.set(branchesLog, [{ seq: 1, key: null, at: context.now, data: treeData(tree) }]);
  const branch = { current: shown.number, made: branches.length, shared: lastShared(tree) };
  return { portable: { record: { ...portable, branch }, logs }, turns, leftOut };
}

/** A turn of a conversation, in the tree of its branches. */
interface SaidTurn extends TurnInTree<SaidTurn> {
  readonly content: Pick<Turn, "input" | "output" | "requests" | "usage" | "model">;
  /** Epoch ms. */
  readonly at: number;
  readonly messagesBefore: number;
  /** The turns that follow in any branch, by what they say. */
  readonly after: Map<string, SaidTurn>;
}

interface SaidBranch extends EndedBranch<SaidTurn> {
  readonly times: Times;
  /** The time of its last message that has one, epoch ms. */
  readonly at: number;
}

function messagesTo(turn: SaidTurn | undefined): number {
  if (turn === undefined) return 0;
  return turn.messagesBefore + turn.content.input.length + turn.content.output.length;
}

/** The branches of a conversation, numbered in their order, with the turns that they share. */
function readBranches(
  conversation: Conversation,
  { now, limits: { branchesMax } }: Pick<Context, "now" | "limits">,
): {
  readonly shown: SaidBranch;
  readonly branches: readonly SaidBranch[];
  readonly leading: readonly Message[];
  readonly leftOut: LeftOut;
} {
  const { branches: others = [], branchesBefore: before = 0 } = conversation;
  const own: ConversationBranch = conversation;
  const firsts = new Map<string, SaidTurn>();
  let leading: readonly Message[] = [];
  const otherInstructions = new Set<string>();
  // The turns that branches share are those of the one that is shown.
  const read = [own, ...others].map((branch): Omit<SaidBranch, "number"> => {
    const { leading: instructions, exchanges: listed } = exchangesOf(
      parseMessages(branch.messages, "user", "messages"),
    );
    if (branch === own) leading = instructions;
    else if (encode(instructions) !== encode(leading)) otherInstructions.add(encode(instructions));
    const facts = branch.facts ?? noFacts;
    const exchanges = listed.flatMap((exchange) => separated(exchange, facts));
    const known = exchanges.map((exchange) => factsOf(exchange, facts));
    const times = timesOf({ ...conversation, facts }, known, now);
    let [end, after]: [SaidTurn | undefined, Map<string, SaidTurn>] = [undefined, firsts];
    for (const [index, { input, output }] of exchanges.entries()) {
      const { at, ...said } = known[index]!;
      const content = { input, output, ...said };
      const name = others.length === 0 ? "" : textHash(encode([content, at ?? null]));
      const turn: SaidTurn = after.get(name) ?? {
        before: end,
        number: index + 1,
        content,
        at: times.turns[index]!,
        messagesBefore: messagesTo(end),
        after: new Map(),
      };
      after.set(name, turn);
      [end, after] = [turn, turn.after];
    }
    const at = Math.min(now, ...latestOf(timesIn(facts)), times.updatedAt);
    return { end, times, at };
  });
  const [shown, ...rest] = read as [SaidBranch, ...SaidBranch[]];
  const ends = new Set<SaidTurn | undefined>([shown.end]);
  // A branch whose turns are those of another one is none.
  const isBranch = ({ end }: Omit<SaidBranch, "number">): boolean =>
    end !== undefined && end.after.size === 0 && !ends.has(end) && ends.add(end).size > 0;
  const ordered = [...rest.slice(0, before).filter(isBranch), shown, ...rest.slice(before).filter(isBranch)];
  const chosen = firstBranches(ordered, { max: branchesMax, shown });
  const branches = chosen.map((branch, index): SaidBranch => ({ ...branch, number: index + 1 }));
  return {
    shown: branches[chosen.indexOf(shown)]!,
    branches,
    leading,
    leftOut: { branch: ordered.length - chosen.length, "other instructions": otherInstructions.size },
  };
}

function textHash(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}

/** The times of a conversation with several branches. */
function timesOfAll(all: readonly Times[]): Pick<Times, "createdAt" | "updatedAt"> {
  return {
    createdAt: all.reduce((first, { createdAt }) => Math.min(first, createdAt), Infinity),
    updatedAt: all.reduce((last, { updatedAt }) => Math.max(last, updatedAt), 0),
  };
}

/** The times of a session and of its turns, epoch ms: none is in the future, and none before the beginning. */
interface Times {
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly turns: readonly number[];
}

function timesOf(conversation: Conversation, known: readonly { readonly at?: number }[], now: number): Times {
  // A turn without a time has that of the one before it. The first one has that of the conversation, and is no later than the next.
  const { at: next = now } = known.find((one) => one.at !== undefined) ?? {};
  const unknown = Math.min(now, next, conversation.updatedAt ?? conversation.createdAt ?? next);
  let last = unknown;
  const turns = known.map(({ at = last }) => (last = Math.min(at, now)));
  const createdAt = Math.min(conversation.createdAt ?? unknown, turns[0] ?? unknown);
  const all = timesIn(conversation.facts ?? noFacts);
  const isDated = all.length > 0 || (conversation.updatedAt ?? conversation.createdAt) !== undefined;
  const { updatedAt = isDated ? Math.max(createdAt, ...latestOf(all)) : now } = conversation;
  return { createdAt, updatedAt: Math.min(Math.max(updatedAt, createdAt), now), turns };
}

/** The times of the file that the session cannot have, for its metadata: a beginning after its first message, a change before it. */
function timesMoved(
  conversation: Conversation,
  times: Pick<Times, "createdAt" | "updatedAt">,
): { readonly [name: string]: string } {
  const moved = (["createdAt", "updatedAt"] as const).flatMap((name) => {
    const { [name]: given = times[name] } = conversation;
    return given === times[name] ? [] : [[name, new Date(given).toISOString()] as const];
  });
  return Object.fromEntries(moved);
}

/** How many messages of the file have a time in the future, which none of a session has. */
export function futureTimes({ facts = noFacts }: Conversation, now: number): number {
  return timesIn(facts).filter((at) => at > now).length;
}

/** The exchange, or an exchange for each of its questions that begins a turn. */
function separated({ input, output }: Exchange, facts: ReadonlyMap<Message, MessageFacts>): readonly Exchange[] {
  const starts = [...input.keys()].filter((index) => index > 0 && facts.get(input[index]!)?.beginsTurn === true);
  const unanswered = starts.map((end, index) => ({ input: input.slice(starts[index - 1] ?? 0, end), output: [] }));
  return [...unanswered, { input: input.slice(starts.at(-1) ?? 0), output }];
}

function timesIn(facts: ReadonlyMap<Message, MessageFacts>): readonly number[] {
  return [...facts.values()].flatMap(({ at }) => at ?? []);
}

function latestOf(times: readonly number[]): readonly number[] {
  return times.length === 0 ? [] : [times.reduce((last, at) => Math.max(last, at))];
}

/** What the file says of an exchange: its earliest time, the tokens of its model calls, and the last model. */
function factsOf(
  { input, output }: Exchange,
  all: ReadonlyMap<Message, MessageFacts>,
): Pick<Turn, "requests" | "usage" | "model"> & { readonly at?: number } {
  const facts = [...input, ...output].flatMap((message) => all.get(message) ?? []);
  const usages = facts.flatMap(({ usage }) => (usage === undefined ? [] : [parseUsage(usage, () => noUsage)]));
  const model = facts.flatMap(({ model }) => (isModelName(model) ? [model] : [])).at(-1);
  const times = facts.flatMap(({ at }) => at ?? []);
  return {
    // A message without a usage does not say whether a model wrote it.
    requests: usages.length,
    ...defined({
      at: times.length === 0 ? undefined : Math.min(...times),
      model,
      usage: usages.length === 0 ? undefined : usages.reduce(sumOf),
    }),
  };
}

const noFacts: ReadonlyMap<Message, MessageFacts> = new Map();
const noUsage: Usage = { inputTokens: 0, outputTokens: 0, totalTokens: 0 };

function sumOf(one: Usage, other: Usage): Usage {
  const sum = (name: "cachedTokens" | "reasoningTokens"): number | undefined =>
    one[name] === undefined && other[name] === undefined ? undefined : addCounts(one[name] ?? 0, other[name] ?? 0);
  return {
    inputTokens: addCounts(one.inputTokens, other.inputTokens),
    outputTokens: addCounts(one.outputTokens, other.outputTokens),
    totalTokens: addCounts(one.totalTokens, other.totalTokens),
    ...defined({ cachedTokens: sum("cachedTokens"), reasoningTokens: sum("reasoningTokens") }),
  };
}

/** The first branch of a conversation as one of its own, which stays the first one when another one is shown or begins. */
export function firstBranchOf(conversation: Conversation): Conversation {
  const { branches = [], branchesBefore = 0, facts: _, ...about } = conversation;
  const first = branchesBefore > 0 ? branches[0] : undefined;
  return first === undefined ? conversation : { ...about, ...first };
}

/** The ids of the sessions of branches of a conversation, from one number on. */
export function branchIds(id: string, { from, count }: { readonly from: number; readonly count: number }): string[] {
  return Array.from({ length: count }, (_, index) => branchId(id, from + index));
}

/** The id of the session of one of the branches of a conversation, from 1. */
export function branchId(id: string, number: number): string {
  return number === 1 ? id : `${id}-branch-${number}`;
}

/** The beginning of every id that an import makes. */
export const madeIdPrefix = "import_";

/**
 * The ids that an import makes for a conversation without one: of its beginnings, up to the first exchange, up to the
 * second, and so on; the last one is that of the whole. A conversation that has grown has its earlier id among them.
 */
export function madeIds(conversation: Conversation): readonly [string, ...string[]] {
  const { hash, exchanges } = hashedBeginning(conversation);
  const ids = exchanges.map((said) => idOf(hash.update(`[${said.join()}]`).copy().digest("hex")));
  const [first = idOf(hash.copy().digest("hex")), ...others] = ids;
  return [first, ...others];
}

/** The ids that {@link madeIds} makes for each beginning of the conversation, also within an exchange, the longest one first. */
export function idsOfBeginnings(conversation: Conversation): readonly string[] {
  const { hash, exchanges } = hashedBeginning(conversation);
  const ids: string[] = [];
  for (const said of exchanges) {
    hash.update("[");
    for (const [index, text] of said.entries()) {
      hash.update(index === 0 ? text : `,${text}`);
      ids.push(idOf(hash.copy().update("]").digest("hex")));
    }
    hash.update("]");
  }
  return ids.slice(0, -1).toReversed();
}

/** The hash of what stands before the exchanges, and each message of those, with what is known of it, as a text. */
function hashedBeginning(conversation: Conversation): {
  readonly hash: Hash;
  readonly exchanges: readonly (readonly string[])[];
} {
  const { messages, facts = noFacts, title, agent, user, metadata = {}, createdAt } = conversation;
  const { leading, exchanges } = exchangesOf(messages);
  const about = { title, agent, user, metadata: steadyOf(metadata), createdAt };
  return {
    hash: createHash("sha256").update(encode(about)).update(encode(leading)),
    exchanges: exchanges.map(({ input, output }) =>
      [...input, ...output].map((message) => encode([message, facts.get(message) ?? null])),
    ),
  };
}

/** Metadata without its numbers, such as counts of messages, which change when a conversation grows. */
function steadyOf(metadata: NonNullable<Conversation["metadata"]>): NonNullable<Conversation["metadata"]> {
  return Object.fromEntries(Object.entries(metadata).filter(([, value]) => typeof value !== "number"));
}

/** The metadata by which two states of a conversation are compared: without its title, which an import keeps there too. */
export function steadyFields(metadata: NonNullable<Conversation["metadata"]>): NonNullable<Conversation["metadata"]> {
  const { title: _, ...fields } = steadyOf(metadata);
  return fields;
}

function idOf(digest: string): string {
  return `${madeIdPrefix}${digest.slice(0, 26)}`;
}
