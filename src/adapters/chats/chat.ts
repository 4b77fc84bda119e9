/** One chat: its messages, what a client adds to them, and the answers. */
import { parseFunction } from "../../domain/values/invalid-argument.ts";
import { setTimeout as pause } from "node:timers/promises";
import { defined } from "../../domain/values/defined.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import {
  hasCode,
  idFor,
  sameValue,
  SessionError,
  type Branch,
  type Session,
  type SessionLease,
  type Sessions,
  type SessionWrite,
  type StreamProducer,
  type Turn,
  type TurnInput,
  type Value,
} from "../../index.ts";
import { AnswerInProgress, type AnswerEnd } from "./answer-in-progress.ts";
import { chunk, chunksOfMessage } from "./chunks.ts";
import { grow } from "./growth.ts";
import { validated, type ChatsOptions } from "./package-ai.ts";
import { chunksOfStream } from "./reading.ts";
import { sseResponse } from "./sse.ts";
import type { AnswerSource } from "./source.ts";
import { loadChat, streamOf, type Place, type StoredChat } from "./stored-chat.ts";
import { fieldsOf, rangeOf, storedForm, type AnyUiMessage, type UiChunk } from "./ui-message.ts";

/** How a message is added. */
export interface AddOptions {
  /** The id of the last message that the client has. Newer ones in the store are a `conflict`. @default not compared */
  readonly lastSeen?: string;
  /** The id of the user's message that this one takes the place of, with all behind it. @default none */
  readonly replaces?: string;
}

/** How an answer is written again. */
export interface RegenerateOptions {
  /** As of `add`. It is needed for a message that others follow: they are deleted. @default not compared */
  readonly lastSeen?: string;
}

/** The request to a model. */
export interface Question<M extends AnyUiMessage> {
  /** The messages of the chat, up to the question. */
  readonly messages: M[];
  /** Aborts when the answer is stopped, in any process, and when another writer takes the session over. */
  readonly signal: AbortSignal;
}

/** How an answer is given. */
export interface RespondOptions {
  /** Keeps a serverless function alive until the answer is stored. @default nothing is called */
  readonly waitUntil?: (work: Promise<unknown>) => void;
}

const addNames: OptionNames<AddOptions> = { lastSeen: true, replaces: true };
const regenerateNames: OptionNames<RegenerateOptions> = { lastSeen: true };
const respondNames: OptionNames<RespondOptions> = { waitUntil: true };

/** Rounds of deciding on a chat that other writers change. */
const roundsMax = 3;
/** A question waits so often, ms, for an answer that another process begins or ends. */
const [leaseRoundsMax, leasePauseMs] = [20, 50];

/** The versions that a chat keeps beside the current one, below the default of `limits.branchesMax`. */
const versionsMax = 50;

/** The answer that is to be written. */
interface Plan {
  /** The turn of the question. */
  readonly turn: Turn;
  /** The messages of the turn's output that the answer takes the place of. */
  readonly range: { readonly from: number; readonly to: number };
  /** The message that the answer continues. */
  readonly base?: AnyUiMessage;
  /** The messages that a model is shown. */
  readonly messages: readonly AnyUiMessage[];
  /** The message that was added, here or elsewhere before: its answer may run. */
  readonly repeated?: AnyUiMessage;
  /** The stored answer to the same question. */
  readonly answer?: AnyUiMessage;
  /** An answer exists, and stays if the new one fails before its first word. */
  readonly regenerates?: boolean;
}

/** A chat of the AI SDK, stored as a session with the same id. */
export class Chat<M extends AnyUiMessage = AnyUiMessage> {
  readonly id: string;
  /** The session: its turns are the messages, for every other framework too. */
  readonly session: Session;
  readonly #sessions: Sessions;
  readonly #schemas: ChatsOptions;
  #stored: StoredChat;
  /** An answer was begun since the chat was read. */
  #isOutdated = false;
  #plan: Plan | undefined;

  /** Made by `Chats.open`. @internal */
  constructor(
    id: string,
    {
      session,
      sessions,
      schemas,
      stored,
    }: {
      readonly session: Session;
      readonly sessions: Sessions;
      readonly schemas: ChatsOptions;
      readonly stored: StoredChat;
    },
  ) {
    this.id = id;
    this.session = session;
    this.#sessions = sessions;
    this.#schemas = schemas;
    this.#stored = stored;
  }

