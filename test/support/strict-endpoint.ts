/** What the strictest endpoints of models refuse. */
import type { Message } from "../../src/index.ts";

/** Why the strictest endpoints would refuse these messages; undefined where they accept them. */
export function refusal(messages: readonly Message[]): string | undefined {
  const spoken = messages[0]?.role === "system" ? messages.slice(1) : messages;
  const open = new Set<string>();
  for (const [index, { role, content, tool_calls: calls = [], tool_call_id: id = "" }] of spoken.entries()) {
    const before = spoken[index - 1]?.role;
    if (!["user", "assistant", "tool"].includes(role)) return `${role} at ${index}`;
    if (index === 0 && role !== "user") return `begins with ${role}`;
    if (role !== "tool" && open.size > 0) return `no result for ${[...open].join()} before ${index}`;
    if (role === before && role !== "tool") return `${role} twice at ${index}`;
    if (role === "user" && before === "tool") return `user after tool at ${index}`;
    const isEmpty = content === null || content === undefined || (typeof content === "string" && content.trim() === "");
    if (isEmpty && calls.length === 0) return `empty content at ${index}`;
    if (typeof content !== "string" && content !== null) {
      const kinds = new Set(["text", "image_url", "input_audio", "file"]);
      const parts = content as readonly { readonly type: string }[];
      if (role !== "user" || parts.length === 0 || !parts.every(({ type }) => kinds.has(type)))
        return `parts at ${index}`;
    }
    if (role === "tool" && !open.delete(id)) return `a result without a call at ${index}`;
    for (const call of calls) {
      if (call.id === "" || open.has(call.id)) return `an id that is not unique at ${index}`;
      if (!/^[\w-]{1,64}$/.test(call.function.name)) return `the name of a tool at ${index}`;
      if (typeof JSON.parse(call.function.arguments) !== "object") return `arguments at ${index}`;
      open.add(call.id);
    }
  }
  return open.size === 0 ? undefined : "calls without results at the end";
}
