/** What the reader of a share sees of a turn: the texts, pictures and files of the user's and the assistant's messages. */
import type { Message, Turn, TurnStatus } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";

/** A message in a shared session. It has no tool calls, no results, no reasoning, and nothing of a provider's own. */
export interface SharedMessage {
  readonly role: "user" | "assistant";
  readonly content: string | readonly { readonly [field: string]: Value | undefined }[];
}

/** A turn in a shared session. */
export interface SharedTurn {
  readonly seq: number;
  readonly at: Date;
  readonly status: TurnStatus;
  readonly input: readonly SharedMessage[];
  readonly output: readonly SharedMessage[];
}

/** The parts of a message that are shown, and the fields of each. */
const shownFields: Readonly<Record<string, readonly string[]>> = {
  text: ["text"],
  input_text: ["text"],
  output_text: ["text"],
  image: ["image", "source", "mediaType"],
  image_url: ["image_url"],
  input_image: ["image_url"],
  file: ["file", "data", "mediaType", "filename", "url"],
};

export function sharedTurn({ seq, at, status, input, output }: Turn): SharedTurn {
  return { seq, at, status, input: input.flatMap(sharedMessage), output: output.flatMap(sharedMessage) };
}

function sharedMessage({ role, content }: Message): readonly SharedMessage[] {
  if (role !== "user" && role !== "assistant") return [];
  if (typeof content === "string") return content === "" ? [] : [{ role, content }];
  if (!Array.isArray(content)) return [];
  const parts = content.flatMap((part: Value) => sharedPart(part));
  return parts.length === 0 ? [] : [{ role, content: parts }];
}

function sharedPart(part: Value): readonly { readonly [field: string]: Value | undefined }[] {
  if (typeof part === "string") return [{ type: "text", text: part }];
  if (typeof part !== "object" || part === null || !("type" in part)) return [];
  const { type, ...fields } = part;
  if (typeof type !== "string" || !Object.hasOwn(shownFields, type)) return [];
  const shown = Object.entries(fields).filter(([name]) => shownFields[type]?.includes(name));
  return [{ type, ...Object.fromEntries(shown) }];
}
