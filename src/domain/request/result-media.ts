/**
 * Pictures, recordings and files in the results of tools. Chat completions take only text in a `tool` message, so a
 * message of the user shows them after the results of all calls.
 */
import { textOf } from "../turns/message-steps.ts";
import { mediaOf, resultAsUser } from "./shown-message.ts";
import type { Part } from "../turns/known-parts.ts";
import type { Message } from "../turns/turn.ts";

/** Stands between results and the message of the user: endpoints demand an answer there. */
const showsNext: Message = { role: "assistant", content: "(the content of the results follows)", synthetic: true };

const kinds: Readonly<Record<string, string>> = { image_url: "picture", input_audio: "recording", file: "file" };

/** The messages, with text alone in each result. Applied again, it changes nothing. */
export function withoutResultMedia(messages: readonly Message[]): readonly Message[] {
  const shown: Message[] = [];
  let moved: Message[] = [];
  const tell = (): void => {
    if (moved.length > 0) shown.push(showsNext, ...moved);
    moved = [];
  };
  for (const message of messages) {
    if (message.role !== "tool") tell();
    const media = message.role === "tool" ? mediaOf(message.content) : [];
    if (media.length === 0) {
      shown.push(message);
      continue;
    }
    const { tool_call_id: name = "", content } = message;
    const text = [textOf(content), ...media.map(announcement)].filter((line) => line !== "").join("\n");
    shown.push({ ...message, content: text });
    moved.push(resultAsUser({ name, text: "", media }));
  }
  tell();
  return shown;
}

function announcement({ type }: Part): string {
  return `(a ${kinds[type] ?? "file"} follows in the next message of the user)`;
}
