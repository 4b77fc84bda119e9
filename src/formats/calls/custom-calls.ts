/** Calls of custom tools, which take a text instead of an object. A message keeps them in its native form. */
import { nativeOf } from "../../domain/request/native-form.ts";
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import { callsIn } from "../../domain/turns/message-steps.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";

/** The inputs of the calls of custom tools, by the ids of the calls. A call that has changed since is no such call. */
export function customCallsIn(messages: readonly Message[]): ReadonlyMap<string, string> {
  return new Map(
    messages.flatMap((message) => {
      const written = customInputs(nativeOf(message)?.value);
      if (written.length === 0) return [];
      const stored = new Map(callsIn(message).map(({ id, function: called }) => [id, called.arguments]));
      return written.filter(([id, input]) => stored.get(id) === input);
    }),
  );
}

/** https://platform.openai.com/docs/guides/function-calling#custom-tools */
function customInputs(value: Value | undefined): readonly (readonly [id: string, input: string])[] {
  if (!isFields(value)) return [];
  const { type, call_id: id, callId = id, input, tool_calls: calls } = value;
  if (type === "custom_tool_call") return pairOf(callId, input);
  const list = Array.isArray(calls) ? (calls as readonly Value[]).filter(isFields) : [];
  return list
    .filter((call) => call["type"] === "custom" && isFields(call["custom"]))
    .flatMap((call) => pairOf(call["id"], (call["custom"] as Fields)["input"]));
}

function pairOf(id: Value | undefined, input: Value | undefined): readonly (readonly [id: string, input: string])[] {
  return typeof id === "string" && typeof input === "string" ? [[id, input]] : [];
}
