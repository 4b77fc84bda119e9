/** Ids for calls and results of programs that pair them by name and order, such as Ollama and OpenAI's first functions. */
import { isFields, jsonOf } from "../domain/turns/known-parts.ts";
import type { Message, ToolCall } from "../domain/turns/turn.ts";

/**
 * The messages of each value, with an id for each call without one, `call_1`, `call_2` by their order, and for its result. A result
 * without an id answers the first open call of its tool, else the first open one.
 */
export function withCallIds(values: readonly (readonly Message[])[]): readonly (readonly Message[])[] {
  const open: { readonly id: string; readonly name: string }[] = [];
  let made = 0;
  const identified = (call: ToolCall): ToolCall => {
    const whole = hasId(call.id) ? call : { ...call, id: `call_${++made}` };
    open.push({ id: whole.id, name: whole.function?.name ?? "" });
    return whole;
  };
  const answered = (message: Message): Message => {
    const { tool_call_id: id, name = message["tool_name"] } = message;
    if (hasId(id)) {
      const at = open.findIndex((call) => call.id === id);
      if (at >= 0) open.splice(at, 1);
      return message;
    }
    const at = open.findIndex((call) => call.name === name);
    const [call] = open.splice(Math.max(at, 0), 1);
    return call === undefined ? message : { ...message, role: "tool", tool_call_id: call.id };
  };
  return values.map((messages) =>
    messages.map((message) => {
      const { role, tool_calls: calls, function_call: called } = message;
      if (role === "tool" || role === "function") return answered(message);
      if (role !== "assistant") return message;
      if (isFields(called) && typeof called["name"] === "string" && calls === undefined) {
        const { function_call: _, ...rest } = message;
        const { name, arguments: given } = called;
        const text = typeof given === "string" ? given : jsonOf(given ?? {});
        return { ...rest, tool_calls: [identified({ id: "", type: "function", function: { name, arguments: text } })] };
      }
      if (!Array.isArray(calls) || !calls.every((call) => isFields(call) && isFields(call["function"]))) return message;
      const whole = (calls as readonly ToolCall[]).map(identified);
      return whole.every((call, index) => call === calls[index]) ? message : { ...message, tool_calls: whole };
    }),
  );
}

function hasId(id: unknown): id is string {
  return typeof id === "string" && id !== "";
}
