/**
 * A thread whose answers the session gives: the server asks the model, so an answer outlives its page. The branches of the session
 * are those of the thread, whichever program began them.
 */
import type { AnswerEvent } from "../../domain/turns/answer-event.ts";
import type { Message, Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { invalidArgument, invalidText } from "../../domain/values/invalid-argument.ts";
import { guardNames, guardObject, type OptionNames } from "../../domain/values/option-names.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Answer, Branch, SessionInfo, TurnRange } from "../../index.ts";
import { ownFormat, type HistoryItem, type HistoryMessages, type StoredMessage } from "./formats.ts";
import { idOf } from "./thread-id.ts";
import { foreignMessages, inputOf, parsedOf } from "./turns.ts";

/** A session, as far as a thread needs it: a `RemoteSession`, or a `Session` of the same process. */
export interface AnsweringSession {
  readonly id: string;
  readonly info: SessionInfo;
  turns(range?: TurnRange): AsyncIterable<Turn>;
  branches(): Promise<readonly Branch[]>;
  switchTo(branch: string): Promise<unknown>;
  consult(
    question: readonly Message[],
    options: { key: string; after?: number; keep?: boolean; agent?: string; model?: string },
  ): Promise<Answer>;
  running(): Promise<Answer | undefined>;
  cancel(options?: { key?: string }): Promise<boolean>;
}

/** The sessions that answer: `RemoteSessions` of `perdure/client`, or `Sessions`. */
export interface AnsweringSessions {
  ensure(id: string): Promise<AnsweringSession>;
  get(id: string): Promise<AnsweringSession>;
}

/** The agent and the model that answer. */
export interface AssistantSessionOptions {
  /** @default the active agent of the session, else its agent */
  readonly agent?: string;
  /** The name of a model that the server knows. @default the model of the server */
  readonly model?: string;
}

const optionNames: OptionNames<AssistantSessionOptions> = { agent: true, model: true };

/** The members of `ChatModelRunOptions` that are read here. */
export interface AssistantRun {
  // oxlint-disable-next-line typescript/no-explicit-any -- `ThreadMessage` of the package, whose types may be absent
  readonly messages: readonly any[];
  readonly abortSignal: AbortSignal;
  readonly unstable_assistantMessageId?: string | undefined;
}

/** An answer so far, a `ChatModelRunResult`. */
export interface AssistantResult {
  // oxlint-disable-next-line typescript/no-explicit-any -- `ThreadAssistantMessagePart` of the package, whose types may be absent
  readonly content: any[];
  readonly status?:
    | { readonly type: "running" }
    | { readonly type: "complete"; readonly reason: "unknown" }
    | { readonly type: "incomplete"; readonly reason: "cancelled" };
}

/**
 * The history and the model of a thread: `useLocalRuntime(thread.model, { adapters: { history: thread.history } })`. The thread is
 * the session with its id, or with a hash of it.
 * @throws SessionError `argument_invalid`
 */
export function assistantSession(
  sessions: AnsweringSessions,
  threadId: string,
  options: AssistantSessionOptions = {},
): AssistantSession {
  guardObject(sessions, "sessions");
  if (typeof threadId !== "string" || threadId === "") throw invalidText("threadId", threadId, { min: 1 });
  guardNames(options, "options", optionNames);
  return new AssistantSession(sessions, threadId, options);
}

/** The turn of a message of the page. */
interface Place {
  readonly identity: string;
  readonly seq: number;
  readonly input: readonly Message[];
}

/** A thread whose turns are those of its session. */
export class AssistantSession {
  /** A `ThreadHistoryAdapter`: it reads the turns, and writes nothing. */
  readonly history: {
    readonly scopeId: string;
    load(): Promise<HistoryMessages & { unstable_resume?: boolean }>;
    append(item: HistoryItem): Promise<void>;
    resume(run: AssistantRun): AsyncGenerator<AssistantResult, void, unknown>;
  };
  /** A `ChatModelAdapter`: it asks the session. */
  readonly model: { run(run: AssistantRun): AsyncGenerator<AssistantResult, void> };
  readonly #sessions: AnsweringSessions;
  readonly #id: Promise<string>;
  readonly #options: AssistantSessionOptions;
  /** The turns of the messages that the page has, by their ids. */
  readonly #places = new Map<string, Place>();
  /** The open turn of the last load. */
  #open: Place | undefined;

  /** Made by `assistantSession`. @internal */
  constructor(sessions: AnsweringSessions, threadId: string, options: AssistantSessionOptions) {
    this.#sessions = sessions;
    this.#options = options;
    this.#id = idOf(threadId);
    // Each use of the id awaits it, and fails with its error.
    this.#id.catch(() => undefined);
    this.history = {
      scopeId: threadId,
      load: () => this.#load(),
      // The session has a message once it is asked.
      append: () => Promise.resolve(),
      resume: (run) => this.#resume(run),
    };
    this.model = { run: (run) => this.#run(run) };
  }

  async #load(): Promise<HistoryMessages & { unstable_resume?: boolean }> {
    this.#open = undefined;
    const session = await this.#find();
    if (session === undefined) return { headId: null, messages: [] };
    const turns = await Array.fromAsync(session.turns());
    const last = turns.at(-1);
    const messages: HistoryItem[] = [];
    const ends = new Map<string, string | null>();
    // In the order of their versions.
    for (const { id: branch, at, isCurrent } of await session.branches()) {
      if (isCurrent) {
        this.#show(turns, { messages, ends });
        continue;
      }
      // From the last turn that it shares with the branch that it left, or whole where that one is not shown yet.
      let line = await Array.fromAsync(session.turns({ branch, from: Math.max(1, at - 1) }));
      const [first] = line;
      if (first !== undefined && first.seq > 1 && !ends.has(placeOf(first).identity))
        line = await Array.fromAsync(session.turns({ branch }));
      this.#show(line, { messages, ends });
    }
    const headId = last === undefined ? null : this.#show(turns, { messages, ends });
    if (last?.status !== "open") return { headId, messages };
    this.#open = placeOf(last);
    return { headId, messages, unstable_resume: true };
  }

  /** Adds the turns of a branch to the messages, without those that another branch has shown. Returns its last message. */
  #show(
    turns: readonly Turn[],
    { messages, ends }: { readonly messages: HistoryItem[]; readonly ends: Map<string, string | null> },
  ): string | null {
    let parentId: string | null = null;
    for (const turn of turns) {
      const place = placeOf(turn);
      if (!ends.has(place.identity)) {
        for (const { id, content } of shown(turn)) {
          messages.push({ message: content, parentId });
          this.#places.set(id, place);
          parentId = id;
        }
        ends.set(place.identity, parentId);
      }
      parentId = ends.get(place.identity) ?? null;
    }
    return parentId;
  }

  async *#run({
    messages,
    abortSignal,
    unstable_assistantMessageId: id,
  }: AssistantRun): AsyncGenerator<AssistantResult> {
    const own = messages as readonly { readonly id: string; readonly role: string }[];
    if (own.at(-1)?.role !== "user") throw invalidArgument("messages", own.at(-1)?.role, { expected: "user_content" });
    const known = own.findLastIndex((message) => this.#places.has(message.id));
    const place = this.#places.get(own[known]?.id ?? "");
    // The last message is a question that the session has: it is asked again.
    const again = known === own.length - 1 ? place : undefined;
    const added = own.slice(known + 1).filter(({ role }) => role !== "assistant");
    const input = again?.input ?? added.flatMap((message) => inputOf(message));
    const session = await this.#sessions.ensure(await this.#id);
    abortSignal.throwIfAborted();
    const after = again === undefined ? (place?.seq ?? 0) : again.seq - 1;
    if (place !== undefined) await showBranchOf(session, place);
    const keep = after < session.info.turn ? { after, keep: true } : {};
    const key = again === undefined ? own.at(-1)!.id : crypto.randomUUID();
    const answer = await session.consult(input, { key, ...keep, ...this.#options });
    const asked: Place = { identity: key, seq: answer.seq, input };
    for (const message of added) this.#places.set(message.id, asked);
    try {
      yield* this.#follow(answer, { session, abortSignal, id, place: asked, key });
    } catch (error) {
      // An answer that fails before its first word gives its place back to the earlier version of the turn.
      if (!(await hasTurn(session, asked, {}).catch(() => true)))
        for (const one of [id, ...added.map((message) => message.id)]) if (one !== undefined) this.#places.delete(one);
      throw error;
    }
  }

  async *#resume({ abortSignal, unstable_assistantMessageId: id }: AssistantRun): AsyncGenerator<AssistantResult> {
    const place = this.#open;
    const session = await this.#find();
    if (place === undefined || session === undefined) return;
    const answer = await session.running();
    if (answer?.seq === place.seq) yield* this.#follow(answer, { session, abortSignal, id, place });
    // It has ended since the load.
    else for await (const turn of session.turns({ from: place.seq, to: place.seq })) yield this.#ended(turn, id);
  }

  /** The answer as it grows. A page that stops it stops it for all; a page that leaves does not. */
  async *#follow(
    answer: Answer,
    {
      session,
      abortSignal,
      id,
      place,
      key,
    }: Omit<AssistantRun, "messages"> & {
      session: AnsweringSession;
      id: string | undefined;
      place: Place;
      key?: string;
    },
  ): AsyncGenerator<AssistantResult> {
    if (id !== undefined) this.#places.set(id, place);
    const stop = (): void => {
      const { detach } = Object(abortSignal.reason) as { readonly detach?: unknown };
      if (detach !== true) void session.cancel(defined({ key })).catch(() => false);
    };
    const left = Promise.withResolvers<undefined>();
    const leave = (): void => {
      stop();
      left.resolve(undefined);
    };
    abortSignal.addEventListener("abort", leave, { once: true });
    if (abortSignal.aborted) leave();
    const events = answer.events();
    try {
      const parts: Parts = [];
      for (;;) {
        const next = await Promise.race([events.next(), left.promise]);
        if (next === undefined) return;
        if (next.done === true) break;
        if (grow(parts, next.value)) yield { content: structuredClone(parts) };
      }
      const turn = await answer.done;
      const ended = this.#ended(turn, id);
      yield parts.length === 0 ? ended : { ...ended, content: structuredClone(parts) };
    } finally {
      abortSignal.removeEventListener("abort", leave);
      // A reader that waits for the next event ends with it.
      void events.return().catch(() => undefined);
    }
  }

  #ended(turn: Turn, id: string | undefined): AssistantResult {
    if (id !== undefined) this.#places.set(id, placeOf(turn));
    const message = shown(turn).findLast(({ content }) => fieldsOf(content)["role"] === "assistant");
    const content = (fieldsOf(message?.content)["content"] ?? []) as Parts;
    const isDone = turn.status === "done";
    const status = isDone ? { type: "complete" as const, reason: "unknown" as const } : cancelled;
    return { content, status };
  }

  async #find(): Promise<AnsweringSession | undefined> {
    try {
      return await this.#sessions.get(await this.#id);
    } catch (error) {
      if (hasCode(error, "session_not_found")) return undefined;
      throw error;
    }
  }
}

