/**
 * Pictures, recordings and files in the results of tools. Chat completions take only text in a `tool` message, so a
 * message of the user shows them after the results of all calls.
 */
import type { Value } from "../values/codec.ts";
import { contentParts, textOf } from "../turns/message-steps.ts";
import { mediaOf, resultAsUser } from "./shown-message.ts";
import { knownPart, type Part } from "../turns/known-parts.ts";
import type { Message } from "../turns/turn.ts";

/** Inserted between results and the message of the user: endpoints demand an answer there. */
const showsNext: Message = { role: "assistant", content: "(the content of the results follows)", synthetic: true };

const kinds: Readonly<Record<string, string>> = { image_url: "picture", input_audio: "recording", file: "file" };

/** The messages, with text alone in each result. Applied again, it changes nothing. */
export function withoutResultMedia(messages: readonly Message[]): readonly Message[] {
  const shown: Message[] = [];
  let moved: Message[] = [];
  const addNote = (): void => {
    if (moved.length > 0) shown.push(showsNext, ...moved);
    moved = [];
  };
  for (const message of messages) {
    if (message.role !== "tool") addNote();
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
  addNote();
  return shown;
}

/** The message with a line of text in place of each picture, recording and file; the same message if it has none. */
export function withoutMedia(message: Message): Message {
  const { content } = message;
  if (mediaOf(content).length === 0) return message;
  const parts = contentParts(content).map((part): Value => {
    const known = knownPart(part);
    return known.kind === "media" ? { type: "text", text: `(a ${kindOf(known.part)} that is not shown again)` } : part;
  });
  return { ...message, content: message.role === "tool" ? textOf(parts) : parts };
}

function kindOf({ type }: Part): string {
  return kinds[type] ?? "file";
}

function announcement(part: Part): string {
  return `(a ${kindOf(part)} follows in the next message of the user)`;
}
