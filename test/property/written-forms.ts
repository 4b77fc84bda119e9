/** Conversations as the programs that an import knows write them in their files: the documents of each file. */
import { messageFormats } from "../../src/formats/registry.ts";
import { toFormat } from "../../src/formats/conversion.ts";
import type { Message } from "../../src/index.ts";
import type { WrittenConversation } from "./conversations.ts";

/** Writes the documents of a file, one a line. */
export type WrittenForm = (conversation: WrittenConversation) => readonly object[];

const at = (index: number): string => new Date(1_700_000_000_000 + index * 1000).toISOString();
const all = ({ turns }: WrittenConversation): readonly Message[] => turns.flat();
const wordsOf = ({ content }: Message): string => {
  if (typeof content === "string") return content;
  const texts = (content ?? []) as readonly { readonly text?: string }[];
  return texts.map(({ text = "" }) => text).join("");
};
const spoken = (written: WrittenConversation): readonly Message[] =>
  all(written).filter(({ role, content }) => role !== "tool" && content !== null);

/** Each message, with the id of the one before it. */
function chained<One>(
  list: readonly Message[],
  write: (message: Message, id: string, parent: string | null) => One,
): One[] {
  return list.map((message, index) => write(message, `n${index}`, index === 0 ? null : `n${index - 1}`));
}

const anthropicLines = (written: WrittenConversation): readonly { role: string; content: unknown }[] =>
  toFormat(all(written), "anthropic") as unknown as readonly { role: string; content: unknown }[];

const completionOf = (written: WrittenConversation): object => ({
  id: "k",
  object: "chat.completion",
  choices: [{ index: 0, message: all(written).at(-1)! }],
});

