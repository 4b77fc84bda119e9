/** Data exports of ChatGPT: `conversations.json`, whose conversations are trees of messages. */
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import type { Message } from "../../../domain/turns/turn.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversation, MessageFacts } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, textOf, timeIn } from "../../conversations/about.ts";
import { conversationsOfTree } from "../../conversations/branched.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { besideOf, withBeside } from "../../conversations/kept-beside.ts";
import { LeftOutCounts } from "../../conversations/left-out.ts";
import { fieldsIn, textsOf } from "../../conversations/lists.ts";
import { noMessages } from "../../conversations/refusals.ts";

export const chatgpt: ConversationFormat = {
  name: "chatgpt",
  title: "an export of ChatGPT",
  kindOf: (document) =>
    isFields(document) && (isFields(document["mapping"]) || isWithoutMapping(document)) ? "conversation" : undefined,
  read: ([{ value, place }], options) => {
    const fields = value as Fields;
    const { mapping, current_node: current } = fields;
    const nodes = Object.entries(isFields(mapping) ? mapping : {}).map(([id, given]) => {
      const node = isFields(given) ? given : {};
      const message = isFields(node["message"]) ? node["message"] : undefined;
      return { id, node, message, beside: besideNode(id, isFields(given) ? given : { node: given }) };
    });
    const messages = new Map(
      nodes.flatMap((node) => (node.message === undefined && node.beside === undefined ? [] : [[node.id, node]])),
    );
    const tree = {
      nodes: nodes.map(({ id, node, message }) => ({
        id,
        parent: typeof node["parent"] === "string" ? node["parent"] : undefined,
        at: message && timeIn(message),
        children: textsOf(node["children"]),
      })),
      current: typeof current === "string" ? current : undefined,
      read: (ids: readonly string[]) =>
        conversationOf(
          fields,
          ids.flatMap((id) => messages.get(id) ?? []),
          place,
        ),
    };
    return conversationsOfTree(tree, options);
  },
};

/** Exports have entries of conversations without any message. */
function isWithoutMapping({ conversation_id: id, title, ...others }: Fields): boolean {
  const isOther = ["role", "type", "content", "messages", "conversations"].some((name) => Object.hasOwn(others, name));
  return typeof id === "string" && title !== undefined && !isOther;
}

interface NodeMessage {
  readonly id: string;
  readonly message: Fields | undefined;
  /** What the node has beside its message and its place in the tree. */
  readonly beside: Fields | undefined;
}

/** The id of a node is that of its message, too. */
function besideNode(id: string, node: Fields): Fields | undefined {
  const { message } = node;
  const own = isFields(message) ? message["id"] : undefined;
  const placed = ["message", "parent", "children", ...(node["id"] === (own ?? id) ? ["id"] : [])];
  return besideOf(isFields(message) && message["id"] === undefined ? { ...node, id } : node, [], { placed });
}

/** @throws SessionError `message_invalid` for one without messages */
function conversationOf(fields: Fields, path: readonly NodeMessage[], place: string): Conversation {
  // An export has the id twice.
  const { conversation_id: id = fields["id"], id: other = id, ...named } = fields;
  const about = aboutConversation(defined({ ...named, conversation_id: id }), ["mapping", "current_node"]);
  const reading = new Reading();
  for (const one of path) reading.add(one);
  const { messages, facts, leftOut, aside } = reading.end();
  if (messages.length === 0) throw noMessages(place);
  return {
    ...about,
    metadata: defined({ ...about.metadata, id: other === id ? undefined : other, source: "chatgpt" }),
    messages,
    facts,
    leftOut,
    aside,
  };
}

/** The kinds of contents that a model has thought, for no reader of its answer. */
const thoughts = new Set<unknown>(["thoughts", "reasoning_recap"]);

