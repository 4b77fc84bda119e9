/**
 * Threads of OpenAI's Assistants: messages, with the runs and the steps of runs where the file has them. Lists of the API begin
 * with the newest.
 */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Message } from "../../../domain/turns/turn.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversation, MessageFacts } from "../../../sessions/transfer/conversation.ts";
import {
  aboutConversation,
  hasOwnId,
  restOf,
  textOf,
  timeIn,
  usageOf,
  withoutClash,
} from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { besideOf, withBeside } from "../../conversations/kept-beside.ts";
import { LeftOutCounts, pagesBehind } from "../../conversations/left-out.ts";
import { listOf } from "../../conversations/lists.ts";
import { noConversationName, noMessages } from "../../conversations/refusals.ts";
import { inTimeOrder } from "../../conversations/time-order.ts";

export const assistants: ConversationFormat = {
  name: "assistants",
  title: "a thread of OpenAI's Assistants",
  kindOf: (document) => {
    if (isEntry(document)) return "entry";
    return isFields(document) && listIn(document) !== undefined ? "conversation" : undefined;
  },
  groupOf: (entry) => textOf(entry as Fields, ["thread_id"]),
  read: (documents) => {
    const [{ value, place }] = documents;
    const list = listIn(value as Fields);
    const entries = list ?? documents.map((document) => document.value as Fields);
    if (list === undefined) return [conversationOf({}, entries, place)];
    const around = value as Fields;
    const threads = Map.groupBy(entries, ({ thread_id: id }) => id);
    const isOne = threads.size < 2 || hasOwnId(around) || isFields(around["thread"]);
    if (isOne) return [conversationOf(around, entries, place)];
    return [...threads].map(([id, own]) => {
      if (typeof id === "string") return conversationOf(around, own, place);
      throw noConversationName(place);
    });
  },
};

const objects = new Set<unknown>(["thread.message", "thread.run", "thread.run.step"]);

function isEntry(value: Value): value is Fields {
  return isFields(value) && (objects.has(value["object"]) || isMessage(value));
}

/** A message whose texts are objects: `{type: "text", text: {value}}`. */
function isMessage({ role, content }: Fields): boolean {
  const parts = listOf(content);
  return typeof role === "string" && parts.some((part) => isFields(part) && isFields(part["text"]));
}

/** The messages of a thread that are in the same document, or a list of the API; undefined for another document. */
function listIn(fields: Fields): readonly Fields[] | undefined {
  const { messages, data, object } = fields;
  const list = isFields(messages) ? messages["data"] : (messages ?? (object === "list" ? data : undefined));
  if (!Array.isArray(list)) return undefined;
  const isThread = object === "thread" || list.length > 0;
  return isThread && (list as readonly Value[]).every(isEntry) ? (list as readonly Fields[]) : undefined;
}

/** Fields that say nothing of the thread. */
const aroundNames = ["messages", "data", "object", "first_id", "last_id", "has_more"];

/** @throws SessionError `message_invalid` for a thread without messages */
function conversationOf(thread: Fields, entries: readonly Fields[], place: string): Conversation {
  const reading = new Reading(entries.filter(({ object }) => object === "thread.run"));
  const said = entries.filter(({ object }) => object !== "thread.run");
  for (const entry of inTimeOrder(said, (one) => timeIn(one))) reading.add(entry);
  const { messages, ...read } = reading.end();
  if (messages.length === 0) throw noMessages(place);
  const { thread: inner, ...fields } = thread;
  const outer = restOf(fields, aroundNames) ?? {};
  const about = aboutConversation(isFields(inner) ? withoutClash(outer, inner) : thread, aroundNames);
  const id = about.id ?? entries.map((entry) => textOf(entry, ["thread_id"])).find((one) => one !== undefined);
  const assistant = entries.map((entry) => textOf(entry, ["assistant_id"])).find((one) => one !== undefined);
  return {
    ...about,
    ...defined({ id }),
    metadata: defined({ assistant_id: assistant, ...about.metadata, source: "assistants" }),
    messages,
    ...read,
    leftOut: { ...read.leftOut, ...pagesBehind(thread, thread["messages"]) },
  };
}

/** Reads messages and steps of runs one after the other. */
class Reading {
  readonly #runs: ReadonlyMap<string | undefined, Fields>;
  readonly #used = new Set<string>();
  readonly #said: { readonly message: Message; readonly facts: MessageFacts; readonly beside: readonly Fields[] }[] =
    [];
  readonly #leftOut = new LeftOutCounts();
  /** Steps without calls, which are kept beside the message that follows, or the last one. */
  #waiting: Fields[] = [];
  /** Those of the first run that has some. */
  readonly #instructions: readonly string[];

  constructor(runs: readonly Fields[]) {
    this.#runs = new Map(runs.map((run) => [textOf(run, ["id"]), run]));
    this.#instructions = runs.flatMap((run) => textOf(run, ["instructions"]) ?? []).slice(0, 1);
  }

