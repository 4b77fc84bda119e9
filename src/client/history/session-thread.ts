/**
 * A thread whose answers the session gives: the server asks the model, so an answer outlives its page. The branches of the session
 * are those of the thread, whichever program began them.
 */
import type { AnswerEvent } from "../../domain/turns/answer-event.ts";
import type { Message, Turn } from "../../domain/turns/turn.ts";
import { defined } from "../../domain/values/defined.ts";
import { invalidArgument, invalidText } from "../../domain/values/invalid-argument.ts";
import type { Value } from "../../domain/values/codec.ts";
import { guardNames, guardObject, type OptionNames } from "../../domain/values/option-names.ts";
import { hasCode, SessionError } from "../../errors.ts";
import type { Answer, Branch, Decisions, SessionInfo, TurnRange, WaitingTurn } from "../../index.ts";
import {
  ownFormat,
  type FormatAdapter,
  type FormattedHistory,
  type HistoryItem,
  type HistoryMessages,
  type StoredMessage,
} from "./formats.ts";
import { idOf } from "./thread-id.ts";
import { foreignMessages, inputOf, isReadable, parsedOf } from "./turns.ts";

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
  waiting(): Promise<WaitingTurn | null>;
  approve(token: string, decisions: Decisions): Promise<Answer>;
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
  /** The message that the run continues. */
  // oxlint-disable-next-line typescript/no-explicit-any -- `ThreadMessage` of the package, whose types may be absent
  readonly unstable_getMessage?: (() => any) | undefined;
}

/** An answer so far, a `ChatModelRunResult`. */
export interface AssistantResult {
  // oxlint-disable-next-line typescript/no-explicit-any -- `ThreadAssistantMessagePart` of the package, whose types may be absent
  readonly content: any[];
  readonly status?:
    | { readonly type: "running" }
    | { readonly type: "requires-action"; readonly reason: "tool-calls" }
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
  /** The token of the wait that the page shows: a decision of the page is on these calls alone. */
  readonly token?: string;
}

/** A thread whose turns are those of its session. */
export class AssistantSession {
  /** A `ThreadHistoryAdapter`: it reads the turns, and writes nothing. */
  readonly history: {
    readonly scopeId: string;
    load(): Promise<HistoryMessages & { unstable_resume?: boolean }>;
    append(item: HistoryItem): Promise<void>;
    resume(run: AssistantRun): AsyncGenerator<AssistantResult, void, unknown>;
    /**
     * The history for a runtime whose messages are those of the AI SDK. It reads the turns: the session has a message once it is asked.
     * @throws SessionError `argument_invalid` for another format
     */
    withFormat<M, S extends Record<string, unknown>>(format: FormatAdapter<M, S>): Omit<FormattedHistory<M>, "delete">;
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
      withFormat: (format) => this.#formatted(format),
    };
    this.model = { run: (run) => this.#run(run) };
  }