/** Reads the messages of a branch one after the other. */
class Reading {
  readonly #messages: Message[] = [];
  readonly #facts = new Map<Message, MessageFacts>();
  readonly #leftOut = new LeftOutCounts();
  /** The ids of calls without a result, by the name of their tool. */
  readonly #open: { readonly id: string; readonly name: string }[] = [];
  #beside: Fields[] = [];
  /** The last message, beside which the fields behind it are kept too. */
  #last: { readonly message: Message; readonly facts: MessageFacts; readonly beside: Fields[] } | undefined;
  #aside = 0;

  add({ id, message, beside }: NodeMessage): void {
    if (beside !== undefined) this.#keepBeside({ node: beside });
    if (message === undefined) return;
    const { author, content, recipient = "all", metadata } = message;
    if (!isFields(author) || !isFields(content)) {
      this.#keepBeside(message);
      return;
    }
    const { role } = author;
    const { content_type: type } = content;
    const isHidden = isFields(metadata) && metadata["is_visually_hidden_from_conversation"] === true;
    if (type === "user_editable_context" || type === "model_editable_context") this.#instructions(message, content);
    else if (thoughts.has(type)) this.#keepBeside(message);
    else if (isHidden || role === "system") this.#system(message, content);
    else if (role === "tool") this.#result(message, content, textOf(author, ["name"]) ?? "tool");
    else if (role === "assistant" && typeof recipient === "string" && recipient !== "all")
      this.#call(message, { id, name: recipient, content });
    else if (role === "user" || role === "assistant") this.#said(role, message, content);
    else this.#leftOut.add("message of an unknown role");
  }

  end(): Required<Pick<Conversation, "messages" | "facts" | "leftOut" | "aside">> {
    this.#last?.beside.push(...this.#beside);
    this.#writeLast();
    return {
      messages: this.#messages,
      facts: this.#facts,
      leftOut: this.#leftOut.all,
      aside: this.#aside,
    };
  }

