/**
 * Logs of calls of a model: requests with their responses, of OpenAI, Anthropic and Gemini, and the files of their batches. A
 * request has the whole conversation so far, or it names the response or the conversation that it continues. So calls are a tree,
 * and its leaves are conversations. The calls of a batch are conversations of their own.
 */
import { createHash } from "node:crypto";
import { isFields, type Fields } from "../../../domain/turns/known-parts.ts";
import { textOf as textIn } from "../../../domain/turns/message-steps.ts";
import type { Value } from "../../../domain/values/codec.ts";
import { defined } from "../../../domain/values/defined.ts";
import type { Conversation } from "../../../sessions/transfer/conversation.ts";
import { aboutConversation, groupOf, userOf } from "../../conversations/about.ts";
import { conversationsOfTree } from "../../conversations/branched.ts";
import type { ConversationFormat } from "../../conversations/conversation-format.ts";
import { noMessages } from "../../conversations/refusals.ts";
import { inTimeOrder } from "../../conversations/time-order.ts";
import { messagesOfWritten, type WrittenMessage } from "../../conversations/written-messages.ts";
import { callIn, joinedCall, type ModelCall } from "./model-call.ts";

export const modelCalls: ConversationFormat = {
  name: "model-calls",
  title: "a log of calls of a model",
  kindOf: (document) => (isFields(document) && callIn(document) !== undefined ? "entry" : undefined),
  read: (documents, options) => {
    const [{ place }] = documents;
    const calls = inTimeOrder(
      withBatches(documents.map(({ value }) => callIn(value as Fields)!)),
      ({ facts }) => facts.at,
    );
    const log = new CallLog();
    for (const call of calls) log.add(call);
    const names = new Map<string, number>();
    const conversations = log.trees.filter(hasWords).flatMap((nodes) => {
      const [root] = nodes as [CallNode, ...CallNode[]];
      const name = nameOf(root.call);
      const number = (names.get(name ?? "") ?? 0) + 1;
      if (name !== undefined) names.set(name, number);
      const id = name === undefined || number === 1 ? name : `${name}-${number}`;
      const byId = new Map(nodes.map((node) => [node.id, node]));
      const tree = {
        nodes: nodes.map((node) => ({ id: node.id, parent: node.parent?.id, at: node.call.facts.at })),
        current: undefined,
        read: (ids: readonly string[]) =>
          conversationOf(
            ids.map((one) => byId.get(one)!),
            id,
            place,
          ),
      };
      return conversationsOfTree(tree, options);
    });
    const [first, ...others] = conversations;
    if (first === undefined) throw noMessages(place);
    // A failed call of a batch whose request is in another file is counted with the first conversation.
    const { error = 0, ...leftOut } = first.leftOut ?? {};
    return [{ ...first, leftOut: { ...leftOut, error: error + log.silent } }, ...others];
  },
};

/** The calls, with each request of a batch and the response of its name as one call. */
function withBatches(calls: readonly ModelCall[]): readonly ModelCall[] {
  const isRequest = ({ input, hasResponse }: ModelCall): boolean => input.length > 0 && !hasResponse;
  const responses = new Map(
    calls.filter(({ hasResponse, input }) => hasResponse && input.length === 0).map((call) => [call.batchName, call]),
  );
  const joined = new Set<ModelCall>();
  const all = calls.map((call) => {
    const response = call.batchName !== undefined && isRequest(call) ? responses.get(call.batchName) : undefined;
    if (response === undefined || joined.has(response)) return call;
    joined.add(response);
    return joinedCall(call, response);
  });
  return all.filter((call) => !joined.has(call));
}

interface CallNode {
  readonly id: string;
  readonly parent: CallNode | undefined;
  readonly call: ModelCall;
  /** The conversation up to the answer. */
  readonly written: readonly WrittenMessage[];
}

function hasWords(nodes: readonly CallNode[]): boolean {
  return nodes.some(({ written }) => written.length > 0);
}

/** The calls of a file, each behind the one that it continues. */
class CallLog {
  readonly #nodes: CallNode[] = [];
  /** The nodes by their responses, by the conversations that they are the last of, and by what was asked. */
  readonly #responses = new Map<string, CallNode>();
  readonly #conversations = new Map<string, CallNode>();
  readonly #asked = new Map<string, CallNode[]>();
  /** Items of OpenAI's Responses, by their ids. */
  readonly #items = new Map<string, Value>();