  #formatted<M, S extends Record<string, unknown>>(format: FormatAdapter<M, S>): Omit<FormattedHistory<M>, "delete"> {
    const name = format.format;
    if (name === ownFormat || !isReadable(name))
      throw invalidArgument("format", name, { expected: "one_of", known: ["ai-sdk/v6"] });
    return {
      load: async () => {
        const { headId, items } = await this.#view(name);
        const messages = items.map(({ id, parent, content }) =>
          format.decode({ id, parent_id: parent, format: name, content: content as unknown as S }),
        );
        return { headId, messages };
      },
      append: () => Promise.resolve(),
      update: () => Promise.resolve(),
    };
  }

  async #load(): Promise<HistoryMessages & { unstable_resume?: boolean }> {
    const { headId, items } = await this.#view(ownFormat);
    const messages = items.map(({ content, parent }): HistoryItem => ({ message: content, parentId: parent }));
    return { headId, messages, ...defined({ unstable_resume: this.#open && true }) };
  }

  /** The messages of all branches in a format, parents first, and the last one of the current branch. */
  async #view(format: string): Promise<{ readonly headId: string | null; readonly items: readonly StoredMessage[] }> {
    this.#open = undefined;
    const session = await this.#find();
    if (session === undefined) return { headId: null, items: [] };
    const turns = await Array.fromAsync(session.turns());
    const last = turns.at(-1);
    const waiting = last?.status === "waiting" ? await session.waiting() : null;
    const items: StoredMessage[] = [];
    const ends = new Map<string, string | null>();
    const shows = { items, ends, format, waiting };
    // In the order of their versions.
    for (const { id: branch, at, isCurrent } of await session.branches()) {
      if (isCurrent) {
        this.#show(turns, shows);
        continue;
      }
      // From the last turn that it shares with the branch that it left, or whole where that one is not shown yet.
      let line = await Array.fromAsync(session.turns({ branch, from: Math.max(1, at - 1) }));
      const [first] = line;
      if (first !== undefined && first.seq > 1 && !ends.has(placeOf(first).identity))
        line = await Array.fromAsync(session.turns({ branch }));
      this.#show(line, shows);
    }
    const headId = last === undefined ? null : this.#show(turns, shows);
    this.#open = last?.status === "open" ? placeOf(last) : undefined;
    return { headId, items };
  }

  /** Adds the turns of a branch to the messages, without those that another branch has shown. Returns its last message. */
  #show(turns: readonly Turn[], { items, ends, format, waiting }: Shows): string | null {
    let parentId: string | null = null;
    for (const turn of turns) {
      const place = placeOf(turn, waiting);
      if (!ends.has(place.identity)) {
        for (const message of shown(turn, { format, waiting })) {
          items.push({ ...message, parent: parentId });
          this.#places.set(message.id, place);
          parentId = message.id;
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
    unstable_getMessage: getMessage,
  }: AssistantRun): AsyncGenerator<AssistantResult> {
    const current = fieldsOf(getMessage?.());
    const decisions = decisionsIn(current);
    if (decisions !== undefined) {
      yield* this.#decide(current, decisions, abortSignal);
      return;
    }
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

  /**
   * The answer that goes on once the page has decided on its calls.
   * @throws SessionError `turn_not_waiting` where another program has decided, or replaced the turn: load the thread again
   */
  async *#decide(message: Fields, decisions: Decisions, abortSignal: AbortSignal): AsyncGenerator<AssistantResult> {
    const id = String(message["id"]);
    const place = this.#places.get(id);
    const session = await this.#find();
    const waiting = await session?.waiting();
    if (session === undefined || waiting == null || waiting.token !== place?.token)
      throw new SessionError("turn_not_waiting", defined({ sessionId: await this.#id, turn: place?.seq }));
    const asked = waiting.calls.flatMap((call) => {
      const decision = decisions[call.id];
      return decision === undefined ? [] : [[call.id, decision] as const];
    });
    const answer = await session.approve(waiting.token, Object.fromEntries(asked));
    yield* this.#follow(answer, { session, abortSignal, id, place, before: message["content"] as Parts });
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
      before,
    }: Pick<AssistantRun, "abortSignal"> & {
      session: AnsweringSession;
      id: string | undefined;
      place: Place;
      key?: string;
      /** The parts that the message has already: the page adds those that are new. */
      before?: Parts;
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
        if (grow(parts, next.value, before)) yield { content: structuredClone(parts) };
      }
      const turn = await answer.done;
      const waiting = turn.status === "waiting" ? await session.waiting() : null;
      const ended = this.#ended(turn, id, waiting);
      const own = withApprovals(structuredClone(parts), { turn, waiting });
      yield parts.length === 0 && before === undefined ? ended : { ...ended, content: own };
    } finally {
      abortSignal.removeEventListener("abort", leave);
      // A reader that waits for the next event ends with it.
      void events.return().catch(() => undefined);
    }
  }

  #ended(turn: Turn, id: string | undefined, waiting: WaitingTurn | null = null): AssistantResult {
    if (id !== undefined) this.#places.set(id, placeOf(turn, waiting));
    const all = shown(turn, { format: ownFormat, waiting });
    const message = all.findLast(({ content }) => fieldsOf(content)["role"] === "assistant");
    const content = (fieldsOf(message?.content)["content"] ?? []) as Parts;
    if (asksIn(turn, waiting).length > 0) return { content, status: asking };
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

/** How branches are shown. */
interface Shows {
  readonly items: StoredMessage[];
  readonly ends: Map<string, string | null>;
  readonly format: string;
  readonly waiting: WaitingTurn | null;
}

const asking = { type: "requires-action", reason: "tool-calls" } as const;
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
function placeOf(turn: Turn, waiting: WaitingTurn | null = null): Place {
  const { seq, key, at, input } = turn;
  const token = asksIn(turn, waiting).length > 0 ? waiting?.token : undefined;
  return { identity: key ?? `turn-${seq}-${at.getTime()}`, seq, input, ...defined({ token }) };
}

/** The messages of a turn, with ids of their own. */
function shown(
  turn: Turn,
  { format, waiting }: Pick<Shows, "format" | "waiting">,
): readonly Omit<StoredMessage, "parent">[] {
  const { identity } = placeOf(turn);
  const all = foreignMessages(turn, format);
  return all.map((message, index) => {
    const id = index === 0 ? identity : `${identity}/${index + 1}`;
    if (format !== ownFormat) return { ...message, id };
    const content = { ...(message.content as object), id };
    const isAsking = index === all.length - 1 && asksIn(turn, waiting).length > 0;
    if (!isAsking) return { ...message, id, content };
    const parts = withApprovals((message.content as unknown as { readonly content: Parts }).content, { turn, waiting });
    return { ...message, id, content: { ...content, content: parts, status: asking } as unknown as Value };
  });
}

/** The ids of the calls that the turn asks for: none where the wait, which is read after the turn, is of other calls. */
function asksIn({ seq, status, output }: Turn, waiting: WaitingTurn | null): readonly string[] {
  if (status !== "waiting" || waiting?.turn !== seq) return [];
  const own = output.flatMap(({ tool_calls: calls = [] }) => calls);
  const isOwn = (call: WaitingTurn["calls"][number]): boolean =>
    own.some(
      ({ id, function: { name, arguments: args } }) =>
        id === call.id && name === call.function.name && args === call.function.arguments,
    );
  return waiting.calls.every(isOwn) ? waiting.calls.map(({ id }) => id) : [];
}

/** The parts with what the page asks for: a call that needs an approval has one, under an id of the thread. */
function withApprovals(
  parts: Parts,
  { turn, waiting }: { readonly turn: Turn; readonly waiting: WaitingTurn | null },
): Parts {
  const asks = asksIn(turn, waiting);
  const { identity } = placeOf(turn);
  return parts.map((part) =>
    part.type === "tool-call" && part["result"] === undefined && asks.includes(String(part["toolCallId"]))
      ? { ...part, approval: { id: `${identity}/${String(part["toolCallId"])}` } }
      : part,
  );
}

/** What the page has decided on calls that have not run, by their ids; undefined where it has decided on none. */
function decisionsIn({ content }: Fields): Decisions | undefined {
  const decided = (Array.isArray(content) ? (content as readonly Value[]) : []).map(fieldsOf).flatMap((part) => {
    const { approved, reason } = fieldsOf(part["approval"]);
    if (typeof approved !== "boolean") return [];
    const refused = typeof reason === "string" && reason.trim() !== "" ? reason : "The user refused.";
    return [[String(part["toolCallId"]), approved ? (true as const) : { refused }] as const];
  });
  return decided.length === 0 ? undefined : Object.fromEntries(decided);
}

type Fields = Readonly<Record<string, unknown>>;
type Parts = { type: string; [field: string]: unknown }[];

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

/** Adds an event to the parts of a message; false for an event that the page does not show. */
function grow(parts: Parts, event: AnswerEvent, before: Parts = []): boolean {
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
  let call = parts.findLast(({ toolCallId }) => toolCallId === event.id);
  if (call === undefined) {
    // The page shows the result in the place of the call. A refused call has one already.
    const earlier = before.findLast(({ toolCallId, result }) => toolCallId === event.id && result === undefined);
    if (earlier === undefined) return false;
    parts.push((call = { ...earlier }));
  }
  Object.assign(call, defined({ result: event.content, isError: event.isError }));
  return true;
}