/** The forms by their names. */
export const writtenForms: Readonly<Record<string, WrittenForm>> = {
  ...Object.fromEntries(
    messageFormats
      .filter(({ name }) => name !== "chatgpt" && name !== "claude")
      .map(({ name, list, instructions }) => [
        name,
        (written: WrittenConversation): readonly object[] => {
          const { title, user, metadata, instructions: text } = written;
          const beside = text === undefined ? {} : (instructions?.(text) ?? {});
          return [{ id: "k", title, user, metadata, ...beside, [list]: toFormat(all(written), name) }];
        },
      ]),
  ),
  "rows of a table": (written) =>
    all(written).map((message, index) => ({ conversation_id: "k", created_at: at(index), user_id: "ada", ...message })),
  "rows with a message": (written) =>
    toFormat(all(written), "langchain").map((message, id) => ({ id, session_id: "k", message })),
  "old functions": (written) => [
    {
      messages: all(written).map((message) => {
        const [call] = message.tool_calls ?? [];
        if (message.role === "tool") return { role: "function", name: "peek", content: message.content };
        return call === undefined ? message : { role: "assistant", content: null, function_call: call.function };
      }),
    },
  ],
  chatgpt: (written) => [
    {
      conversation_id: "k",
      title: written.title,
      mapping: Object.fromEntries(
        chained(all(written), ({ role, tool_calls: calls, ...message }, id, parent) => {
          const [call] = calls ?? [];
          const content =
            call === undefined
              ? { content_type: "text", parts: [wordsOf({ role, ...message })] }
              : { content_type: "code", text: call.function.arguments };
          const recipient = call?.function.name ?? "all";
          const author = { role, ...(role === "tool" ? { name: "peek" } : {}) };
          return [id, { id, parent, children: [], message: { id, author, recipient, content, create_time: 1.7e9 } }];
        }),
      ),
      current_node: `n${all(written).length - 1}`,
    },
  ],
  claude: (written) => [
    {
      uuid: "k",
      name: written.title,
      chat_messages: chained(
        anthropicLines(written) as unknown as readonly Message[],
        ({ role, content }, uuid, parent) => ({
          uuid,
          parent_message_uuid: parent,
          sender: role === "user" ? "human" : "assistant",
          text: typeof content === "string" ? content : "",
          content: typeof content === "string" ? [{ type: "text", text: content }] : content,
        }),
      ),
    },
  ],
  "claude code": (written) =>
    anthropicLines(written).map((message, index) => ({
      type: message.role,
      uuid: `n${index}`,
      parentUuid: index === 0 ? null : `n${index - 1}`,
      sessionId: "k",
      timestamp: at(index),
      message: { ...message, ...(message.role === "assistant" ? { id: `m${index}`, model: "c" } : {}) },
    })),
  codex: (written) => [
    { timestamp: at(0), type: "session_meta", payload: { id: "k", cwd: "/w" } },
    ...toFormat(all(written), "openai-responses").map((payload, index) => ({
      timestamp: at(index),
      type: "response_item",
      payload,
    })),
  ],
  "gemini cli": (written) => [
    {
      sessionId: "k",
      startTime: at(0),
      messages: all(written)
        .filter(({ role }) => role !== "tool")
        .map((message) => ({
          type: message.role === "user" ? "user" : "gemini",
          content: wordsOf(message),
          toolCalls: message.tool_calls?.map(({ id, function: { name } }) => ({
            id,
            name,
            args: {},
            result: [{ functionResponse: { id, name, response: { output: "a" } } }],
          })),
        })),
    },
  ],
  adk: (written) => [
    {
      id: "k",
      appName: "bakery",
      userId: "ada",
      state: {},
      events: toFormat(all(written), "gemini").map((content, index) => ({
        invocationId: `i${index}`,
        author: (content as { role: string }).role === "model" ? "baker" : "user",
        timestamp: 1_700_000_000 + index,
        content,
      })),
    },
  ],
  "adk eval": (written) => [
    {
      eval_set_id: "k",
      eval_cases: [
        {
          eval_id: "k",
          conversation: written.turns.map((turn, index) => ({
            invocation_id: `i${index}`,
            user_content: toFormat(turn.slice(0, 1), "gemini")[0],
            intermediate_data: {
              invocation_events: toFormat(turn.slice(1, -1), "gemini").map((content) => ({ author: "baker", content })),
            },
            final_response: toFormat(turn.slice(-1), "gemini")[0],
          })),
        },
      ],
    },
  ],
  "gemini cli prompts": (written) =>
    written.turns.map(([question], messageId) => ({
      sessionId: "k",
      messageId,
      type: "user",
      message: `Tell me: ${wordsOf(question!)}`,
      timestamp: at(messageId),
    })),
  "deeper in an object": (written) => [{ ok: true, data: { conversations: [{ id: "k", messages: all(written) }] } }],
  langgraph: (written) => [{ thread_id: "k", values: { messages: toFormat(all(written), "langchain"), floor: "ceo" } }],
  assistants: (written) => [
    {
      object: "list",
      data: spoken(written)
        .map((message, index) => ({
          id: `m${index}`,
          object: "thread.message",
          thread_id: "k",
          created_at: 1_700_000_000 + index,
          role: message.role,
          content: [{ type: "text", text: { value: wordsOf(message), annotations: [] } }],
        }))
        .toReversed(),
    },
  ],
  librechat: (written) => [
    {
      conversationId: "k",
      endpoint: "openAI",
      messages: chained(spoken(written), (message, messageId, parent) => ({
        messageId,
        parentMessageId: parent ?? "00000000-0000-0000-0000-000000000000",
        isCreatedByUser: message.role === "user",
        text: wordsOf(message),
      })),
    },
  ],
  "open webui": (written) => [
    {
      id: "k",
      chat: {
        history: {
          currentId: `n${spoken(written).length - 1}`,
          messages: Object.fromEntries(
            chained(spoken(written), (message, id, parentId) => [
              id,
              { id, parentId, role: message.role, content: wordsOf(message), timestamp: 1_700_000_000 },
            ]),
          ),
        },
      },
    },
  ],
  lobechat: (written) => [
    {
      exportType: "singleSession",
      version: 7,
      state: {
        messages: spoken(written).map((message, index) => ({
          id: `n${index}`,
          role: message.role,
          content: wordsOf(message),
          topicId: "k",
          createdAt: 1_700_000_000_000 + index,
        })),
      },
    },
  ],
  exchanges: (written) => [
    {
      session_id: "k",
      startup_context: written.instructions,
      conversation_history: written.turns.map((turn, index) => ({
        question: wordsOf(turn[0]!),
        response: wordsOf(turn.at(-1)!),
        timestamp: at(index),
      })),
      total_tokens: 12,
    },
  ],
  preferences: (written) => {
    const messages = all(written);
    const rejected = { role: "assistant", content: "No." };
    return [
      {
        input: { messages: messages.slice(0, -1) },
        preferred_output: messages.slice(-1),
        non_preferred_output: [rejected],
      },
    ];
  },
  "roles in capitals": (written) => [
    { id: "k", messages: all(written).map((message) => ({ ...message, role: message.role.toUpperCase() })) },
  ],
  "spoken answers": (written) => [
    {
      id: "k",
      messages: all(written).map((message) =>
        message.role === "assistant" && message.content !== null
          ? { ...message, content: null, audio: { id: "a", data: "AA==", transcript: wordsOf(message) } }
          : message,
      ),
    },
  ],
  "a chat completion": (written) => [completionOf(written)],
  "a batch": (written) => [
    { custom_id: "k", body: { model: "m", messages: all(written).slice(0, -1) } },
    { custom_id: "k", response: { status_code: 200, body: completionOf(written) } },
  ],
  "rows of exchanges": (written) =>
    written.turns.map((turn, index) => ({
      session_id: "k",
      user_id: written.user,
      question: wordsOf(turn[0]!),
      response: wordsOf(turn.at(-1)!),
      timestamp: at(index),
    })),
  "a saved state": (written) => [{ session_id: "k", state: { messages: all(written), floor: "ceo" }, saved_at: at(0) }],
};
