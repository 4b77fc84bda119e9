/** The list of threads of assistant-ui: each thread is a session, its title that of the session. */
import type { Message } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import type { Value } from "../../domain/values/codec.ts";
import { clip } from "../../domain/values/format-value.ts";
import { invalidText, parseFunction } from "../../domain/values/invalid-argument.ts";
import { guardNames, guardObject, type OptionNames } from "../../domain/values/option-names.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { CreateOptions, Labels, ListQuery, SessionInfo, SessionPage, SessionPatch } from "../../index.ts";
import { inputOf } from "./turns.ts";

/** A session, as far as a list of threads needs it. */
export interface ListedSession {
  readonly id: string;
  readonly info: SessionInfo;
  update(patch: SessionPatch): Promise<unknown>;
  archive(): Promise<unknown>;
  unarchive(): Promise<unknown>;
  remove(): Promise<unknown>;
}

/** The sessions of a list: `RemoteSessions` of `perdure/client`, or `Sessions`. */
export interface ListedSessions {
  create(options: CreateOptions): Promise<ListedSession>;
  get(id: string): Promise<ListedSession>;
  list(query: Pick<ListQuery, "user" | "labels" | "limit" | "after">): Promise<SessionPage>;
}

/** The sessions that are threads of a list. */
export interface AssistantThreadsOptions {
  /** The user of new threads; the list has the threads of this user alone. @default the threads of all users */
  readonly user?: string;
  /** The labels of new threads; the list has the threads with all of these labels alone. @default all sessions */
  readonly labels?: Labels;
  /** The agent of new threads. @default the agent of new sessions */
  readonly agent?: string;
  /** Threads on a page. @default 50 */
  readonly limit?: number;
  /** Makes a title of the texts of the first messages. @default the beginning of the first question */
  readonly titleOf?: (texts: readonly string[]) => string | Promise<string>;
}

const optionNames: OptionNames<AssistantThreadsOptions> = {
  user: true,
  labels: true,
  agent: true,
  limit: true,
  titleOf: true,
};

/** A thread of the list, a `RemoteThreadMetadata`. */
export interface AssistantThread {
  readonly status: "regular" | "archived";
  readonly remoteId: string;
  readonly title?: string;
  readonly lastMessageAt: Date;
  readonly custom?: Record<string, unknown>;
}

/** The name of a thread's custom data in the metadata of its session. */
const customName = "assistant-ui";
/** The longest title, in characters. */
const titleMax = 256;
/** The characters of a question that are its title. */
const beginningMax = 60;

/**
 * A `RemoteThreadListAdapter` for `useRemoteThreadListRuntime`.
 * @throws SessionError `argument_invalid`
 */
export function assistantThreads(sessions: ListedSessions, options: AssistantThreadsOptions = {}): AssistantThreads {
  guardObject(sessions, "sessions");
  guardNames(options, "options", optionNames);
  if (options.titleOf !== undefined) parseFunction(options.titleOf, "titleOf");
  return new AssistantThreads(sessions, options);
}

/** The threads of a user, or of all. Each function fails with the errors of the session. */
export class AssistantThreads {
  readonly #sessions: ListedSessions;
  readonly #options: AssistantThreadsOptions;

  /** Made by `assistantThreads`. @internal */
  constructor(sessions: ListedSessions, options: AssistantThreadsOptions) {
    this.#sessions = sessions;
    this.#options = options;
  }

  /** A page of threads, those that were active last first. */
  async list({ after }: { after?: string | undefined } = {}): Promise<{
    threads: AssistantThread[];
    nextCursor?: string;
  }> {
    const { user, labels, limit = 50 } = this.#options;
    const { items, next } = await this.#sessions.list({ limit, ...defined({ user, labels, after }) });
    return { threads: items.map(threadOf), ...defined({ nextCursor: next }) };
  }

