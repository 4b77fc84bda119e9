/**
 * Rollouts of Codex: a file of lines for each session. A line is `{timestamp, type, payload}`, and the payloads of
 * `response_item` are items of OpenAI's Responses. In the older form the items stand by themselves behind a header.
 */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import { textOf as textIn } from "../../../domain/turns/message-steps.ts";
import { defined } from "../../../domain/values/defined.ts";
import { sameValue } from "../../../domain/values/same-value.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { isUnknownItem, openaiResponses } from "../../../formats/openai-items.ts";
import { isMessageOf } from "../../../formats/registry.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, restOf, says, timeIn, usageOf } from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { instantOf } from "../../conversations/instants.ts";
import { besideOf } from "../../conversations/kept-beside.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { fieldsIn, listOf } from "../../conversations/lists.ts";
import { noMessages } from "../../conversations/refusals.ts";
import { messagesOfWritten, withoutLooseResults, type WrittenMessage } from "../../conversations/written-messages.ts";

export const codex: ConversationFormat = {
  name: "codex",
  title: "a session of Codex",
  isLog: true,
  kindOf: (document) => {
    if (!isFields(document)) return undefined;
    const isOne = isLine(document) || isHeader(document) || isState(document) || isMessageOf(openaiResponses, document);
    return isOne ? "entry" : undefined;
  },
  read: (documents) => {
    const [{ place }] = documents;
    const rollouts: Rollout[] = [];
    for (const { value } of documents) {
      const line = value as Fields;
      const { type, payload } = line;
      const header = isHeader(line) ? line : type === "session_meta" && isFields(payload) ? payload : undefined;
      const last = rollouts.at(-1);
      // A fork begins with its own header and that of the session that it continues.
      const isNext = last === undefined || (header !== undefined && last.isAnother(header));
      const rollout = isNext ? new Rollout() : last;
      if (isNext) rollouts.push(rollout);
      if (header !== undefined) rollout.begin(header, line);
      else rollout.add(line);
    }
    return rollouts.map((rollout) => rollout.end(place));
  },
};

const lineTypes = new Set<unknown>(["session_meta", "response_item", "event_msg", "turn_context", "compacted"]);

/** A line of the newer form. Copies of a log may lack the times. */
function isLine({ type, payload, timestamp }: Fields): boolean {
  const isKnown = typeof timestamp === "string" || lineTypes.has(type);
  return typeof type === "string" && isFields(payload) && isKnown;
}

/** The first line of the older form. */
function isHeader({ id, timestamp, instructions, type, role }: Fields): boolean {
  const isText = typeof instructions === "string" || instructions === null;
  return typeof id === "string" && typeof timestamp === "string" && isText && type === undefined && role === undefined;
}

/** A line of the older form that says nothing. */
function isState({ record_type: type }: Fields): boolean {
  return type === "state";
}