  add(entry: Fields): void {
    if (entry["object"] === "thread.run.step") this.#step(entry);
    else this.#message(entry);
  }

  end(): Required<Pick<Conversation, "messages" | "facts" | "leftOut" | "aside">> {
    this.#leftOut.add("run without an answer", this.#runs.size - this.#used.size);
    const last = this.#said.findLastIndex(({ message }) => message.role !== "tool");
    const facts = new Map<Message, MessageFacts>();
    let aside = 0;
    const said = this.#said.map(({ message, facts: known, beside }, index) => {
      const all = index === last ? [...beside, ...this.#waiting] : beside;
      const whole = withBeside(message, "assistants", all);
      aside += all.length;
      facts.set(whole, known);
      return whole;
    });
    const instructions = this.#instructions.map((content): Message => ({ role: "system", content }));
    return { messages: said.length === 0 ? [] : [...instructions, ...said], facts, leftOut: this.#leftOut.all, aside };
  }

  #message(entry: Fields): void {
    const { role, content, attachments } = entry;
    const parts = this.#leftOut.fieldsIn(content, "part");
    const read = parts.map((part) => this.#part(part));
    this.#leftOut.add("attachment", listOf(attachments).length);
    const texts = read.flatMap((part) => (part["type"] === "text" ? [part["text"] as string] : []));
    const whole = texts.length === read.length ? texts.join("\n\n") : read;
    const message: Message = { role: role === "assistant" ? "assistant" : "user", content: whole };
    this.#put(message, entry, [message]);
  }

  /** A part as one of chat completions. Of a file of OpenAI the export has the id only. */
  #part(part: Fields): Fields {
    const { type, text, image_file: file } = part;
    if (type === "text") return { type, text: isFields(text) ? (text["value"] ?? "") : (text ?? "") };
    if (type === "refusal") return { type: "text", text: part["refusal"] ?? "" };
    if (type !== "image_file" || !isFields(file)) return part;
    this.#leftOut.add("picture");
    return { type: "text", text: `[image ${textOf(file, ["file_id"]) ?? ""}]` };
  }

  /** The calls of a step, each with its output. The message that a step wrote is in the list of messages. */
  #step(entry: Fields): void {
    const { step_details: details } = entry;
    const calls = isFields(details) ? details["tool_calls"] : [];
    const read = this.#leftOut.fieldsIn(calls, "call").flatMap(callIn);
    if (read.length === 0) {
      this.#waiting.push(entry);
      return;
    }
    const called: Message = { role: "assistant", content: null, tool_calls: read.map(({ call }) => call) };
    const results = read.flatMap(({ call, output }): readonly Message[] =>
      output === undefined ? [] : [{ role: "tool", tool_call_id: call.id, content: output }],
    );
    this.#put(called, entry, [called, ...results]);
    this.#said.push(...results.map((message) => ({ message, facts: {}, beside: [] })));
  }

  /** The first message of a run has its model and its tokens, and the other fields of the run beside it. */
  #put(message: Message, entry: Fields, said: readonly Message[]): void {
    const runId = textOf(entry, ["run_id"]);
    const run =
      message.role === "assistant" && runId !== undefined && !this.#used.has(runId) ? this.#runs.get(runId) : undefined;
    if (run !== undefined) this.#used.add(runId!);
    const rest = besideOf(entry, said, { placed: ["object"], words: ["role", "content", "step_details"] });
    const ofRun = run && besideOf(run, this.#instructions, { placed: ["object"], words: ["instructions"] });
    const beside = [...this.#waiting, rest, ofRun && { run: ofRun }].filter((one) => one !== undefined);
    this.#waiting = [];
    const facts = defined({ at: timeIn(entry), usage: usageOf(run?.["usage"]), model: run && textOf(run, ["model"]) });
    this.#said.push({ message, facts, beside });
  }
}

/** A call of a function, or of a tool of OpenAI, which has its output in its own field. */
function callIn(
  call: Fields,
): readonly { call: NonNullable<Message["tool_calls"]>[number]; output: string | undefined }[] {
  const { type } = call;
  const own = typeof type === "string" ? call[type] : undefined;
  const id = textOf(call, ["id"]);
  if (!isFields(own) || id === undefined) return [];
  if (type === "function") {
    const { name = "function", arguments: given = "{}", output } = own as Readonly<Record<string, string | null>>;
    return [{ call: { id, type, function: { name: name!, arguments: given! } }, output: output ?? undefined }];
  }
  const { input, outputs, results = outputs, ...others } = own;
  const given = typeof input === "string" ? input : JSON.stringify(others);
  return [
    {
      call: { id, type: "function", function: { name: type as string, arguments: given } },
      output: results === undefined || results === null ? undefined : JSON.stringify(results),
    },
  ];
}