  /** The messages, as they were last read: what a page shows before its client resumes. */
  get messages(): M[] {
    return [...(this.#plan?.messages ?? this.#stored.messages)] as M[];
  }

  /**
   * Add a message of the client, and store it before a model is called. A message of the user begins a turn; the same message
   * again adds nothing. The last message of the assistant, sent again with results of the client's tools and decisions on
   * approvals, grows. Resolves with the messages for the model.
   * @throws SessionError `message_invalid`; `conflict` for a client that has not seen the last message, `key_reused` for another
   *   message under a known id, `busy` while an answer runs; `turn_too_large`, `budget_exceeded`, that of the session's state
   */
  async add(message: unknown, options: AddOptions = {}): Promise<M[]> {
    guardNames(options, "options", addNames);
    const { lastSeen, replaces } = options;
    return await this.addSeen(message, { seen: lastSeen === undefined ? [] : [lastSeen], ...defined({ replaces }) });
  }

  /** As `add`, for a client that has these messages. @internal */
  async addSeen(
    given: unknown,
    { seen, replaces }: { readonly seen: readonly string[]; readonly replaces?: string },
  ): Promise<M[]> {
    const message = await validated(given, this.#schemas);
    const { role } = message;
    if (role === "system")
      throw new SessionError("message_invalid", {
        path: "message.role",
        value: '"system"',
        expected: "one_of",
        known: ["user", "assistant"],
      });
    return await this.#decide(async (stored) => {
      if (role === "assistant") return await this.#grow(stored, message);
      return await this.#ask(stored, message, { seen, ...defined({ replaces }) });
    });
  }

  /**
   * Write an answer again: the last one, or that of this message. The stored one stays until the new one takes its place, in one
   * commit. Resolves with the messages for the model.
   * @throws SessionError `conflict` for a message that is not stored, or that others follow which the client has not seen
   */
  async regenerate(messageId?: string, options: RegenerateOptions = {}): Promise<M[]> {
    guardNames(options, "options", regenerateNames);
    const { lastSeen } = options;
    return await this.#decide(async (stored) => {
      const id = messageId ?? stored.messages.at(-1)?.id ?? "";
      const place = stored.placeOf(id);
      if (place === undefined) throw this.#conflict(stored);
      return await this.#regenerated(stored, place, lastSeen);
    });
  }

  /**
   * Answer the message that was added, or the one to regenerate: `make` calls the model. The answer continues if its client leaves,
   * and is stored when it ends. For a question that was answered before, or is being answered, the model is not called: the client
   * gets that answer. A second question meanwhile is `busy`.
   * @throws SessionError `busy`, `conflict`, `argument_invalid` without a question; the errors of `make`
   */
  async respond(
    make: (question: Question<M>) => AnswerSource | Promise<AnswerSource>,
    options: RespondOptions = {},
  ): Promise<Response> {
    return sseResponse(await this.answer(make, options));
  }

  /** As `respond`, with the chunks themselves. */
  async answer(
    make: (question: Question<M>) => AnswerSource | Promise<AnswerSource>,
    options: RespondOptions = {},
  ): Promise<ReadableStream<UiChunk>> {
    parseFunction(make, "make");
    guardNames(options, "options", respondNames);
    if (options.waitUntil !== undefined) parseFunction(options.waitUntil, "waitUntil");
    const plan = this.#plan;
    if (plan === undefined) throw new SessionError("argument_invalid", { name: "message", expected: "value" });
    if (plan.answer !== undefined) return ReadableStream.from(chunksOfAnswer(plan.answer));
    this.#plan = undefined;
    this.#isOutdated = true;
    const lease = await this.#lease(plan);
    if (lease instanceof ReadableStream) return lease;
    let stream: StreamProducer | undefined;
    try {
      await this.#guardUnchanged();
      stream = await this.#acquire(plan.turn);
      const signal = AbortSignal.any([stream.signal, lease.signal]);
      const source = await make({ messages: [...plan.messages] as M[], signal });
      const answer = new AnswerInProgress(source, {
        stream,
        lease,
        id: crypto.randomUUID(),
        base: plan.base,
        writeOf: this.#writeOf(plan),
        write: (write) => this.session.write(write),
      });
      const { chunks, done } = answer.begin();
      options.waitUntil?.(done);
      return chunks;
    } catch (error) {
      await stream?.end().catch(() => undefined);
      await lease.release();
      if (plan.repeated === undefined || !hasCode(error, "conflict")) throw error;
      // The question was answered since.
      await this.addSeen(plan.repeated, { seen: [] });
      return await this.answer(make, options);
    }
  }

  /** The lease of the session; or the answer to the same question, which runs elsewhere. */
  async #lease({ repeated }: Plan): Promise<SessionLease | ReadableStream<UiChunk>> {
    for (let round = 1; ; round++) {
      try {
        return await this.session.lease();
      } catch (error) {
        if (!hasCode(error, "busy") || repeated === undefined) throw error;
        const running = await this.running();
        if (running !== undefined) return running;
        // The other process has the lease, and begins its answer or ends it.
        if (round === leaseRoundsMax) throw error;
        await pause(leasePauseMs);
      }
    }
  }

  /**
   * The versions of a message and its answer, which edits and regenerated answers have kept: ‹ 2/3 › is `index` and `count`. The
   * messages of an answer have the versions of its question.
   * @throws SessionError `conflict` for a message that is not stored
   */
  async versions(messageId: string): Promise<readonly Branch[]> {
    const place = this.#stored.placeOf(messageId);
    if (place === undefined) throw this.#conflict(this.#stored);
    return await this.session.branches({ at: place.turn.seq });
  }

  /**
   * Show another version, by the id of its branch: the chat goes on from there. Resolves with the messages.
   * @throws SessionError `branch_not_found`, `busy` while an answer runs
   */
  async switchTo(branch: string): Promise<M[]> {
    await this.session.switchTo(branch);
    this.#plan = undefined;
    this.#stored = await loadChat(this.session, this.#sessions.streams);
    this.#isOutdated = false;
    return this.messages;
  }

  /** Remove the branch that was active longest ago from a chat with many. */
  async #makeRoom(): Promise<void> {
    const others = (await this.session.branches()).filter(({ isCurrent }) => !isCurrent);
    if (others.length < versionsMax) return;
    const oldest = others.reduce((first, one) => (one.lastActivityAt < first.lastActivityAt ? one : first));
    try {
      await this.session.removeBranch(oldest.id);
    } catch (error) {
      if (!hasCode(error, "legal_hold") && !hasCode(error, "branch_not_found")) throw error;
    }
  }

  /** The answer that runs, from its first chunk; undefined if none does. @internal */
  async running(): Promise<ReadableStream<UiChunk> | undefined> {
    const { streams } = this.#sessions;
    const id = await streams.active(this.session.id);
    return id === null ? undefined : chunksFrom(this.#sessions, id);
  }

  async #decide(step: (stored: StoredChat) => Promise<Plan>): Promise<M[]> {
    for (let round = 1; ; round++) {
      if (round > 1 || this.#isOutdated) this.#stored = await loadChat(this.session, this.#sessions.streams);
      this.#isOutdated = false;
      try {
        this.#plan = await step(this.#stored);
        return this.messages;
      } catch (error) {
        const mayBeOutdated = hasCode(error, "conflict") || hasCode(error, "key_reused");
        if (!mayBeOutdated || round === roundsMax) throw error;
      }
    }
  }

  /** A message of the user. */
  async #ask(
    stored: StoredChat,
    message: AnyUiMessage,
    { seen, replaces }: { readonly seen: readonly string[]; readonly replaces?: string },
  ): Promise<Plan> {
    const place = stored.placeOf(message.id);
    const isSame = place !== undefined && sameValue(asSent(place.message), asSent(message));
    if (replaces !== undefined) {
      const replaced = stored.placeOf(replaces);
      if (replaced === undefined) throw this.#conflict(stored);
      if (isSame && replaced === place) return await this.#regenerated(stored, place, seen.at(-1));
      this.#guardSeen(stored, replaced, seen.at(-1));
      return await this.#begin(stored, message, replaced.turn.seq);
    }
    if (place !== undefined) {
      if (!isSame) throw this.#keyReused(place);
      return { ...this.#again(stored, place), repeated: message };
    }
    // The client must have the last message; ids that only the client knows are of answers that failed.
    const last = stored.messages.at(-1)?.id;
    if (seen.length > 0 && last !== undefined && stored.lastOf(seen) !== last) throw this.#conflict(stored);
    // Another process that adds the same message may begin the answer first.
    return { ...(await this.#begin(stored, message)), repeated: message };
  }

  /** The same message again: its answer, or another try at it. */
  #again(stored: StoredChat, { turn, before }: Place): Plan {
    if (turn.seq !== stored.last?.seq) throw this.#conflict(stored);
    const messages = stored.messages.slice(0, before + 1);
    const answer = turn.status === "done" ? stored.messages.at(-1) : undefined;
    const isAnswered = answer?.role === "assistant";
    const range = { from: 0, to: turn.output.length };
    return { turn, range, messages, ...(isAnswered ? { answer } : {}) };
  }

  /** A turn with a question, in the place of those from `from` on. */
  async #begin(stored: StoredChat, message: AnyUiMessage, from?: number): Promise<Plan> {
    const key = idFor(message.id);
    // An edited message may have the id of the earlier one, which is a key of the branch that keeps it.
    const isKnown = from !== undefined && (stored.placeOf(message.id) !== undefined || stored.hasKey(key));
    const question = { input: storedForm(message), status: "interrupted" as const, ...(isKnown ? {} : { key }) };
    if (from !== undefined) await this.#makeRoom();
    const turns = { turns: [question], ...defined({ from, keep: from === undefined ? undefined : true }) };
    const turn = await this.#write(stored, { turns, onto: stored.onto });
    return { turn, range: { from: 0, to: 0 }, messages: this.#stored.messages };
  }

  /** The last message of the assistant, with what its client has added. */
  async #grow(stored: StoredChat, message: AnyUiMessage): Promise<Plan> {
    const place = stored.placeOf(message.id);
    if (place === undefined || place.turn.seq !== stored.last?.seq || place.message.role !== "assistant")
      throw this.#conflict(stored);
    const { turn } = place;
    const growth = grow(place.message, message, (tool) => this.#runs(tool));
    if (growth.status === "conflict") throw this.#conflict(stored);
    const isContinued = place.message.parts.length > message.parts.length;
    const range = rangeOf(turn.output, message.id);
    // The answer went on since: the client lacks what has come.
    if (isContinued) throw this.#conflict(stored);
    if (growth.status === "same") return { turn, range, base: place.message, messages: stored.messages };
    const output = [...turn.output.slice(0, range.from), ...storedForm(growth.message), ...turn.output.slice(range.to)];
    const grown = { input: turn.input, output, status: "interrupted" as const };
    const turns = { from: turn.seq, amends: true, turns: [grown] };
    const written = await this.#write(stored, { turns, onto: stored.onto });
    const { messages } = this.#stored;
    return { turn: written, range: rangeOf(written.output, message.id), base: growth.message, messages };
  }

  async #regenerated(stored: StoredChat, place: Place, lastSeen: string | undefined): Promise<Plan> {
    this.#guardSeen(stored, place, lastSeen);
    await this.#makeRoom();
    const { turn, message, before } = place;
    const isAnswer = message.role === "assistant";
    const messages = stored.messages.slice(0, isAnswer ? before : before + 1);
    const from = isAnswer ? rangeOf(turn.output, message.id).from : 0;
    return { turn, range: { from, to: turn.output.length }, messages, regenerates: true };
  }

  /** Messages behind the turn are replaced only for a client that has seen all of them. */
  #guardSeen(stored: StoredChat, { turn }: Place, lastSeen: string | undefined): void {
    const isLast = turn.seq === stored.last?.seq;
    const last = stored.messages.at(-1)?.id;
    if (lastSeen === undefined ? !isLast : lastSeen !== last) throw this.#conflict(stored);
  }

  /** True for a tool that runs on the server. */
  #runs(tool: string): boolean {
    const tools = fieldsOf(this.#schemas.tools);
    return Object.hasOwn(tools, tool) && typeof fieldsOf(tools[tool])["execute"] === "function";
  }

  /** Write a turn, and know the chat with it. */
  async #write(stored: StoredChat, write: SessionWrite): Promise<Turn> {
    const written = await this.session.write(write);
    const turn = written.status === "ok" ? written.turns[0] : undefined;
    // A key is there already: the same message came from another process, or the response to an earlier try was lost.
    if (written.status !== "ok" || turn === undefined) throw this.#conflict(stored);
    this.#stored = stored.with(written.version, [turn]);
    return turn;
  }

  /** No model is called for a chat that has changed since. */
  async #guardUnchanged(): Promise<void> {
    const { last } = this.#stored;
    const { tails } = await this.session.look([{ log: "turns", last: 1 }]);
    const now = tails[0]?.[0]?.value;
    if (!sameValue(now, last as unknown as Value | undefined)) throw this.#conflict(this.#stored);
  }

  /** The stream of the answer. Under the lease no other producer is alive: one of an earlier answer gives way. */
  async #acquire(turn: Turn): Promise<StreamProducer> {
    const { streams } = this.#sessions;
    const id = streamOf(this.session.id, turn);
    for (;;) {
      const acquired = await streams.acquire(id, { session: this.session.id });
      if (acquired.role === "producer") return acquired.stream;
      await streams.delete(id);
    }
  }

  #writeOf({ turn, range, regenerates = false }: Plan): (end: AnswerEnd) => SessionWrite | undefined {
    const begunAt = performance.now();
    const { onto, last } = this.#stored;
    return ({ message, status, usage, requests = 0, model, finish }) => {
      if (message === undefined && (regenerates || turn.output.length > 0) && status !== "done") return undefined;
      const { seq, input, output } = turn;
      // A branch keeps the earlier answer, with its usage.
      const keep = regenerates && output.length > 0;
      const isLast = seq === last?.seq && !keep;
      const added = message === undefined ? [] : storedForm(message);
      const elapsedMs = Math.round(performance.now() - begunAt);
      // The earlier usage of the turn stays counted.
      const before = isLast ? turn : undefined;
      const answered: TurnInput = {
        input,
        output: [...output.slice(0, range.from), ...added, ...output.slice(range.to)],
        status,
        requests: (before?.requests ?? 0) + requests,
        durationMs: (before?.durationMs ?? 0) + elapsedMs,
        ...defined({ model, finish, usage: usageAfter(before, usage, requests) }),
      };
      return { turns: { from: seq, turns: [answered], ...(isLast ? { amends: true } : { keep }) }, onto };
    };
  }

  #conflict({ last, onto }: StoredChat): SessionError {
    const seenVersion = typeof onto === "number" ? onto : onto.version;
    return new SessionError("conflict", {
      sessionId: this.session.id,
      log: "turns",
      seenVersion,
      storedTurn: last?.seq ?? 0,
    });
  }

  #keyReused({ turn, message }: Place): SessionError {
    return new SessionError("key_reused", { sessionId: this.session.id, key: message.id, seq: turn.seq });
  }
}