/** What Codex tells the model before the words of the user. */
const contexts = /^\s*(?:<environment_context>|<user_instructions>|# AGENTS\.md instructions )/;

/** Reads the lines of one session one after the other. */
class Rollout {
  #header: Fields | undefined;
  #written: WrittenMessage[] = [];
  readonly #leftOut = new LeftOutCounts();
  #model: string | undefined;
  #begunAt: number | undefined;
  #total: Value | undefined;
  /** The last context of a turn. */
  #context: Fields = {};
  /** What is kept beside the next item. */
  #beside: Fields = {};
  /** Questions that only events have, so far. */
  #asked: WrittenMessage[] = [];
  /** Answers that only events have, so far. */
  readonly #told = new Set<WrittenMessage>();
  /** The items whose event was read. */
  readonly #repeated = new Set<Value>();
  /** The reasoning of events by its text, and the texts of the items. */
  readonly #reasoning: { readonly type: string; readonly text: string }[] = [];
  readonly #reasoned = new Set<string>();

  isAnother({ id }: Fields): boolean {
    return this.#written.length > 0 && this.#header?.["id"] !== id;
  }

  begin(header: Fields, line: Fields): void {
    // A fork has the header of the session that it continues, too.
    this.#leftOut.add("other header", this.#header === undefined ? 0 : 1);
    this.#header ??= header;
    this.#begunAt ??= timeIn(header) ?? timeIn(line);
  }

  add(line: Fields): void {
    const { type, payload } = line;
    if (!isFields(payload) || !isLine(line)) {
      if (!isState(line)) this.#item(line, {});
    } else if (type === "response_item") this.#item(payload, line);
    else if (type === "event_msg") this.#event(payload, timeIn(line));
    else if (type === "turn_context") this.#turn(payload);
    else if (type === "compacted") this.#leftOut.add("compaction summary");
    else this.#leftOut.addLine(line);
  }

  /** Each turn has its context whole: what has changed since the last one is kept beside its first item. */
  #turn(context: Fields): void {
    const changed = Object.entries(context).filter(([name, value]) => !sameValue(value, this.#context[name]));
    this.#context = context;
    this.#model = typeof context["model"] === "string" ? context["model"] : undefined;
    if (changed.length > 0) this.#beside = { ...this.#beside, turn_context: Object.fromEntries(changed) };
  }

  /** @throws SessionError `message_invalid` for a session without messages */
  end(place: string): Conversation {
    this.#ask();
    if (this.#written.length === 0) throw noMessages(place);
    const { instructions, base_instructions: base, dynamic_tools: tools, source, ...header } = this.#header ?? {};
    if (Array.isArray(tools)) this.#leftOut.add("tool definition", tools.length);
    for (const { type, text } of this.#reasoning) if (!this.#reasoned.has(text)) this.#leftOut.addTyped("event", type);
    this.#leftOut.add("turn context", Object.keys(this.#beside).length);
    const told = textIn(isFields(base) ? (base["text"] ?? null) : (instructions ?? null));
    const rest = besideOf({ base_instructions: base ?? null, instructions: instructions ?? null }, [told], {
      words: ["base_instructions", "instructions"],
    });
    const about = aboutConversation({ ...header, ...rest }, []);
    const read = messagesOfWritten(this.#written, {
      place,
      format: openaiResponses,
      instructions: told,
      form: "codex",
    });
    const { messages, loose } = withoutLooseResults(read.messages);
    this.#leftOut.add("stray result", loose);
    return {
      ...about,
      ...defined({ createdAt: about.createdAt ?? this.#begunAt }),
      metadata: defined({ ...about.metadata, sessionSource: source, source: "codex" }),
      ...read,
      messages,
      leftOut: this.#leftOut.all,
    };
  }

  #item(item: Fields, { timestamp = null, ...line }: Fields): void {
    if (!isMessageOf(openaiResponses, item) || isUnknownItem({ format: openaiResponses, value: item })) {
      this.#leftOut.addLine(item);
      return;
    }
    const isContext = item["role"] === "user" && contexts.test(textIn(item["content"]));
    if (item["role"] === "user" && !isContext) this.#repeatAsked(item);
    else if (isOfModel(item)) this.#ask();
    if (item["type"] === "reasoning") for (const text of textsOf(item)) this.#reasoned.add(text);
    const told = isAnswer(item) ? this.#repeatTold(item) : undefined;
    // The items of the older form have no times.
    const time = instantOf(timestamp) ?? (this.#written.length === 0 ? this.#begunAt : undefined);
    const beside = { ...told?.beside, ...this.#beside, ...restOf({ timestamp, ...line }, ["type", "payload"]) };
    this.#beside = {};
    this.#written.push({
      value: isContext ? { ...item, role: "developer" } : item,
      facts: defined({ ...told?.facts, at: time, model: isOfModel(item) ? this.#model : undefined }),
      beside: says(beside) ? beside : undefined,
    });
  }

  /** Many events repeat what the items say. Words that no item has become messages; the others are counted. */
  #event(event: Fields, at: number | undefined): void {
    const { type, info, message, text, num_turns: turns } = event;
    if (typeof type === "string" && !repeatingEvents.has(type)) this.#leftOut.addTyped("event", type);
    if (type === "user_message" && isText(message)) this.#hearAsked(message, at);
    else if (type === "agent_message" && isText(message)) this.#hearTold(message, at);
    else if (typeof type === "string" && type.startsWith("agent_reasoning") && repeatingEvents.has(type)) {
      if (isText(text)) this.#reasoning.push({ type, text: text.trim() });
    } else if (type === "thread_rolled_back" && typeof turns === "number") this.#rollBack(turns);
    else if (type === "token_count" && restOf(event, ["type"]) !== undefined) {
      if (!isFields(info) || !this.#count(event, info)) this.#leftOut.addTyped("event", type);
    }
  }

  /** The event of a question follows its item, or precedes it. */
  #hearAsked(message: string, at: number | undefined): void {
    const last = this.#written.at(-1)?.value as Fields | undefined;
    if (this.#asked.length === 0 && last?.["role"] === "user" && !this.#repeated.has(last)) {
      this.#repeated.add(last);
      return;
    }
    const value = { type: "message", role: "user", content: message };
    this.#asked.push({ value, facts: defined({ at }) });
  }

  /** The item of a question replaces its event: the one with its words, else the last one. */
  #repeatAsked(item: Fields): void {
    if (this.#asked.length === 0) return;
    const texts = textsOf(item);
    const same = this.#asked.findIndex(({ value }) => {
      const { content } = value as Fields;
      return typeof content === "string" && texts.includes(content.trim());
    });
    const later = this.#asked.splice(same < 0 ? this.#asked.length : same + 1);
    this.#asked.pop();
    this.#ask();
    this.#asked = later;
    this.#repeated.add(item);
  }

  #ask(): void {
    for (const asked of this.#asked) {
      this.#written.push(asked);
      this.#repeated.add(asked.value);
    }
    this.#asked = [];
  }

  /** The event of an answer stands for it, unless an item of the turn has its words. */
  #hearTold(message: string, at: number | undefined): void {
    this.#ask();
    const same = this.#said.find(
      ({ value }) =>
        isAnswer(value as Fields) && !this.#repeated.has(value) && textsOf(value as Fields).includes(message.trim()),
    );
    if (same !== undefined) {
      this.#repeated.add(same.value);
      return;
    }
    const told = {
      value: { type: "message", role: "assistant", content: [{ type: "output_text", text: message }] },
      facts: defined({ at, model: this.#model }),
    };
    this.#written.push(told);
    this.#told.add(told);
    this.#repeated.add(told.value);
  }

  /** Takes the event of an answer away, whose item was read. */
  #repeatTold(item: Fields): WrittenMessage | undefined {
    const texts = textsOf(item);
    const told = this.#said.find(
      (one) => this.#told.has(one) && textsOf(one.value as Fields).some((text) => texts.includes(text)),
    );
    if (told === undefined) return undefined;
    this.#written = this.#written.filter((one) => one !== told);
    this.#repeated.add(item);
    return told;
  }

  /** The messages since the last question. */
  get #said(): readonly WrittenMessage[] {
    return this.#written.slice(this.#written.findLastIndex(({ value }) => (value as Fields)["role"] === "user") + 1);
  }

  #rollBack(turns: number): void {
    this.#ask();
    const questions = this.#written.flatMap(({ value }, index) =>
      (value as Fields)["role"] === "user" ? [index] : [],
    );
    const undone = questions.slice(-Math.max(turns, 1));
    this.#written = this.#written.slice(0, undone[0]);
    this.#leftOut.add("withdrawn turn", undone.length);
  }

  /** The tokens of the last model call. An event with the same total repeats the one before it. */
  #count({ type: _, ...event }: Fields, { total_token_usage: total, last_token_usage: last }: Fields): boolean {
    const usage = usageOf(last);
    const isRepeated = total !== undefined && this.#total !== undefined && sameValue(total, this.#total);
    this.#total = total;
    if (usage === undefined || isRepeated) return isRepeated;
    const index = this.#written.findLastIndex(
      ({ value, facts }) => facts.usage === undefined && isOfModel(value as Fields),
    );
    const written = this.#written[index];
    if (written === undefined) return false;
    const beside = { ...written.beside, token_count: event };
    this.#written[index] = { ...written, beside, facts: { ...written.facts, usage } };
    return true;
  }
}

/** Events that say what an item, or the report, says too. */
const repeatingEvents = new Set([
  "user_message",
  "agent_message",
  "agent_reasoning",
  "agent_reasoning_raw_content",
  "token_count",
  "thread_rolled_back",
]);

function isText(value: Value | undefined): value is string {
  return typeof value === "string" && value !== "";
}

function isAnswer({ role, type = "message" }: Fields): boolean {
  return role === "assistant" && type === "message";
}

/** The texts of an item: of each part, and the whole. */
function textsOf({ content = null, summary = null }: Fields): readonly string[] {
  const parts = [...listOf(content), ...listOf(summary)].map((part) => textIn([part]));
  const texts = [textIn(content), ...parts, ...fieldsIn(summary).map(({ text = null }) => textIn(text))];
  return texts.map((text) => text.trim()).filter((text) => text !== "");
}

/** True for an item that a model wrote. */
function isOfModel({ role = "assistant", type }: Fields): boolean {
  return role === "assistant" && !(typeof type === "string" && type.endsWith("_output"));
}
