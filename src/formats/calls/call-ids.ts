/** Ids for calls and results of programs that pair them by name and order, such as Ollama, Gemini and OpenAI's first functions. */
import { isFields, jsonOf } from "../../domain/turns/known-parts.ts";
import type { Message, ToolCall } from "../../domain/turns/turn.ts";

/**
 * The messages of each value, with an id for each call without one, `call_1`, `call_2` by their order, and for its result. A result
 * without an id answers the first open call of its tool, else the first open one. Of several open calls with one id, such as parallel
 * calls of Gemini that have their name alone, each further one gets an id of its own, and so does its result. A call keeps the id of one that has its result. `hasTextCalls` is true for a value of a program
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

interface OpenCall {
  readonly id: string;
  /** The id that its message has for it. */
  readonly given: string;
  readonly name: string;
  readonly arguments: string;
  /** The number of its message. */
  readonly at: number;
}

/** Reads the messages of a conversation one after the other. */
class Naming {
  readonly values: Message[][] = [];
  readonly #open: OpenCall[] = [];
  readonly #used = new Set<string>();
  #made = 0;
  /** The number of the message that is read. */
  #at = 0;

  add(messages: readonly Message[], hasTextCalls: boolean): void {
    const named: Message[] = [];
    this.values.push(named);
    for (const message of messages) {
      this.#at++;
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
    const { name = "", arguments: given = "" } = call.function as Partial<ToolCall["function"]>;
    const id = hasId(call.id) && !this.#isTaken(call.id, name, given) ? call.id : this.#make();
    this.#used.add(id);
    this.#open.push({ id, given: call.id, name, arguments: given, at: this.#at });
    return id === call.id ? call : { ...call, id };
  }

  #make(): string {
    for (;;) {
      const id = `call_${++this.#made}`;
      if (!this.#used.has(id)) return id;
    }
  }

  /**
   * True for the id of another open call, and for a used id that is the name of the tool: its program has no ids. A log may
   * have the message of an open call twice, and a model may use an id again.
   */
  #isTaken(id: string, name: string, given: string): boolean {
    const open = this.#open.find((call) => call.given === id);
    if (open === undefined) return id === name && this.#used.has(id);
    return open.at === this.#at || open.arguments !== given;
  }

  #result(message: Message): Message {
    const { tool_call_id: id, name = message["tool_name"] } = message;
    if (hasId(id)) {
      const at = this.#openAt(id);
      const [call] = at < 0 ? [] : this.#open.splice(at, 1);
      return call === undefined || call.id === id ? message : { ...message, tool_call_id: call.id };
    }
    const at = this.#open.findIndex((call) => call.name === name);
    const [call] = this.#open.splice(Math.max(at, 0), 1);
    return call === undefined ? message : { ...message, role: "tool", tool_call_id: call.id };
  }

  /** The open call with this id: the first one of the last message that has it. Else, Gemini's results may have the name alone. */
  #openAt(id: string): number {
    const last = this.#open.findLast((call) => call.given === id);
    if (last !== undefined) return this.#open.findIndex((call) => call.given === id && call.at === last.at);
    return this.#used.has(id) ? -1 : this.#open.findIndex((call) => call.name === id);
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
