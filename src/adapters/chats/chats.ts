/** Chats of the AI SDK on sessions: opened by their id, answered in one process, resumed and stopped in any. */
import { defined } from "../../domain/values/defined.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { hasCode, idFor, SessionError, Sessions, type EnsureOptions, type Session } from "../../index.ts";
import { Chat, chunksFrom } from "./chat.ts";
import type { ChatsOptions } from "./package-ai.ts";
import { sseResponse } from "./sse.ts";
import { loadChat } from "./stored-chat.ts";
import { ChatSocket, type ChatSocketOptions } from "./web-socket.ts";
import { fieldsOf, type AnyUiMessage, type UiChunk } from "./ui-message.ts";

/** The owner of a chat. */
export interface ChatOwner {
  /** The user: a chat of another user, or of none, is not found. @default not compared */
  readonly user?: string;
}

const optionNames: OptionNames<ChatsOptions> = { metadataSchema: true, dataSchemas: true, tools: true };
const ownerNames: OptionNames<ChatOwner> = { user: true };

/**
 * Chats of the AI SDK on these sessions. A chat is the session with its id.
 * @throws SessionError `argument_invalid`
 */
export function chats<M extends AnyUiMessage = AnyUiMessage>(sessions: Sessions, options: ChatsOptions = {}): Chats<M> {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  guardNames(options, "options", optionNames);
  return new Chats(sessions, options);
}

/** Chats of the AI SDK: opened, resumed and stopped by their ids, in any process. */
export class Chats<M extends AnyUiMessage = AnyUiMessage> {
  readonly #sessions: Sessions;
  readonly #schemas: ChatsOptions;

  /** Made by `chats`. @internal */
  constructor(sessions: Sessions, schemas: ChatsOptions) {
    this.#sessions = sessions;
    this.#schemas = schemas;
  }

  /**
   * The chat with this id, created where there is none; the options shape a new one.
   * @throws SessionError `session_not_found` for the chat of another user than `options.user`, and as `sessions.ensure`
   */
  async open(id: string, options: EnsureOptions = {}): Promise<Chat<M>> {
    const sessions = this.#sessions;
    const session = await sessions.ensure(idFor(id), options);
    guardOwner(session, options);
    const stored = await loadChat(session, sessions.streams);
    return new Chat<M>(id, { session, sessions, schemas: this.#schemas, stored });
  }

  /**
   * The chat of a request of `useChat`, with its message added or its answer to regenerate: pass the body of the request as it is.
   * A client that has not seen the last message gets `conflict`. `respond` then answers.
   * @throws SessionError `request_invalid` for another body, and as `open`, `add` and `regenerate`
   */
  async receive(body: unknown, options: EnsureOptions = {}): Promise<Chat<M>> {
    const { id, messages, message, trigger, messageId, lastSeen } = fieldsOf(body);
    if (typeof id !== "string") throw invalidBody("id");
    const sent = Array.isArray(messages) ? (messages as readonly unknown[]) : [message];
    const last = sent.at(-1);
    if (last === undefined && trigger !== "regenerate-message") throw invalidBody("messages");
    const target = typeof messageId === "string" ? messageId : undefined;
    const seen = typeof lastSeen === "string" ? [lastSeen] : [];
    const chat = await this.open(id, options);
    if (trigger === "regenerate-message") {
      const [question] = seen.length > 0 || target !== undefined ? [] : idsOf([last]);
      await chat.regenerate(target ?? question, defined({ lastSeen: seen[0] }));
      return chat;
    }
    const isEdit = target !== undefined && fieldsOf(last)["role"] === "user";
    const known = isEdit ? seen : [...idsOf(sent.slice(0, -1)), ...seen];
    await chat.addSeen(last, { seen: known, ...(isEdit ? { replaces: target } : {}) });
    return chat;
  }

  /**
   * The answer that runs, for `useChat({ resume: true })`: all of its chunks from the first one, then those that come; 204 if
   * none runs, or there is no such chat.
   */
  async resume(id: string, owner: ChatOwner = {}): Promise<Response> {
    const chunks = await this.running(id, owner);
    return chunks === null ? new Response(null, { status: 204 }) : sseResponse(chunks);
  }

  /** As `resume`, with the chunks themselves; null if no answer runs. */
  async running(id: string, owner: ChatOwner = {}): Promise<ReadableStream<UiChunk> | null> {
    const active = await this.#active(id, owner);
    return active === null ? null : chunksFrom(this.#sessions, active);
  }

  /** Stop the answer that runs, in any process: what has come of it is stored. False if none runs. */
  async stop(id: string, owner: ChatOwner = {}): Promise<boolean> {
    const active = await this.#active(id, owner);
    return active !== null && (await this.#sessions.streams.stop(active));
  }

  /** A socket of `WebSocketChatTransport`: its frames come to `receive`. @throws SessionError `argument_invalid` */
  socket(options: ChatSocketOptions<M>): ChatSocket<M> {
    return new ChatSocket(this, options);
  }

  async #active(id: string, owner: ChatOwner): Promise<string | null> {
    guardNames(owner, "owner", ownerNames);
    const sessions = this.#sessions;
    try {
      const session = await sessions.get(idFor(id));
      guardOwner(session, owner);
      return session.info.lease === null ? null : await sessions.streams.active(session.id);
    } catch (error) {
      if (hasCode(error, "session_not_found")) return null;
      throw error;
    }
  }
}

/** @throws SessionError `session_not_found`: also for the chat of another user */
function guardOwner({ id, info }: Session, { user }: ChatOwner): void {
  const problem = info.user === null ? ("no_user" as const) : undefined;
  if (user !== undefined && info.user !== user)
    throw new SessionError("session_not_found", { sessionId: id, ...defined({ problem }) });
}

function invalidBody(path: string): SessionError {
  return new SessionError("request_invalid", { path, expected: "value" });
}

function idsOf(messages: readonly unknown[]): readonly string[] {
  return messages.flatMap((message) => {
    const { id } = fieldsOf(message);
    return typeof id === "string" ? [id] : [];
  });
}
