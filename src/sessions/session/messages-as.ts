/** Reads the messages of turns in the form of a framework or provider. */
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { toFormat } from "../../formats/conversion.ts";
import type { MessageFormatName } from "../../formats/message-format.ts";
import { formatNamed } from "../../formats/registry.ts";
import type { Handle } from "../handle/handle.ts";
import { resolvedMessages } from "../attachments/resolved.ts";
import { rangeNames, readTurns, type EntryRange } from "../turns/entry-reader.ts";

/** The turns whose messages are read, and their form. */
export interface MessagesQuery extends EntryRange {
  /** The format of the messages. @default "openai" */
  readonly as?: MessageFormatName;
}

const queryNames: OptionNames<MessagesQuery> = { ...rangeNames, as: true };

/** @throws SessionError as `Session.messages` */
export async function readMessagesAs(handle: Handle, query: MessagesQuery): Promise<readonly Value[]> {
  guardNames(query, "query", queryNames);
  const { as = "openai", ...range } = query;
  const format = formatNamed(as);
  const messages: Message[] = [];
  for await (const { input, output } of readTurns(handle, range)) messages.push(...input, ...output);
  return toFormat(await resolvedMessages(handle.core, handle.record, messages), format.name);
}
