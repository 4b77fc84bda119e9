/** Guards of what a device sends: it is not trusted. */
import { guardQuestion } from "../../domain/request/asked-question.ts";
import { defaultAgent } from "../../domain/turns/agent-choice.ts";
import { exchangePart } from "../../domain/turns/message-steps.ts";
import { parseMessages } from "../../domain/turns/turn.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import type { MessageInput, Sessions } from "../../index.ts";

/**
 * A device is not trusted: it may send user messages, but no instructions, no assistant messages and no tool results, as
 * fields or as parts in any known shape.
 * @throws SessionError `message_invalid`
 */
export function guardUserRole(input: MessageInput): void {
  const messages: readonly unknown[] = Array.isArray(input) ? input : [input];
  for (const message of messages) {
    const { role = "user", ...rest } = (typeof message === "object" && message !== null ? message : {}) as {
      readonly role?: unknown;
    };
    const field = ["tool_calls", "tool_call_id", "function_call"].find((name) => name in rest);
    if (field !== undefined) {
      const value = formatValue((rest as Readonly<Record<string, unknown>>)[field]);
      throw new SessionError("message_invalid", { path: `message.${field}`, value, expected: "no_field" });
    }
    if (role === "user" && exchangePart({ role, ...rest }) !== undefined)
      throw new SessionError("message_invalid", {
        path: "message.content",
        value: "a tool call or its result",
        expected: "user_content",
      });
    if (role === "user") continue;
    const value = formatValue(role);
    throw new SessionError("message_invalid", { path: "message.role", value, expected: "one_of", known: ["user"] });
  }
  // Before a conversation begins for it.
  guardQuestion(parseMessages(input, "user", "message"), "message");
}

/**
 * A device may name the default agent and agents open to devices. Any other is reported as unknown. If no agents are
 * configured, a device may use any name: it gives no access.
 * @throws SessionError `agent_unknown`
 */
export function guardOpenAgent({ agents }: Sessions, agent: string): void {
  if (agents === undefined) return;
  if (agents.get(agent)?.openToDevices ?? agent === defaultAgent(agents)) return;
  throw new SessionError("agent_unknown", { agent });
}