const cancelled = { type: "incomplete", reason: "cancelled" } as const;

/** Makes a branch that has this turn the current one. @throws SessionError `conflict` where no branch has it any more */
async function showBranchOf(session: AnsweringSession, place: Place): Promise<void> {
  if (await hasTurn(session, place, {})) return;
  for (const { id, isCurrent } of await session.branches())
    if (!isCurrent && (await hasTurn(session, place, { branch: id }))) {
      await session.switchTo(id);
      return;
    }
  throw new SessionError("conflict", { sessionId: session.id, log: "turns" });
}

/** True if a branch, by default the current one, has the turn. */
async function hasTurn(
  session: AnsweringSession,
  { seq, identity }: Place,
  branch: { readonly branch?: string },
): Promise<boolean> {
  // A number behind the last one is none of the range.
  for await (const turn of session.turns({ ...branch, from: Math.max(1, seq - 1), to: seq }))
    if (placeOf(turn).identity === identity) return true;
  return false;
}

/** The same for a turn as long as a branch has it, and another one for each version. */
function placeOf({ seq, key, at, input }: Turn): Place {
  return { identity: key ?? `turn-${seq}-${at.getTime()}`, seq, input };
}

/** The messages of a turn, with ids of their own. */
function shown(turn: Turn): readonly Omit<StoredMessage, "parent">[] {
  const { identity } = placeOf(turn);
  return foreignMessages(turn, ownFormat).map((message, index) => {
    const id = index === 0 ? identity : `${identity}/${index + 1}`;
    return { ...message, id, content: { ...(message.content as object), id } };
  });
}

type Fields = Readonly<Record<string, unknown>>;
type Parts = { type: string; [field: string]: unknown }[];

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

/** Adds an event to the parts of a message; false for an event that the page does not show. */
function grow(parts: Parts, event: AnswerEvent): boolean {
  const last = parts.at(-1);
  if (event.type === "text" || event.type === "reasoning") {
    if (last?.type === event.type) last["text"] = `${String(last["text"])}${event.text}`;
    else parts.push({ type: event.type, text: event.text });
    return true;
  }
  if (event.type === "tool_call") {
    const { id: toolCallId, name: toolName, arguments: argsText } = event;
    parts.push({ type: "tool-call", toolCallId, toolName, args: parsedOf(argsText), argsText });
    return true;
  }
  if (event.type !== "tool_result") return false;
  const call = parts.findLast(({ toolCallId }) => toolCallId === event.id);
  if (call === undefined) return false;
  Object.assign(call, defined({ result: event.content, isError: event.isError }));
  return true;
}
