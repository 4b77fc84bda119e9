/** Sessions of Google's Agent Development Kit: a list of events, whose contents are those of Gemini. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { gemini } from "../../../formats/gemini.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, factsOf, groupOf, says, textOf, timeIn } from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { besideOf } from "../../conversations/kept-beside.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { noMessages } from "../../conversations/refusals.ts";
import { inTimeOrder } from "../../conversations/time-order.ts";
import { messagesOfWritten, withoutLooseResults, type WrittenMessage } from "../../conversations/written-messages.ts";

export const adk: ConversationFormat = {
  name: "adk",
  title: "a session of the Agent Development Kit",
  kindOf: (document) => {
    if (isEvent(document)) return "entry";
    return isFields(document) && isSession(document) ? "conversation" : undefined;
  },
  groupOf,
  read: (documents) => {
    const [{ value, place }] = documents;
    const fields = value as Fields;
    if (isSession(fields)) return [conversationOf(fields, fields["events"] as readonly Fields[], place)];
    // Events of a table may be in any order.
    const events = inTimeOrder(
      documents.map((document) => document.value as Fields),
      (event) => timeIn(event),
    );
    return [conversationOf(defined({ id: groupOf(value) }), events, place)];
  },
};

function isSession({ events }: Fields): boolean {
  return Array.isArray(events) && events.length > 0 && (events as readonly Value[]).every(isEvent);
}

function isEvent(value: Value): value is Fields {
  if (!isFields(value)) return false;
  const { author, content, actions, role } = value;
  const isTold = invocationOf(value) !== undefined || isFields(actions) || isFields(content);
  return (
    typeof author === "string" && role === undefined && isTold && (isFields(content) || (content ?? null) === null)
  );
}

/** Python writes the names of fields with underscores. */
function invocationOf(event: Fields): string | undefined {
  return textOf(event, ["invocationId", "invocation_id"]);
}

/** A larger state is not kept: metadata have a limit. */
const stateLengthMax = 16_384;

/** @throws SessionError `message_invalid` for a session without messages */
function conversationOf(session: Fields, events: readonly Fields[], place: string): Conversation {
  const leftOut = new LeftOutCounts();
  const written = events.flatMap((event) => writtenIn(event, leftOut));
  if (written.length === 0) throw noMessages(place);
  const { state, ...fields } = session;
  const isKept = JSON.stringify(state ?? {}).length <= stateLengthMax;
  if (!isKept && isFields(state)) leftOut.add("state value", Object.keys(state).length);
  const about = aboutConversation(isKept ? session : fields, ["events", "lastUpdateTime", "last_update_time"]);
  const agents = [...new Set(events.map(({ author }) => author as string))].filter((author) => author !== "user");
  const read = messagesOfWritten(written, { place, format: gemini, form: "adk" });
  const { messages, loose } = withoutLooseResults(read.messages);
  leftOut.add("stray result", loose);
  return {
    ...about,
    ...defined({
      agent: agents[0] ?? textOf(session, ["appName", "app_name"]),
      updatedAt: about.updatedAt ?? timeIn(session, ["lastUpdateTime", "last_update_time"]),
    }),
    metadata: { ...about.metadata, ...(agents.length > 1 ? { agents } : {}), source: "adk" },
    ...read,
    messages,
    leftOut: leftOut.all,
  };
}

/** The content of an event; none for changes of the state, and for pieces of an answer, which a later event has whole. */
function writtenIn(event: Fields, leftOut: LeftOutCounts): readonly WrittenMessage[] {
  const { author, content, partial } = event;
  if (partial === true) {
    leftOut.add("piece of an answer");
    return [];
  }
  const { role, parts } = isFields(content) ? content : {};
  const list = leftOut.fieldsIn(parts, "part").map(withoutNulls);
  const said = list.length > 0 ? list : transcriptsIn(event);
  if (said.length === 0) {
    const error = textOf(event, ["errorCode", "error_code", "errorMessage", "error_message"]);
    leftOut.add(error === undefined ? "event without content" : "error");
    return [];
  }
  const isOfUser = role === undefined || role === null ? author === "user" : role === "user";
  const value = { role: isOfUser ? "user" : "model", parts: said };
  return [
    {
      value,
      facts: factsOf(event),
      beside: besideOf({ ...event, actions: filledOf(event["actions"]) }, [value], {
        words: ["content", ...transcriptNames],
      }),
    },
  ];
}

/** The fields of an object that say something: most of those of `actions` are empty. */
function filledOf(value: Value | undefined): Value {
  return Object.fromEntries(Object.entries(isFields(value) ? value : {}).filter(([, field]) => says(field)));
}

/** The words of a spoken conversation. */
function transcriptsIn(event: Fields): readonly Fields[] {
  return transcriptNames.flatMap((name) => {
    const transcript = event[name];
    const text = isFields(transcript) && transcript["finished"] !== false ? textOf(transcript, ["text"]) : undefined;
    return text === undefined ? [] : [{ text }];
  });
}

const transcriptNames = ["inputTranscription", "input_transcription", "outputTranscription", "output_transcription"];

/** Python writes all fields that a part may have, most of them as null. */
export function withoutNulls(part: Fields): Fields {
  return Object.fromEntries(
    Object.entries(part)
      .filter(([, value]) => value !== null)
      .map(([name, value]) => [name, isFields(value) ? withoutNulls(value) : value]),
  );
}
