/**
 * Data sets of preferences: a question with the answer that was preferred, and one that was not; and prompts with completions.
 * https://developers.openai.com/api/docs/guides/direct-preference-optimization, https://huggingface.co/docs/trl/dataset_formats
 */
import { isFields, type Fields } from "../../domain/turns/known-parts.ts";
import type { Value } from "../../domain/values/codec.ts";
import { sameValue } from "../../domain/values/same-value.ts";
import { formatOf } from "../../formats/registry.ts";
import { withoutClash } from "../conversations/about.ts";
import type { ConversationFormat } from "../conversations/conversation-format.ts";
import { aboutInstructed, instructionsIn, listedMessages } from "../conversations/listed-messages.ts";

export const preferences: ConversationFormat = {
  name: "preferences",
  title: "preferred answers, and prompts with completions",
  kindOf: (document) => (isFields(document) && sampleIn(document) !== undefined ? "conversation" : undefined),
  read: ([{ value, place }]) => {
    const { messages, rejected, placed, around } = sampleIn(value as Fields)!;
    const { tools, ...fields } = around;
    const read = listedMessages(messages, place, {
      instructions: instructionsIn(fields),
      model: undefined,
      format: undefined,
    });
    return [
      {
        ...aboutInstructed(fields, placed),
        ...read,
        leftOut: {
          ...read.leftOut,
          "rejected answer": rejected,
          "tool definition": Array.isArray(tools) ? tools.length : 0,
        },
      },
    ];
  },
};

interface Sample {
  /** With the preferred answer. */
  readonly messages: readonly Value[];
  /** The number of answers that were not preferred. */
  readonly rejected: number;
  /** The fields that have a place in the messages, or are left out. */
  readonly placed: readonly string[];
  /** The fields around the messages. */
  readonly around: Fields;
}

/** The names of what is asked. */
const promptNames = ["prompt", "question", "instruction", "conversations", "messages"] as const;
/** The names of the answer that is kept, and of the one that is left out. */
const chosenNames = ["chosen", "completion"] as const;
const rejectedNames = ["rejected"] as const;

/** The sample in a document; undefined for another document. */
function sampleIn(document: Fields): Sample | undefined {
  const { input, preferred_output: preferred, non_preferred_output: other, ...others } = document;
  if (isFields(input) && preferred !== undefined) {
    const { messages, ...beside } = input;
    const [asked, answered] = [messagesOf(messages, "user"), messagesOf(preferred, "assistant")];
    if (asked === undefined || answered === undefined) return undefined;
    return {
      messages: [...asked, ...answered],
      rejected: other === undefined ? 0 : 1,
      placed: [],
      around: withoutClash(others, beside),
    };
  }
  const [promptName, chosenName, rejectedName] = [promptNames, chosenNames, rejectedNames].map((names) =>
    names.find((name) => document[name] !== undefined && document[name] !== null),
  );
  if (chosenName === undefined || (promptName === undefined && rejectedName === undefined)) return undefined;
  const chosen = messagesOf(document[chosenName], "assistant");
  const prompt = promptName === undefined ? [] : messagesOf(document[promptName], "user");
  if (chosen === undefined || prompt === undefined) return undefined;
  // A prompt of its own is asked; words alone without one are a transcript.
  const isTranscript = prompt.length === 0 && !Array.isArray(document[chosenName]);
  const transcript = isTranscript ? transcriptIn(document[chosenName]) : chosen;
  if (transcript === undefined) return undefined;
  const { messages: copy, ...around } = document;
  return {
    messages: isWhole(transcript, prompt) ? transcript : [...prompt, ...transcript],
    rejected: rejectedName === undefined ? 0 : 1,
    placed: [promptName, chosenName, rejectedName].filter((name) => name !== undefined),
    // Some sets have the preferred conversation twice.
    around: copy !== undefined && sameValue(copy, document[chosenName]) ? around : document,
  };
}

/** The messages that a field has: a text, a message, or a list of messages; undefined for another value. */
function messagesOf(value: Value | undefined, role: "user" | "assistant"): readonly Value[] | undefined {
  if (typeof value === "string") return value.trim() === "" ? undefined : [{ role, content: value }];
  const list = Array.isArray(value) ? (value as readonly Value[]) : [value];
  return list.length > 0 && list.every((item) => formatOf(item) !== undefined) ? (list as readonly Value[]) : undefined;
}

/**
 * The messages of a conversation in one text, as HH-RLHF has them: `\n\nHuman: …\n\nAssistant: …`; undefined for another value. A
 * transcript begins with the words of the human. https://huggingface.co/datasets/Anthropic/hh-rlhf
 */
function transcriptIn(value: Value | undefined): readonly Value[] | undefined {
  if (typeof value !== "string") return undefined;
  const [before = "", ...parts] = value.split(/(?:^|\n\n)(Human|Assistant):/);
  if (before.trim() !== "" || parts[0] !== "Human" || parts.length < 4) return undefined;
  return parts.flatMap((author, index): readonly Value[] => {
    const text = parts[index + 1]?.trim() ?? "";
    return index % 2 === 1 || text === "" ? [] : [{ role: author === "Human" ? "user" : "assistant", content: text }];
  });
}

/** True where the answer begins with the question: many sets have the whole conversation there. */
function isWhole(chosen: readonly Value[], prompt: readonly Value[]): boolean {
  const isSame = (one: Value, other: Value | undefined): boolean =>
    sameValue(one, other) ||
    (isFields(one) && isFields(other) && one["content"] !== undefined && one["content"] === other["content"]);
  return chosen.length > prompt.length && prompt.every((message, index) => isSame(message, chosen[index]));
}
