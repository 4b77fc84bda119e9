/**
 * Sessions of Gemini CLI: one object with its messages, or, since 2026, a header and a line for each message, which later lines
 * change. A checkpoint of a tool call has the contents that the model was shown.
 */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import { sameValue } from "../../../domain/values/same-value.ts";
import { gemini } from "../../../formats/gemini.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, factsOf, textOf } from "../../conversations/about.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { besideOf } from "../../conversations/kept-beside.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { listOf } from "../../conversations/lists.ts";
import { noMessages } from "../../conversations/refusals.ts";
import { messagesOfWritten, withoutLooseResults, type WrittenMessage } from "../../conversations/written-messages.ts";

export const geminiCli: ConversationFormat = {
  name: "gemini-cli",
  title: "a session of Gemini CLI",
  isLog: true,
  kindOf: (document) => {
    if (!isFields(document)) return undefined;
    if (isWhole(document) || isCheckpoint(document)) return "conversation";
    return isHeader(document) || isMessage(document) || isChange(document) ? "entry" : undefined;
  },
  read: (documents) => {
    const [{ value, place }] = documents;
    if (isCheckpoint(value as Fields)) return [checkpointOf(value as Fields, place)];
    const logs: Log[] = [];
    for (const document of documents) {
      const line = document.value as Fields;
      const isNext = logs.length === 0 || ((isHeader(line) || isWhole(line)) && logs.at(-1)!.isAnother(line));
      if (isNext) logs.push(new Log());
      logs.at(-1)!.add(line);
    }
    return logs.map((log) => log.end(place));
  },
};

const types = new Set<unknown>(["user", "gemini", "info", "error", "warning"]);

function isMessage(value: Value): value is Fields {
  if (!isFields(value)) return false;
  const { type, role, content, toolCalls } = value;
  return types.has(type) && role === undefined && (content !== undefined || toolCalls !== undefined);
}

function isHeader({ sessionId, projectHash, startTime, type, role }: Fields): boolean {
  const isTold = typeof projectHash === "string" || typeof startTime === "string";
  return typeof sessionId === "string" && isTold && type === undefined && role === undefined;
}

function isWhole(fields: Fields): boolean {
  const { sessionId, messages } = fields;
  const list = Array.isArray(messages) ? (messages as readonly Value[]) : undefined;
  if (typeof sessionId !== "string" || list === undefined) return false;
  return list.every(isMessage) && (list.length > 0 || isHeader(fields));
}

function isChange({ $set: set, $rewindTo: to }: Fields): boolean {
  return isFields(set) || typeof to === "string";
}

/** A checkpoint has what the window showed in `history`, and what the model was shown in `clientHistory`. */
function isCheckpoint({ clientHistory: list }: Fields): boolean {
  return (
    Array.isArray(list) && (list as readonly Value[]).every((content) => isFields(content) && gemini.fits(content))
  );
}

/** @throws SessionError `message_invalid` for one without messages */
function checkpointOf({ clientHistory, history, toolCall, ...fields }: Fields, place: string): Conversation {
  const written = (clientHistory as readonly Value[]).map((value) => ({ value, facts: {} }));
  if (written.length === 0) throw noMessages(place);
  const about = aboutConversation(fields, []);
  const read = messagesOfWritten(written, { place, format: gemini });
  return {
    ...about,
    ...read,
    leftOut: { "pending call": toolCall === undefined ? 0 : 1, "message of the window": listOf(history).length },
  };
}

/** Reads the lines of one session one after the other. */
class Log {
  #header: Fields = {};
  /** The messages by their ids. A later line with the same id is the message as it is now. */
  #messages = new Map<string, Fields>();
  readonly #leftOut = new LeftOutCounts();

  isAnother({ sessionId }: Fields): boolean {
    return this.#header["sessionId"] !== undefined && this.#header["sessionId"] !== sessionId;
  }

  add(line: Fields): void {
    const { $set: set, $rewindTo: to } = line;
    if (typeof to === "string") this.#rewind(to);
    else if (isFields(set)) this.#set(set);
    else if (isMessage(line)) this.#messages.set(textOf(line, ["id"]) ?? `message-${this.#messages.size}`, line);
    else this.#set(line);
  }