  #instructions(message: Fields, content: Fields): void {
    const texts = ["user_profile", "user_instructions"].flatMap((name) => textOf(content, [name]) ?? []);
    this.#tell(message, texts.join("\n\n"));
  }

  #system(message: Fields, content: Fields): void {
    const text = textsIn(content).join("\n\n");
    if (text === "" || (message["author"] as Fields)["role"] === "system") this.#tell(message, text);
    else this.#leftOut.add("hidden message");
  }

  /** Instructions are stored as their text alone: their other fields are kept beside the message that follows. */
  #tell(message: Fields, text: string): void {
    if (text !== "") this.#write({ role: "system", content: text });
    this.#keepRest(message, [text]);
  }

  #said(role: "user" | "assistant", message: Fields, content: Fields): void {
    const parts = partsIn(content).map(spokenText);
    const texts = parts.filter((part) => typeof part === "string");
    const pictures = parts.filter(isFields);
    this.#countAttachments(message, pictures);
    if (parts.length === 0) {
      this.#leftOut.add("empty message");
      this.#keepBeside(message);
      return;
    }
    for (const picture of pictures) this.#count(picture);
    const words = parts.map((part) => ({ type: "text", text: isFields(part) ? referenceTo(part) : (part as string) }));
    this.#put({ role, content: pictures.length === 0 ? texts.join("\n\n") : words }, message);
  }

  /** Counts a part that is no text: a picture, another file, or a content of an unknown type. */
  #count(part: Fields): void {
    const { content_type: type } = part;
    const isFile = typeof type !== "string" || /_asset_pointer$|^(?:audio|video)_/.test(type);
    if (isPicture(part)) this.#leftOut.add("picture");
    else if (isFile) this.#leftOut.add("attachment");
    else this.#leftOut.addTyped("content", type);
  }

  /** The files of a message are beside its content, pictures are parts of it too. The export has their names only. */
  #countAttachments({ metadata }: Fields, pictures: readonly Fields[]): void {
    const pointers = pictures.map((picture) => textOf(picture, ["asset_pointer"]) ?? "");
    const others = fieldsIn(isFields(metadata) ? metadata["attachments"] : undefined).filter((attachment) => {
      const id = textOf(attachment, ["id"]);
      return id === undefined || !pointers.some((pointer) => pointer.endsWith(id));
    });
    this.#leftOut.add("attachment", others.length);
  }

  #call(
    message: Fields,
    { id, name, content }: { readonly id: string; readonly name: string; readonly content: Fields },
  ): void {
    this.#open.push({ id, name });
    const called = { id, type: "function", function: { name, arguments: textsIn(content).join("\n") } } as const;
    this.#put({ role: "assistant", content: null, tool_calls: [called] }, message);
  }

  /** The result of the last call of the tool that has none. */
  #result(message: Fields, content: Fields, name: string): void {
    const named = this.#open.findLastIndex((call) => call.name === name || name.startsWith(`${call.name}.`));
    const [call] = this.#open.splice(named < 0 ? this.#open.length - 1 : named, 1);
    if (call === undefined) {
      this.#keepBeside(message);
      return;
    }
    for (const part of partsIn(content).filter(isFields)) this.#count(part);
    const text = partsIn(content).map((part) => (isFields(part) ? referenceTo(part) : (part as string)));
    this.#put({ role: "tool", tool_call_id: call.id, content: text.join("\n\n") }, message);
  }

  #put(message: Message, source: Fields): void {
    this.#keepRest(source, [message]);
    this.#write(message, factsOf(source), this.#beside);
    this.#beside = [];
  }

  #write(message: Message, facts: MessageFacts = {}, beside: Fields[] = []): void {
    this.#writeLast();
    this.#last = { message, facts, beside };
  }

  #writeLast(): void {
    if (this.#last === undefined) return;
    const { message, facts, beside } = this.#last;
    const whole = withBeside(message, "chatgpt", beside);
    this.#messages.push(whole);
    this.#facts.set(whole, facts);
  }

  #keepRest(message: Fields, stored: readonly Value[]): void {
    const rest = besideOf(message, stored, { words: ["author", "content"] });
    if (rest !== undefined) this.#keepBeside(rest);
  }

  #keepBeside(message: Fields): void {
    this.#beside.push(message);
    this.#aside++;
  }
}

function factsOf(message: Fields): MessageFacts {
  const { metadata } = message;
  const model = isFields(metadata) ? textOf(metadata, ["model_slug"]) : undefined;
  return defined({
    at: timeIn(message),
    model: (message["author"] as Fields)["role"] === "assistant" ? model : undefined,
  });
}

/** Texts, and parts that are objects, such as pictures of which the export has the names only. */
function partsIn(content: Fields): readonly Value[] {
  const { parts, text, result } = content;
  const list = Array.isArray(parts) ? (parts as readonly Value[]) : [text ?? result ?? contentOf(content)];
  return list.filter((part) => isFields(part) || (typeof part === "string" && part !== ""));
}

/** The content itself, where its kind has no text. */
function contentOf({ content_type: type, ...content }: Fields): Value {
  return Object.keys(content).length === 0 ? "" : { content_type: type ?? "unknown", ...content };
}

/** The words that were spoken, in place of a part that is what was heard. */
function spokenText(part: Value): Value {
  const isSpoken = isFields(part) && part["content_type"] === "audio_transcription";
  return (isSpoken ? textOf(part, ["text"]) : undefined) ?? part;
}

function textsIn(content: Fields): readonly string[] {
  return partsIn(content).filter((part): part is string => typeof part === "string");
}

function isPicture({ content_type: type }: Fields): boolean {
  return type === "image_asset_pointer";
}

/** The name of a thing that the export does not have. */
function referenceTo(part: Fields): string {
  const kind = isPicture(part) ? "image" : (textOf(part, ["content_type"]) ?? "attachment").replaceAll("_", " ");
  const name = textOf(part, ["asset_pointer", "name", "title"]);
  return name === undefined ? `[${kind}]` : `[${kind} ${name}]`;
}
