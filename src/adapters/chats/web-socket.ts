/** The server's side of `WebSocketChatTransport` of the package `ai`: chats over one socket, frame by frame. */
import { parseFunction } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { type EnsureOptions, SessionError } from "../../index.ts";
import type { Chat, Question } from "./chat.ts";
import { lostText } from "./reading.ts";
import type { AnswerSource } from "./source.ts";
import { fieldsOf, type AnyUiMessage, type Fields, type UiChunk } from "./ui-message.ts";

/** How the chats of one socket are answered. */
export interface ChatSocketOptions<M extends AnyUiMessage> {
  /** Send a text to the client. */
  readonly send: (text: string) => void;
  /** Answer a question; calls the model, as the function of `respond` does. */
  readonly answer: (question: Question<M>) => AnswerSource | Promise<AnswerSource>;
  /** The user of the socket, and the form of new chats. @default chats of any user, as of `Chats.open` */
  readonly open?: EnsureOptions;
}

const optionNames: OptionNames<ChatSocketOptions<AnyUiMessage>> = { send: true, answer: true, open: true };

/** The chats of a socket, as `Chats` has them. */
interface SocketChats<M extends AnyUiMessage> {
  receive(body: unknown, options: EnsureOptions): Promise<Chat<M>>;
  running(id: string, owner: { readonly user?: string }): Promise<ReadableStream<UiChunk> | null>;
  stop(id: string, owner: { readonly user?: string }): Promise<boolean>;
}

/** One socket of a client. Call `receive` for each text that it sends, and `close` when it is closed. */
export class ChatSocket<M extends AnyUiMessage = AnyUiMessage> {
  readonly #chats: SocketChats<M>;
  readonly #options: ChatSocketOptions<M>;
  /** The requests of this socket that are under way: their chats, and their readers. */
  readonly #requests = new Map<string, { readonly chat: string; reader?: ReadableStreamDefaultReader<UiChunk> }>();
  #isClosed = false;

  /** Made by `Chats.socket`. @internal */
  constructor(chats: SocketChats<M>, options: ChatSocketOptions<M>) {
    guardNames(options, "options", optionNames);
    parseFunction(options.send, "send");
    parseFunction(options.answer, "answer");
    this.#chats = chats;
    this.#options = options;
  }

  /**
   * Handle a frame of the client; resolves once its answer has been sent. An answer continues if the socket is closed, and ends if
   * its client aborts it. Failures are sent to the client.
   * @throws SessionError `request_invalid` for a text that is no frame: close the socket
   */
  async receive(text: string): Promise<void> {
    const frame = frameOf(text);
    const { type, requestId } = frame;
    if (type === "abort") return await this.#abort(String(requestId));
    const chat = String(frame["id"]);
    const request = { chat };
    this.#requests.set(String(requestId), request);
    try {
      await this.#answer(frame, request);
    } catch (error) {
      // The client gets the code, such as `busy` or `conflict`, and no other detail of the server.
      const errorText = error instanceof SessionError && error.status < 500 ? error.code : lostText;
      this.#send({ type: "error", requestId, errorText });
    } finally {
      this.#requests.delete(String(requestId));
    }
  }

  /** The socket is closed: its answers continue, and nothing is sent any longer. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#requests.values()].map(async ({ reader }) => await reader?.cancel()));
  }

  async #answer(
    { type, requestId, id, body, trigger, messageId, messages, lastSequence }: Fields,
    request: { readonly chat: string; reader?: ReadableStreamDefaultReader<UiChunk> },
  ): Promise<void> {
    const { open = {}, answer } = this.#options;
    const isResume = type === "resume";
    const chunks = isResume
      ? await this.#chats.running(request.chat, defined({ user: open.user }))
      : await (await this.#chats.receive({ ...fieldsOf(body), id, trigger, messageId, messages }, open)).answer(answer);
    if (chunks === null) return this.#send({ type: "no-active", requestId });
    if (isResume) this.#send({ type: "start", requestId });
    const reader = chunks.getReader();
    request.reader = reader;
    if (this.#isClosed) await reader.cancel();
    const after = typeof lastSequence === "number" ? lastSequence : -1;
    let sequence = 0;
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      if (sequence > after) this.#send({ type: "chunk", requestId, sequence, chunk: next.value });
      sequence++;
    }
    this.#send({ type: "end", requestId });
  }

  async #abort(requestId: string): Promise<void> {
    const request = this.#requests.get(requestId);
    if (request === undefined) return;
    const { user } = this.#options.open ?? {};
    await this.#chats.stop(request.chat, defined({ user }));
  }

  #send(frame: object): void {
    if (!this.#isClosed) this.#options.send(JSON.stringify(frame));
  }
}

/** @throws SessionError `request_invalid` */
function frameOf(text: string): Fields {
  let frame: Fields;
  try {
    frame = fieldsOf(JSON.parse(text));
  } catch (cause) {
    throw new SessionError("request_invalid", { path: "frame", expected: "json" }, { cause });
  }
  const { type, requestId, id } = frame;
  const isKnown = type === "abort" || ((type === "send" || type === "resume") && typeof id === "string");
  if (typeof requestId === "string" && isKnown) return frame;
  throw new SessionError("request_invalid", { path: "frame", expected: "object" });
}
