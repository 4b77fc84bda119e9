/** Ids for calls and results of programs that pair them by name and order, such as Ollama and OpenAI's first functions. */
import { isFields, jsonOf } from "../../domain/turns/known-parts.ts";
import type { Message, ToolCall } from "../../domain/turns/turn.ts";

/**
 * The messages of each value, with an id for each call without one, `call_1`, `call_2` by their order, and for its result. A result
 * without an id answers the first open call of its tool, else the first open one. `hasTextCalls` is true for a value of a program
 * whose calls are texts: a result without an open call then answers the text before it.
 */
export function withCallIds(
  values: readonly (readonly Message[])[],
  hasTextCalls: (index: number) => boolean = () => false,
): readonly (readonly Message[])[] {
  const naming = new Naming();
  for (const [index, messages] of values.entries()) naming.add(messages, hasTextCalls(index));
  return naming.values;
}

/** Reads the messages of a conversation one after the other. */
class Naming {
  readonly values: Message[][] = [];
  readonly #open: { readonly id: string; readonly name: string }[] = [];
  #made = 0;

  add(messages: readonly Message[], hasTextCalls: boolean): void {
    const named: Message[] = [];
    this.values.push(named);
    for (const message of messages) {
      const { role, tool_call_id: id } = message;
      const isResult = role === "tool" || role === "function";
      if (isResult && !hasId(id) && this.#open.length === 0 && hasTextCalls) this.#callByText();
      named.push(isResult ? this.#result(message) : role === "assistant" ? this.#answer(message) : message);
    }
  }

  #answer(message: Message): Message {
    const { tool_calls: calls, function_call: called } = message;
    if (isFields(called) && typeof called["name"] === "string" && calls === undefined) {
      const { function_call: _, ...rest } = message;
      const { name, arguments: given } = called;
      const text = typeof given === "string" ? given : jsonOf(given ?? {});
      return { ...rest, tool_calls: [this.#call({ id: "", type: "function", function: { name, arguments: text } })] };
    }
    if (!Array.isArray(calls) || !calls.every((call) => isFields(call) && isFields(call["function"]))) return message;
    const whole = (calls as readonly ToolCall[]).map((call) => this.#call(call));
    return whole.every((call, index) => call === calls[index]) ? message : { ...message, tool_calls: whole };
  }

  #call(call: ToolCall): ToolCall {
    const whole = hasId(call.id) ? call : { ...call, id: `call_${++this.#made}` };
    this.#open.push({ id: whole.id, name: whole.function?.name ?? "" });
    return whole;
  }

  #result(message: Message): Message {
    const { tool_call_id: id, name = message["tool_name"] } = message;
    const at = this.#open.findIndex((call) => (hasId(id) ? call.id === id : call.name === name));
    if (hasId(id)) {
      if (at >= 0) this.#open.splice(at, 1);
      return message;
    }
    const [call] = this.#open.splice(Math.max(at, 0), 1);
    return call === undefined ? message : { ...message, role: "tool", tool_call_id: call.id };
  }

  /** Gives the text of the assistant before some results a call, whose name and arguments only the text has. */
  #callByText(): void {
    const list = this.values.findLast((messages) => messages.some(({ role }) => role !== "tool"));
    const at = list?.findLastIndex(({ role }) => role !== "tool") ?? -1;
    const said = list?.[at];
    if (list === undefined || said?.role !== "assistant") return;
    const call = this.#call({ id: "", type: "function", function: { name: "unknown", arguments: "{}" } });
    list[at] = { ...said, tool_calls: [...(said.tool_calls ?? []), call] };
  }
}

function hasId(id: unknown): id is string {
  return typeof id === "string" && id !== "";
}