  /** @throws SessionError `message_invalid` for one without messages */
  end(place: string): Conversation {
    const messages = [...this.#messages.values()];
    const said = messages.filter(({ type }) => type === "user" || type === "gemini");
    this.#leftOut.add("notice", messages.length - said.length);
    if (said.length === 0) throw noMessages(place);
    const { summary, memoryScratchpad, ...header } = this.#header;
    this.#leftOut.add("memory scratchpad", isFields(memoryScratchpad) ? 1 : 0);
    const about = aboutConversation(header, ["messages"]);
    const contents = said.flatMap(contentsOf(new Set(), this.#leftOut));
    const read = messagesOfWritten(contents, { place, format: gemini, form: "gemini-cli" });
    const { messages: kept, loose } = withoutLooseResults(read.messages);
    this.#leftOut.add("stray result", loose);
    return {
      ...about,
      ...defined({ title: textOf({ summary: summary ?? "" }, ["summary"]) }),
      metadata: { ...about.metadata, source: "gemini-cli" },
      ...read,
      messages: kept,
      leftOut: this.#leftOut.all,
    };
  }

  #set({ messages, ...fields }: Fields): void {
    this.#header = { ...this.#header, ...fields };
    if (!Array.isArray(messages)) return;
    const before = this.#messages;
    this.#messages = new Map();
    for (const message of this.#leftOut.fieldsIn(messages, "message"))
      if (isMessage(message)) this.add(message);
      else this.#leftOut.addTyped("message", String(message["type"]));
    // The new list replaces all messages.
    const gone = [...before].filter(([id, message]) =>
      textOf(message, ["id"]) === undefined
        ? ![...this.#messages.values()].some((one) => sameValue(one, message))
        : !this.#messages.has(id),
    );
    this.#leftOut.add("withdrawn message", gone.length);
  }

  /**
   * The message with the id is taken back too, and all messages where none has the id: `loadConversationRecord` of Gemini CLI reads
   * its own logs so (https://github.com/google-gemini/gemini-cli, packages/core/src/services/chatRecordingService.ts).
   */
  #rewind(to: string): void {
    const ids = [...this.#messages.keys()];
    const undone = ids.slice(Math.max(ids.indexOf(to), 0));
    for (const id of undone) this.#messages.delete(id);
    this.#leftOut.add("withdrawn message", undone.length);
  }
}

/** A message as contents of Gemini. `answered` are the ids of the calls that have their results. */
function contentsOf(answered: Set<string>, leftOut: LeftOutCounts): (message: Fields) => readonly WrittenMessage[] {
  return (message) => {
    const parts = partsOf(message["content"]);
    if (message["type"] === "user") {
      // A history that was written anew has each result in a message of its own too.
      const own = parts.filter((part) => !answered.has(responseId(part) ?? ""));
      const isRepeated = parts.length > 0 && own.length === 0;
      if (isRepeated) {
        leftOut.add("repeated result");
        return [];
      }
      const value = { role: "user", parts: own };
      return [{ value, facts: factsOf(message), beside: besideOf(message, [value], { words: ["content"] }) }];
    }
    const { thoughts, toolCalls } = message;
    const thought = leftOut.fieldsIn(thoughts, "thought").map(({ subject, description }): Value => {
      const texts = [subject, description].filter((text): text is string => typeof text === "string" && text !== "");
      return { text: texts.join("\n"), thought: true };
    });
    const calls = leftOut.fieldsIn(toolCalls, "call");
    const called = new Set(parts.flatMap((part) => idIn(part, "functionCall") ?? []));
    const others = calls
      .filter(({ id }) => typeof id !== "string" || !called.has(id))
      .map(({ id, name, args }): Value => ({ functionCall: defined({ id, name, args }) as Fields }));
    const results = calls.flatMap(resultsOf);
    const value = { role: "model", parts: [...thought, ...parts, ...others] };
    const beside = besideOf(message, [value, ...results], { words: ["type", "content", "thoughts", "toolCalls"] });
    for (const result of results) answered.add(responseId(result) ?? "");
    return [
      { value, facts: factsOf(message), beside },
      ...(results.length === 0 ? [] : [{ value: { role: "user", parts: results }, facts: {} }]),
    ];
  };
}

/** The result of a call. Pictures stand beside the response, and belong into it. */
function resultsOf({ id, name, result }: Fields): readonly Value[] {
  const parts = partsOf(result);
  if (parts.length === 0) return [];
  const response = parts.find((part) => isFields(part) && isFields(part["functionResponse"]));
  const beside = parts.filter((part) => part !== response);
  const found = isFields(response) ? (response["functionResponse"] as Fields) : {};
  const text = beside.flatMap((part) => (isFields(part) && typeof part["text"] === "string" ? [part["text"]] : []));
  const media = beside.filter((part) => isFields(part) && part["text"] === undefined);
  const { response: given = { output: text.join("\n") }, parts: own = media } = found;
  const named = defined({ id: found["id"] ?? id, name: found["name"] ?? name, response: given }) as Fields;
  return [{ functionResponse: Array.isArray(own) && own.length === 0 ? named : { ...named, parts: own } }];
}

/** The parts of a content: a text, a part, or a list of both. */
function partsOf(content: Value | undefined): readonly Value[] {
  const list = Array.isArray(content) ? (content as readonly Value[]) : [content ?? ""];
  return list.filter((part) => part !== "").map((part) => (typeof part === "string" ? { text: part } : part));
}

function responseId(part: Value): string | undefined {
  return idIn(part, "functionResponse");
}

function idIn(part: Value, name: string): string | undefined {
  const inner = isFields(part) ? part[name] : undefined;
  return isFields(inner) ? textOf(inner, ["id"]) : undefined;
}
