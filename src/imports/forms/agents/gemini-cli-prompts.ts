/**
 * The `logs.json` of Gemini CLI: the words that a user typed in each session, without any answer.
 * https://github.com/google-gemini/gemini-cli/blob/main/packages/core/src/core/logger.ts
 */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { restOf, textOf, timeIn } from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { noMessages } from "../../conversations/refusals.ts";
import { messagesOfWritten } from "../../conversations/written-messages.ts";

export const geminiCliPrompts: ConversationFormat = {
  name: "gemini-cli-prompts",
  title: "the prompts that Gemini CLI logs",
  kindOf: (document) => (isPrompt(document) ? "entry" : undefined),
  groupOf: (entry) => textOf(entry as Fields, ["sessionId"]),
  read: (documents) => {
    const [{ place }] = documents;
    const prompts = documents
      .map(({ value }) => value as unknown as Prompt)
      .toSorted((one, other) => one.messageId - other.messageId);
    const leftOut = new LeftOutCounts();
    const asked = prompts.filter(({ message }) => !message.startsWith("/"));
    leftOut.add("command", prompts.length - asked.length);
    if (asked.length === 0) throw noMessages(place);
    const read = messagesOfWritten(
      asked.map(({ message, sessionId: _, ...prompt }) => ({
        value: { role: "user", content: message },
        facts: { beginsTurn: true, ...defined({ at: timeIn(prompt as unknown as Fields) }) },
        beside: restOf(prompt as unknown as Fields, ["type"]),
      })),
      { place, form: "gemini-cli-prompts" },
    );
    return [{ id: prompts[0]!.sessionId, metadata: { source: "gemini-cli-prompts" }, ...read, leftOut: leftOut.all }];
  },
};

interface Prompt {
  readonly sessionId: string;
  readonly messageId: number;
  readonly message: string;
}

function isPrompt(value: Value): boolean {
  if (!isFields(value)) return false;
  const { sessionId, messageId, message, type } = value;
  return (
    typeof sessionId === "string" && typeof messageId === "number" && typeof message === "string" && type === "user"
  );
}