  /** A new session. The id of the page is no id of the session, since two pages may have the same one. */
  async initialize(
    _threadId: string,
    { custom }: { custom?: Record<string, unknown> | undefined } = {},
  ): Promise<{ remoteId: string; externalId: undefined }> {
    const { user, labels, agent } = this.#options;
    const metadata = custom === undefined ? undefined : { [customName]: custom as Value };
    const { id } = await this.#sessions.create(defined({ user, labels, agent, metadata }));
    return { remoteId: id, externalId: undefined };
  }

  async fetch(remoteId: string): Promise<AssistantThread> {
    return threadOf((await this.#own(remoteId)).info);
  }

  async rename(remoteId: string, newTitle: string): Promise<void> {
    if (typeof newTitle !== "string") throw invalidText("newTitle", newTitle, { max: titleMax });
    await (await this.#own(remoteId)).update({ title: newTitle.trim() === "" ? null : newTitle });
  }

  async updateCustom(remoteId: string, custom: Record<string, unknown> | undefined): Promise<void> {
    await (await this.#own(remoteId)).update({ metadata: { [customName]: custom as Value | undefined } });
  }

  /** Archives the session, which takes no writes until it is restored. */
  async archive(remoteId: string): Promise<void> {
    await (await this.#own(remoteId)).archive();
  }

  async unarchive(remoteId: string): Promise<void> {
    await (await this.#own(remoteId)).unarchive();
  }

  /** Removes the session with all its data. One that is removed already counts as removed. */
  async delete(remoteId: string): Promise<void> {
    try {
      await (await this.#own(remoteId)).remove();
    } catch (error) {
      if (!hasCode(error, "session_not_found")) throw error;
    }
  }

  /** Stores a title, and streams it. A title that the session has already stays. */
  async generateTitle(remoteId: string, messages: readonly unknown[]): Promise<ReadableStream<never>> {
    const session = await this.#own(remoteId);
    let { title } = session.info;
    if (title === null) {
      const { titleOf = beginningOf } = this.#options;
      title = await titleOf(messages.flatMap((message) => textsOf(inputOf(message))));
      if (typeof title !== "string") throw invalidText("titleOf", title, { max: titleMax });
      title = clip(title, titleMax);
      if (title.trim() !== "") await session.update({ title });
    }
    return streamOf(title);
  }

  /** The session of a thread of this list. @throws SessionError `session_not_found` */
  async #own(remoteId: string): Promise<ListedSession> {
    const session = await this.#sessions.get(remoteId);
    const { user, labels = {} } = this.#options;
    const { info } = session;
    const isOwn = user === undefined || info.user === user;
    if (isOwn && Object.entries(labels).every(([name, value]) => info.labels[name] === value)) return session;
    throw new SessionError("session_not_found", { sessionId: remoteId });
  }
}

function threadOf({ id, state, title, lastActivityAt, metadata }: SessionInfo): AssistantThread {
  const custom = metadata[customName] as Record<string, unknown> | undefined;
  const status = state === "archived" ? "archived" : "regular";
  return { status, remoteId: id, lastMessageAt: lastActivityAt, ...defined({ title: title ?? undefined, custom }) };
}

function textsOf(messages: readonly Message[]): readonly string[] {
  return messages.flatMap(({ content }) => {
    const parts = Array.isArray(content) ? (content as readonly Value[]) : [{ text: content ?? null }];
    return parts.flatMap((part) => {
      const { text } = Object(part) as { readonly text?: unknown };
      return typeof text === "string" ? text : [];
    });
  });
}

function beginningOf([first = ""]: readonly string[]): string {
  const [line = ""] = first.trim().split("\n");
  const characters = Array.from(line);
  return characters.length <= beginningMax ? line : `${characters.slice(0, beginningMax - 1).join("")}…`;
}

/** An `AssistantStream` with one text. */
function streamOf(text: string): ReadableStream<never> {
  const chunks = [
    { type: "part-start", part: { type: "text" }, path: [] },
    { type: "text-delta", textDelta: text, path: [0] },
    { type: "part-finish", path: [0] },
  ];
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk as never);
      controller.close();
    },
  });
}
