/** Threads, states and checkpoints of LangGraph, whose messages are those of LangChain. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, factsOf, restOf, textOf, timeIn } from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { listOf } from "../../conversations/lists.ts";
import { noMessages } from "../../conversations/refusals.ts";
import { messagesOfWritten } from "../../conversations/written-messages.ts";

export const langgraph: ConversationFormat = {
  name: "langgraph",
  title: "a thread of LangGraph",
  kindOf: (document) => {
    if (!isFields(document) || valuesOf(document) === undefined) return undefined;
    // The states of one thread are its history.
    return isState(document) && threadOf(document) !== undefined ? "entry" : "conversation";
  },
  groupOf: (entry) => threadOf(entry as Fields),
  read: (documents) => {
    const [{ place }] = documents;
    const states = documents.map(({ value }) => value as Fields).toSorted(byAge);
    const last = states.at(-1)!;
    const own = states.filter((state) => namespaceOf(state) === "");
    return [conversationOf(own.at(-1) ?? last, states, place)];
  },
};

/** The values of a state; undefined for another document. */
function valuesOf(fields: Fields): Fields | undefined {
  const { values, checkpoint } = fields;
  const channels = fields["channel_values"] ?? (isFields(checkpoint) ? checkpoint["channel_values"] : undefined);
  const found = isFields(values) ? values : isFields(channels) ? channels : undefined;
  if (found === undefined || Array.isArray(fields["messages"])) return undefined;
  return Array.isArray(found["messages"]) || threadOf(fields) !== undefined ? found : undefined;
}

/** The fields in which a state says of which thread it is. */
function configsOf({ checkpoint, config }: Fields): readonly Fields[] {
  const configurable = isFields(config) && isFields(config["configurable"]) ? config["configurable"] : undefined;
  return [checkpoint, configurable].filter((value) => value !== undefined).filter(isFields);
}

function threadOf(fields: Fields): string | undefined {
  return [fields, ...configsOf(fields)]
    .map((place) => textOf(place, ["thread_id", "threadId"]))
    .find((id) => id !== undefined);
}

/** The state of a graph inside the graph has a namespace. */
function namespaceOf(fields: Fields): string {
  return configsOf(fields).flatMap((config) => textOf(config, ["checkpoint_ns"]) ?? [])[0] ?? "";
}

function isState(fields: Fields): boolean {
  return configsOf(fields).length > 0;
}

function timeOf(state: Fields): number | undefined {
  const { checkpoint } = state;
  return (
    timeIn(state, ["created_at", "createdAt", "ts"]) ?? (isFields(checkpoint) ? timeIn(checkpoint, ["ts"]) : undefined)
  );
}

function messagesIn(state: Fields): readonly Value[] {
  const list = valuesOf(state)?.["messages"];
  return listOf(list);
}

/** The older state first. States without times are ordered by their steps, then by the number of their messages. */
function byAge(one: Fields, other: Fields): number {
  const ages = [one, other].map((state) => {
    const { metadata } = state;
    const step = isFields(metadata) && typeof metadata["step"] === "number" ? metadata["step"] : 0;
    return [timeOf(state) ?? 0, step, messagesIn(state).length];
  });
  const [ofOne, ofOther] = ages as [number[], number[]];
  return ofOne.map((age, index) => age - ofOther[index]!).find((difference) => difference !== 0) ?? 0;
}

/** @throws SessionError `message_invalid` for a state without messages */
function conversationOf(state: Fields, history: readonly Fields[], place: string): Conversation {
  const list = messagesIn(state);
  if (list.length === 0) throw noMessages(place);
  const leftOut = new LeftOutCounts();
  const { messages: _, ...others } = valuesOf(state)!;
  leftOut.add("state value", Object.values(others).filter((value) => value !== null).length);
  leftOut.add("other checkpoint", history.length - 1);
  const { next } = state;
  leftOut.add("pending step", Array.isArray(next) ? next.length : 0);
  leftOut.add("field of the state", unreadFields(state));
  const seen = firstSeen(history);
  const read = messagesOfWritten(
    list.map((value, index) => {
      const said = isFields(value) ? factsOf(value) : {};
      return { value, facts: { ...defined({ at: seen.get(keyOf(value, index)) }), ...said } };
    }),
    { place },
  );
  const times = history.flatMap((one) => timeOf(one) ?? []);
  const { metadata } = state;
  const about = aboutConversation(
    isFields(metadata) ? { metadata: isState(state) ? ofGraph(metadata) : metadata } : {},
    [],
  );
  return {
    ...about,
    ...defined({
      id: threadOf(state),
      createdAt: times.length === 0 ? undefined : Math.min(...times),
      updatedAt: timeIn(state, ["updated_at", "updatedAt"]) ?? times.at(-1),
    }),
    metadata: { ...about.metadata, source: "langgraph" },
    ...read,
    leftOut: leftOut.all,
  };
}

/** The fields of a state that are read. */
const readNames = [
  "values",
  "channel_values",
  "next",
  "thread_id",
  "threadId",
  "checkpoint",
  "created_at",
  "createdAt",
  "ts",
  "updated_at",
  "updatedAt",
];

/** How many fields of a state are not read: they change while its thread goes on. */
function unreadFields(state: Fields): number {
  const { metadata, checkpoint, config } = state;
  const inner = [metadata, checkpoint, config].map((one) => (isFields(one ?? null) ? (one as Fields) : {}));
  const [about, point, around] = inner as [Fields, Fields, Fields];
  const configurable = isFields(around["configurable"]) ? around["configurable"] : {};
  return [
    restOf(state, [...readNames, "metadata", "config"]),
    isState(state) ? restOf(about, Object.keys(ofGraph(about))) : undefined,
    restOf(point, readNames),
    restOf(around, ["configurable"]),
    restOf(configurable, readNames),
  ].reduce((count, rest) => count + Object.keys(rest ?? {}).length, 0);
}

/** Of the metadata of a state, those that stay while its thread goes on. */
function ofGraph({ graph_id, assistant_id }: Fields): Fields {
  return defined({ graph_id, assistant_id });
}

/** Messages have no times: the time of each is that of the first state that has it. */
function firstSeen(history: readonly Fields[]): ReadonlyMap<string, number> {
  const seen = new Map<string, number>();
  for (const state of history) {
    const at = timeOf(state);
    if (at === undefined) continue;
    for (const [index, message] of messagesIn(state).entries()) {
      const key = keyOf(message, index);
      if (!seen.has(key)) seen.set(key, at);
    }
  }
  return seen;
}

/** The id of a message, else its place. */
function keyOf(message: Value, index: number): string {
  const data = isFields(message) ? (message["data"] ?? message["kwargs"]) : undefined;
  const id = isFields(message)
    ? (textOf(message, ["id"]) ?? (isFields(data) ? textOf(data, ["id"]) : undefined))
    : undefined;
  return id ?? `${index}`;
}