  add(given: ModelCall): void {
    const call = { ...given, input: given.input.map((item) => this.#referenced(item)) };
    const digests = digestsOf(call);
    const named = this.#named(call);
    const parent = named ?? (call.batchName === undefined ? this.#continued(call, digests) : undefined);
    const known = parent?.written ?? [];
    const input = call.input.map((value, index): WrittenMessage => ({
      value,
      // What an earlier request or response had keeps its time and its tokens.
      facts:
        named === undefined ? (known[index]?.facts ?? defined({ at: call.facts.at })) : defined({ at: call.facts.at }),
      beside: named === undefined ? known[index]?.beside : undefined,
    }));
    const output = call.output.map((value, index): WrittenMessage => ({
      value,
      ...(index === 0 ? { facts: call.facts, beside: call.beside } : { facts: {} }),
    }));
    // A call without an answer.
    const asked = input.at(-1);
    if (output.length === 0 && asked !== undefined) input[input.length - 1] = { ...asked, beside: call.beside };
    const before = named === undefined ? [] : known;
    const node = { id: `${this.#nodes.length}`, parent, call, written: [...before, ...input, ...output] };
    this.#nodes.push(node);
    for (const item of [...call.input, ...call.output])
      if (isFields(item) && typeof item["id"] === "string") this.#items.set(item["id"], item);
    if (call.id !== undefined) this.#responses.set(call.id, node);
    if (call.conversation !== undefined) this.#conversations.set(call.conversation, node);
    const key = digests.at(-1);
    if (named === undefined && key !== undefined) this.#asked.set(key, [...(this.#asked.get(key) ?? []), node]);
  }

  /** The nodes of each tree, its root first. */
  get trees(): readonly (readonly CallNode[])[] {
    const trees = new Map<CallNode, CallNode[]>();
    const roots = new Map<CallNode, CallNode>();
    for (const node of this.#nodes) {
      const root = (node.parent && roots.get(node.parent)) ?? node;
      roots.set(node, root);
      const tree = trees.get(root);
      if (tree === undefined) trees.set(root, [node]);
      else tree.push(node);
    }
    return [...trees.values()];
  }

  /** The calls without any message. */
  get silent(): number {
    return this.trees.filter((nodes) => !hasWords(nodes)).flat().length;
  }

  /** The item that a reference names, where an earlier call has it. */
  #referenced(item: Value): Value {
    const isReference = isFields(item) && item["type"] === "item_reference" && typeof item["id"] === "string";
    return isReference ? (this.#items.get(item["id"] as string) ?? item) : item;
  }

  #named({ previous, conversation }: ModelCall): CallNode | undefined {
    const node = previous === undefined ? undefined : this.#responses.get(previous);
    return node ?? (conversation === undefined ? undefined : this.#conversations.get(conversation));
  }

  /**
   * The call whose messages are the beginning of this one's: the longest, and of equal ones that with the same answer. A call that
   * failed is continued by the one that asks the same again.
   */
  #continued({ input }: ModelCall, digests: readonly string[]): CallNode | undefined {
    const failed = this.#asked.get(digests.at(-1) ?? "")?.findLast(({ call }) => call.output.length === 0);
    if (failed !== undefined) return failed;
    for (let length = digests.length - 1; length > 0; length--) {
      const nodes = this.#asked.get(digests[length - 1]!) ?? [];
      const answer = wordsIn(input[length]);
      const node = nodes.findLast(({ call }) => wordsIn(call.output[0]) === answer) ?? nodes.at(-1);
      if (node !== undefined) return node;
    }
    return undefined;
  }
}

/**
 * The digest of each beginning of what was asked: of its first value, of its first two, and so on. Conversations of several users
 * may begin alike.
 */
function digestsOf({ input, about }: ModelCall): readonly string[] {
  const hash = createHash("sha256").update(`${JSON.stringify(userOf(about) ?? null)}\n`);
  return input.map((value) =>
    hash
      .update(`${JSON.stringify(value, steady)}\n`)
      .copy()
      .digest("base64"),
  );
}

/** Marks of a cache move from request to request, and make a list of a text. */
function steady(name: string, value: unknown): unknown {
  if (name === "cache_control") return undefined;
  if (name !== "content" || !Array.isArray(value)) return value;
  const blocks = value as readonly Value[];
  const isText = blocks.every((block) => isFields(block) && block["type"] === "text");
  return isText ? textIn(blocks) : value;
}

function wordsIn(message: Value | undefined): string {
  return isFields(message) ? textIn(message["content"] ?? message["parts"]) : "";
}

/** The name of a conversation: its own, else that of its first call. */
function nameOf({ conversation, about, id }: ModelCall): string | undefined {
  return conversation ?? groupOf(about) ?? aboutConversation(about, []).id ?? id;
}

function conversationOf(path: readonly CallNode[], id: string | undefined, place: string): Conversation {
  const [{ call }] = path as [CallNode, ...CallNode[]];
  const { written, call: last } = path.at(-1)!;
  const { id: _, ...about } = aboutConversation(call.about, [...callFields]);
  const form = "model-calls";
  const read = messagesOfWritten(written, { place, instructions: last.instructions, format: last.format, form });
  const calls = path.map((node) => node.call);
  return {
    ...about,
    ...defined({ id }),
    ...read,
    leftOut: {
      error: calls.filter(({ output, hasResponse }) => hasResponse && output.length === 0).length,
      "other choice": calls.reduce((count, { otherChoices }) => count + otherChoices, 0),
      "tool definition": Math.max(...calls.map(({ tools }) => tools)),
      header: calls.reduce((count, { headers }) => count + headers, 0),
    },
  };
}

/** Fields of a call that say nothing of its conversation. */
const callFields = ["request_id", "previous_response_id", "conversation", "status", "object"] as const;
