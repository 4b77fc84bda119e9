/**
 * LangChain: the history of a chat as a session. The program brings the package `@langchain/core`, which is loaded when a message is first read.
 *
 * @module perdure/langchain
 */
import {
  fromFormat,
  hasCode,
  idFor,
  SessionError,
  toFormat,
  type Message,
  type Session,
  Sessions,
  type SessionWrite,
  type Turn,
} from "../index.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { invalidArgument, parseArray } from "../domain/values/invalid-argument.ts";
import {
  endsAnswered,
  exchangesIn,
  isQuestion,
  messageOfForm,
  storedForm,
  type StoredForm,
} from "./langchain/exchanges.ts";
import { messageClasses, messageOf, type LangchainMessage, type MessageClasses } from "./langchain/package-core.ts";

export type { LangchainMessage } from "./langchain/package-core.ts";

/** Tries of an addition against newer turns, before it fails with `contended`. */
const attemptsMax = 100;

/** The messages of a session, as a history of LangChain. Made by {@link chatHistory}. */
export class ChatHistory {
  // What LangChain's own class has, so that a history fits where LangChain takes one.
  readonly lc_namespace: string[] = ["perdure"];
  readonly lc_serializable: boolean = false;
  readonly lc_kwargs: { readonly [name: string]: never } = {};
  readonly lc_id: string[] = ["perdure", "ChatHistory"];
  readonly lc_secrets: undefined;
  readonly lc_attributes: undefined;
  readonly lc_aliases: undefined;
  readonly lc_serializable_keys: undefined;
  readonly #open: () => Promise<Session>;

  /** @internal */
  constructor(open: () => Promise<Session>) {
    this.#open = open;
  }

  /** All messages, those of other frameworks converted. */
  // oxlint-disable-next-line typescript/no-explicit-any -- messages of the program's own copy of the package
  async getMessages(): Promise<any[]> {
    const session = await this.#open();
    const forms = await session.messages({ as: "langchain" });
    const classes = await messageClasses();
    return forms.map((form) => messageOfForm(classes, form as unknown as StoredForm));
  }

  async addUserMessage(text: string): Promise<void> {
    await this.addMessage(messageOf(await messageClasses(), "HumanMessage", { content: text }));
  }

  async addAIMessage(text: string): Promise<void> {
    await this.addMessage(messageOf(await messageClasses(), "AIMessage", { content: text }));
  }

  /** Adds a message, as `addMessages`. */
  async addMessage(message: LangchainMessage): Promise<void> {
    await this.addMessages([message]);
  }

  /**
   * Adds messages in one commit: a message of the user after an answer begins a turn, all others continue the last one.
   * @throws SessionError `message_invalid`, `value_unstorable`, and as `Session.write`
   */
  async addMessages(messages: LangchainMessage[]): Promise<void> {
    for (const [index, message] of parseArray(messages, "messages").entries())
      guardMessage(message, `messages[${index}]`);
    const [session, classes] = await Promise.all([this.#open(), messageClasses()]);
    for (let attempt = 1; attempt <= attemptsMax; attempt++)
      try {
        const look = await session.look([{ log: "turns", last: 1 }]);
        const last = look.tails[0]?.[0]?.value as unknown as Turn | undefined;
        await session.write({ turns: turnsOf(classes, messages, last), onto: look });
        return;
      } catch (error) {
        if (!hasCode(error, "conflict")) throw error;
      }
    throw new SessionError("contended", { sessionId: session.id, attempts: attemptsMax });
  }

  /** The history by its name, without its messages: LangChain traces it. */
  toJSON(): { lc: number; type: "not_implemented"; id: string[] } {
    return this.toJSONNotImplemented();
  }

  toJSONNotImplemented(): { lc: number; type: "not_implemented"; id: string[] } {
    return { lc: 1, type: "not_implemented", id: this.lc_id };
  }

  /** Deletes all messages. @throws SessionError `legal_hold` */
  async clear(): Promise<void> {
    const session = await this.#open();
    await session.write({ turns: { from: 1, turns: [] } });
  }
}

/** All messages of LangChain, also of classes that a program derives, have the name of their package. */
function guardMessage(message: unknown, path: string): void {
  const { lc_namespace: namespace } = (message ?? {}) as { readonly lc_namespace?: unknown };
  if (!Array.isArray(namespace))
    throw new SessionError("message_invalid", { path, value: formatValue(message), expected: "known_message" });
}

/** The turns that these messages make behind the last turn, of which the first may be its later version. */
function turnsOf(
  classes: MessageClasses,
  messages: readonly LangchainMessage[],
  last: Turn | undefined,
): NonNullable<SessionWrite["turns"]> {
  const forms = last === undefined ? [] : toFormat([...last.input, ...last.output], "langchain");
  const stored = forms.map((form) => messageOfForm(classes, form as unknown as StoredForm));
  const all = [...stored, ...messages];
  const ranges = exchangesIn(all, 0).filter(({ to }) => to > stored.length);
  const turns = ranges.map(({ from, to, isAnswered }) => {
    const [earlier, added] = [from < stored.length ? last : undefined, all.slice(Math.max(from, stored.length), to)];
    const questions = (earlier?.output.length ?? 0) > 0 ? 0 : added.findIndex((message) => !isQuestion(message));
    const end = questions === -1 ? added.length : questions;
    return {
      input: [...(earlier?.input ?? []), ...canonical(added.slice(0, end))],
      output: [...(earlier?.output ?? []), ...canonical(added.slice(end))],
      status: isAnswered || endsAnswered(all, to) ? ("done" as const) : ("interrupted" as const),
    };
  });
  const amends = last !== undefined && ranges[0] !== undefined && ranges[0].from < stored.length;
  return amends ? { from: last.seq, amends, turns } : { turns };
}

function canonical(messages: readonly LangchainMessage[]): readonly Message[] {
  return fromFormat(
    messages.map((message) => storedForm(message)),
    "langchain",
  );
}

/**
 * The history of a chat: `new RunnableWithMessageHistory({ getMessageHistory: (id) => chatHistory(sessions, id), … })`. The session
 * is created where there is none; its id is the given one, or a hash of it where it is no valid one.
 */
export function chatHistory(sessions: Sessions, id: string): ChatHistory {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  if (typeof id !== "string") throw invalidArgument("id", id, { expected: "text" });
  return new ChatHistory(() => sessions.ensure(idFor(id)));
}
