/** Tool calls and their results in the order that endpoints demand: each call is followed at once by exactly one result. */
import { textOf } from "../turns/message-steps.ts";
import { mediaOf, resultAsUser } from "./shown-message.ts";
import { pairToolCalls, unknownResult, type Message, type ToolCall } from "../turns/turn.ts";

/** A call and its result, if there is one. */
interface PairedCall {
  readonly call: ToolCall;
  result: Message | undefined;
}

/** The messages of one turn, and the calls of each message that makes some, by its index. */
interface PairedTurn {
  readonly messages: readonly Message[];
  readonly calls: ReadonlyMap<number, readonly PairedCall[]>;
  /** The indexes of the results that answer a call of this turn. */
  readonly answers: ReadonlySet<number>;
}

/**
 * The turns with calls and results paired. Pairing is turn by turn, because the same id may stand for another call in a
 * later turn; but results at the beginning of a turn answer the open calls of the turn before: a caller may run a tool, or
 * ask a person, between two turns. A marked result closes a call that has none, and a result without a call is sent as
 * text.
 */
export function pairCalls(turns: readonly (readonly Message[])[]): readonly (readonly Message[])[] {
  const paired: PairedTurn[] = [];
  for (const messages of turns) {
    const before = paired.at(-1);
    const taken = before === undefined ? 0 : takeResults(before, messages);
    paired.push(pairTurn(messages.slice(taken)));
  }
  return paired.map(orderedMessages);
}

/** Gives the results at the beginning of these messages to the open calls of the turn before. Answers how many it took. */
function takeResults({ calls }: PairedTurn, messages: readonly Message[]): number {
  // The latest message first, and its calls in order.
  const all = [...calls.values()].toReversed().flat();
  let taken = 0;
  for (const message of messages) {
    if (message.role !== "tool") break;
    // A marked result stands for one that was not known yet.
    const open = all.find(
      ({ call, result }) =>
        call.id === message.tool_call_id &&
        (result === undefined || (result["synthetic"] === true && result !== message)),
    );
    if (open === undefined) break;
    open.result = message;
    taken++;
  }
  return taken;
}

function pairTurn(messages: readonly Message[]): PairedTurn {
  const calls = new Map<number, PairedCall[]>();
  const answers = new Set<number>();
  for (const { call, madeAt, answeredAt } of pairToolCalls(messages)) {
    const made = calls.get(madeAt) ?? [];
    calls.set(madeAt, made);
    made.push({ call, result: answeredAt === undefined ? undefined : messages[answeredAt] });
    if (answeredAt !== undefined) answers.add(answeredAt);
  }
  return { messages, calls, answers };
}

function orderedMessages({ messages, calls, answers }: PairedTurn): readonly Message[] {
  const ordered: Message[] = [];
  for (const [index, message] of messages.entries()) {
    if (answers.has(index)) continue;
    if (message.role === "tool") {
      const { tool_call_id: name = "", content } = message;
      ordered.push(resultAsUser({ name, text: textOf(content), media: mediaOf(content) }));
      continue;
    }
    const made = withIds(calls.get(index) ?? []);
    const isSame = made.every(({ call }, at) => call === message.tool_calls?.[at]);
    ordered.push(isSame ? message : { ...message, tool_calls: made.map(({ call }) => call) });
    for (const { call, result } of made) ordered.push(result ?? unknownResult(call));
  }
  return ordered;
}

/** The calls of one message, each with an id that no other one has: some servers send none, or one for all. */
function withIds(made: readonly PairedCall[]): readonly PairedCall[] {
  const ids = new Set<string>();
  return made.map((one, index) => {
    const { call, result } = one;
    const isOwn = call.id !== "" && !ids.has(call.id);
    const id = isOwn ? call.id : `call${String(index).padStart(5, "0")}`;
    ids.add(id);
    if (isOwn) return one;
    return { call: { ...call, id }, result: result && { ...result, tool_call_id: id } };
  });
}