/** The usage of a turn with that of another answer; undefined where no model was called. */
function usageAfter(
  before: Turn | undefined,
  usage: AnswerEnd["usage"],
  requests: number,
): TurnInput["usage"] | undefined {
  const earlier = before?.usage;
  if (earlier === undefined || usage === undefined) return requests > 0 ? usage : undefined;
  const names = ["inputTokens", "outputTokens", "totalTokens", "cachedTokens", "reasoningTokens"] as const;
  return Object.fromEntries(
    names.flatMap((name) => {
      const [a, b] = [earlier[name], usage[name]];
      return a === undefined && b === undefined ? [] : [[name, (a ?? 0) + (b ?? 0)]];
    }),
  );
}

/** A stored answer as a stream. */
function* chunksOfAnswer(message: AnyUiMessage): Generator<UiChunk, void, void> {
  yield chunk("start", { messageId: message.id });
  yield* chunksOfMessage(message);
  yield chunk("finish");
}

/** The chunks of a stream, from the first one, until its reader leaves. */
export function chunksFrom({ streams }: Sessions, id: string): ReadableStream<UiChunk> {
  const left = new AbortController();
  const chunks = chunksOfStream(streams, id, left.signal);
  return new ReadableStream<UiChunk>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      left.abort();
      await chunks.return();
    },
  });
}

/** A message as a client sends it: JSON has no dates. */
function asSent(message: AnyUiMessage): Value {
  return JSON.parse(JSON.stringify(message)) as Value;
}
