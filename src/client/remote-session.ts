import type { Answer } from "../domain/turns/answer.ts";
import { sortableId } from "../domain/values/ids.ts";
import { parseDuration } from "../domain/values/duration.ts";
import { guardNumber, parseArray } from "../domain/values/invalid-argument.ts";
import { guardNames, guardObject, type OptionNames } from "../domain/values/option-names.ts";
import type { Turn } from "../domain/turns/turn.ts";
import { defined } from "../domain/values/defined.ts";
import { hasCode, SessionError } from "../errors.ts";
import type {
  ActiveAgent,
  AppEvent,
  ConsultOptions,
  EndOptions,
  ForkOptions,
  RecordedEvent,
  HandOffOptions,
  MessageInput,
  NewRating,
  Rating,
  RatingQuery,
  Session,
  SessionEvent,
  SessionInfo,
  SessionLook,
  SessionMemory,
  SessionNews,
  SessionPatch,
  SessionWrite,
  SummarizeOptions,
  Summary,
  TailQuery,
  Seal,
  TurnInput,
  Branch,
  BranchComparison,
  BranchQuery,
  EntryRange,
  TurnRange,
  WatchOptions,
  Decisions,
  WaitingTurn,
  WriteKey,
  WriteOutcome,
} from "../index.ts";
import {
  activeAgentOfWire,
  eventOfWire,
  infoOfWire,
  newsOfWire,
  parseEtag,
  turnOfWire,
  wireEtag,
  type SessionView,
  type WireActiveAgent,
  type WireEvent,
  branchOfWire,
  type WireBranch,
  type WireSession,
  type WireTurn,
} from "../protocol/wire.ts";
import {
  lookOfWire,
  outcomeOfWire,
  wirePatch,
  wireWrite,
  type WireLook,
  type WireOutcome,
} from "../protocol/written.ts";
import { ratingOfWire, summaryOfWire, type WireRating, type WireSummary } from "../protocol/wire-memory.ts";
import { approveOver, askOver, cancelOver, encodeKey, keyNames, runningOver, waitingOver } from "./answer.ts";
import type { Http, HttpAnswer, HttpRequest } from "./http.ts";
import { resumeEvents } from "./resume-events.ts";
import { eventPages, turnPages } from "./log-pages.ts";
import { RemoteAttachments } from "./attachments/remote-attachments.ts";
import { RemoteLog } from "./remote-log.ts";

/** The members of `Session` that work over HTTP: all but those tied to the process that holds a lease. */
type OverHttp = Pick<
  Session,
  | "id"
  | "info"
  | "refresh"
  | "append"
  | "cancel"
  | "running"
  | "turns"
  | "watch"
  | "write"
  | "look"
  | "instructions"
  | "branches"
  | "compare"
  | "edit"
  | "regenerate"
  | "removeBranch"
  | "switchTo"
  | "truncate"
  | "sealWaiting"
  | "summarize"
  | "summaries"
  | "memory"
  | "pin"
  | "unpin"
  | "leaveOut"
  | "takeIn"
  | "rate"
  | "ratings"
  | "update"
  | "touch"
  | "record"
  | "handOff"
  | "activeAgent"
  | "endHandoff"
  | "events"
  | "archive"
  | "unarchive"
  | "setLegalHold"
  | "clearLegalHold"
  | "end"
  | "remove"
>;

/**
 * Options of `consult` over HTTP: the model is given by its name only. `signal` and `cancel({ key })` withdraw a question
 * that waits for its session.
 */
export type RemoteConsultOptions = Omit<ConsultOptions, "model" | "route" | "withdraw"> & {
  readonly model?: string;
};

const consultNames: OptionNames<RemoteConsultOptions> = {
  agent: true,
  model: true,
  busy: true,
  key: true,
  window: true,
  settings: true,
  after: true,
  keep: true,
  signal: true,
  flush: true,
};
/** Options of `summarize` over HTTP: the server has the summarizer. */
export type RemoteSummarizeOptions = Omit<SummarizeOptions, "summarizer">;

const summarizeNames: OptionNames<RemoteSummarizeOptions> = { to: true, agent: true, signal: true };
const ratingNames: OptionNames<NewRating> = { rating: true, comment: true, by: true };
const ratingQueryNames: OptionNames<RatingQuery> = { turn: true };
const watchNames: OptionNames<WatchOptions> = { signal: true, after: true, afterChunk: true };
const handOffNames: OptionNames<Omit<HandOffOptions, "noteFrom">> = { ttl: true, note: true };
const eventNames: OptionNames<AppEvent> = { type: true, data: true, severity: true };
const endNames: OptionNames<EndOptions> = { reason: true, after: true };
const forkNames: OptionNames<ForkOptions> = { at: true, as: true };
const branchNames: OptionNames<BranchQuery> = { at: true };
/** The turns of each branch that a comparison returns. */
const comparedMax = 500;
const tailNames: OptionNames<TailQuery> = { log: true, last: true };

/** Query and body of a request. */
type RequestParts = Pick<HttpRequest, "query" | "body">;

/**
 * A session over HTTP, with the promises of a local one: a write is based on what this object has loaded, a lost
 * request is repeated with its idempotency key, and operations run in call order.
 */
export class RemoteSession implements OverHttp {
  readonly #http: Http;
  readonly #path: string;
  #info: SessionInfo;
  /** The state that this object has loaded. */
  #seen: SessionView;
  #last: Promise<unknown> = Promise.resolve();

  /** Made by `RemoteSessions`. @internal */
  constructor(http: Http, wire: WireSession) {
    this.#http = http;
    this.#path = `/v1/sessions/${encodeURIComponent(wire.id)}`;
    this.#info = infoOfWire(wire);
    this.#seen = this.#info;
  }

  get id(): string {
    return this.#info.id;
  }

  /** Files and pictures of the session, which its messages refer to. */
  get attachments(): RemoteAttachments {
    return new RemoteAttachments(this.#http, this.#path);
  }

  /** As last sent by the server; `refresh` loads it again. It does not name the lease holder. */
  get info(): SessionInfo {
    return this.#info;
  }

  /**
   * Loads the newest state, and counts its turns as seen.
   * @throws SessionError `session_not_found`
   */
  async refresh(): Promise<SessionInfo> {
    return await this.#inOrder(async () => {
      const info = await this.#look();
      this.#seen = info;
      return info;
    });
  }

  /**
   * Appends a finished turn.
   * @throws SessionError as a local session
   */
  async append(turn: TurnInput, options: WriteKey = {}): Promise<Turn> {
    guardNames(options, "options", keyNames);
    const { key = crypto.randomUUID() } = options;
    return await this.#inOrder(async () => {
      const headers = { "idempotency-key": encodeKey(key), "if-match": wireEtag(this.#seen) };
      const answer = await this.#http.ask({ method: "POST", path: `${this.#path}/turns`, body: turn, headers });
      const appended = turnOfWire(answer.body as WireTurn);
      this.#wrote(appended, answer);
      return appended;
    });
  }

  /**
   * Asks the model, with the session's history. Resolves once the question is durable.
   * @throws SessionError as a local session
   */
  async consult(question: MessageInput, given: RemoteConsultOptions = {}): Promise<Answer> {
    guardNames(given, "options", consultNames);
    const { signal, key = crypto.randomUUID(), ...options } = given;
    return await this.#inOrder(async () => {
      if (signal?.aborted === true) {
        const waited = { sessionId: this.id, waitedMs: 0 };
        throw new SessionError("aborted", waited, { cause: signal.reason });
      }
      let stopping: Promise<boolean> | undefined;
      // While the question waits for the session this withdraws it, and later it stops the answer.
      const stop = (): void => void (stopping = this.cancel({ key }).catch(() => false));
      signal?.addEventListener("abort", stop, { once: true });
      const unlisten = (): void => signal?.removeEventListener("abort", stop);
      let answer: Answer;
      try {
        answer = await askOver(
          this.#http,
          {
            method: "POST",
            path: `${this.#path}/consult`,
            body: { message: question, ...options },
            headers: { "idempotency-key": encodeKey(key), ...this.#ifMatch(options) },
          },
          async ({ turn, etag }) => {
            if (turn === undefined) this.#sees(etag);
            else this.#wrote(turn, { etag: etag ?? wireEtag(await this.#look()) }, options.after);
          },
        );
      } catch (error) {
        unlisten();
        throw error;
      }
      // The signal aborted before the server knew the question.
      if (stopping !== undefined) void stopping.then((isStopped) => isStopped || stop());
      void answer.done.catch(() => undefined).finally(unlisten);
      return answer;
    });
  }

  /** Asks a turn in other words; a branch keeps the earlier version. @throws SessionError as a local session */
  async edit(
    turn: number,
    question: MessageInput,
    options: Omit<RemoteConsultOptions, "after" | "keep"> = {},
  ): Promise<Answer> {
    guardObject(options, "options");
    return await this.consult(question, { ...options, after: this.#before(turn), keep: true });
  }

  /** Asks the question of a turn again, by default of the last one; a branch keeps the earlier answer. */
  async regenerate(
    given: Omit<RemoteConsultOptions, "after" | "keep"> & { readonly turn?: number } = {},
  ): Promise<Answer> {
    guardObject(given, "options");
    const { turn = this.#seen.turn, ...options } = given;
    const after = this.#before(turn);
    const [earlier] = await Array.fromAsync(this.turns({ from: turn, to: turn }));
    if (earlier === undefined) throw this.#outOf(turn);
    return await this.consult(earlier.input, { ...options, after, keep: true });
  }

  #before(turn: number): number {
    if (Number.isSafeInteger(turn) && turn >= 1 && turn <= this.#seen.turn) return turn - 1;
    throw this.#outOf(turn);
  }

  #outOf(turn: number): SessionError {
    guardNumber(turn, "turn");
    return new SessionError("range_invalid", { name: "turn", from: turn, to: this.#seen.turn });
  }

  /** Lists the branches, or with `at` the versions of a turn. @throws SessionError as a local session */
  async branches(query: BranchQuery = {}): Promise<readonly Branch[]> {
    guardNames(query, "query", branchNames);
    const answer = await this.#http.ask({
      method: "GET",
      path: `${this.#path}/branches`,
      query: defined({ at: query.at }),
    });
    return (answer.body as { readonly items: readonly WireBranch[] }).items.map(branchOfWire);
  }

  /** Makes a branch the current one; its turns count as seen. @throws SessionError as a local session */
  async switchTo(branch: string): Promise<SessionInfo> {
    return await this.#inOrder(async () => {
      const answer = await this.#http.ask({ method: "POST", path: `${this.#path}/switch`, body: { branch } });
      this.#info = infoOfWire(answer.body as WireSession);
      this.#seen = this.#info;
      return this.#info;
    });
  }

  /** Compares two branches. @throws SessionError as a local session */
  async compare(a: string, b: string): Promise<BranchComparison> {
    const answer = await this.#http.ask({ method: "GET", path: `${this.#path}/branches/compare`, query: { a, b } });
    const { shared } = answer.body as { readonly shared: number };
    const bounds = { from: shared + 1, to: shared + comparedMax };
    const rest = (branch: string): Promise<Turn[]> => Array.fromAsync(this.turns({ branch, ...bounds }));
    return { shared, a: await rest(a), b: await rest(b) };
  }

  /** Deletes a branch that is not the current one. @throws SessionError as a local session */
  async removeBranch(branch: string): Promise<void> {
    await this.#inOrder(async () => {
      const path = `${this.#path}/branches/${encodeURIComponent(branch)}`;
      const answer = await this.#http.ask({ method: "DELETE", path, once: true });
      this.#info = infoOfWire(answer.body as WireSession);
    });
  }

  /** The turn that waits to be resumed; null if none does. @throws SessionError `session_not_found` */
  async waiting(): Promise<WaitingTurn | null> {
    return await waitingOver(this.#http, this.#path);
  }

  /**
   * Decides on the tool calls for which the turn waits. The server runs the tools, and the answer continues.
   * @throws SessionError as a local session
   */
  async approve(token: string, decisions: Decisions): Promise<Answer> {
    return await this.#inOrder(() =>
      approveOver(this.#http, this.#path, { token, decisions }, async ({ etag }) => {
        this.#sees(etag ?? wireEtag(await this.#look()));
      }),
    );
  }

  /**
   * Seals the turn that waits under this token: it is finished, with the output so far unless the seal names another.
   * @throws SessionError as a local session
   */
  async sealWaiting(token: string, seal: Seal = {}): Promise<Turn> {
    return await this.#inOrder(async () => {
      const body = { ...seal, token };
      const answer = await this.#http.ask({ method: "POST", path: `${this.#path}/seal`, body, once: true });
      this.#sees(answer.etag);
      return turnOfWire(answer.body as WireTurn);
    });
  }

  /** With `queue`, `interrupt` and `take-over` the caller accepts turns written meanwhile. */
  #ifMatch({ busy = "reject" }: RemoteConsultOptions): Record<string, string> {
    return busy === "reject" ? { "if-match": wireEtag(this.#seen) } : {};
  }

  /**
   * The answer that runs now, in whichever process, from its beginning; undefined if none runs.
   * @throws SessionError as a local session
   */
  async running(): Promise<Answer | undefined> {
    return await runningOver(this.#http, this.#path);
  }

  /**
   * Stops the running answer, in whichever process it runs; false if none runs. With a key only the question of this key,
   * also while it waits.
   */
  async cancel(options: WriteKey = {}): Promise<boolean> {
    return await cancelOver(this.#http, this.#path, options);
  }

  /**
   * Reads the turns, oldest first.
   * @throws SessionError `range_invalid`, `argument_invalid`, `request_invalid`
   */
  async *turns(range: TurnRange = {}): AsyncGenerator<Turn, void, undefined> {
    guardObject(range, "range");
    const { last, before, from = 1, to = Number.MAX_SAFE_INTEGER, ...rest } = range;
    if (range.branch !== undefined && last === undefined && before === undefined) {
      yield* turnPages(this.#http, this.#path, { from, ...range });
      return;
    }
    if (last !== undefined || before !== undefined || !(to >= from)) {
      // The server resolves a range from the end, and refuses an invalid range with its reason.
      yield* turnPages(this.#http, this.#path, last === undefined && before !== undefined ? { from, ...range } : range);
      return;
    }
    const { turn: head } = await this.#look();
    const end = Math.min(to, head);
    if (from <= end) yield* turnPages(this.#http, this.#path, { from, to: end, ...rest });
  }

  /** Watches what is committed to the session from now on; a stream that breaks is resumed. */
  async *watch(options: WatchOptions = {}): AsyncGenerator<SessionNews, void, void> {
    guardNames(options, "options", watchNames);
    const { signal, after = this.#seen.turn, afterChunk = 0 } = options;
    const request = { method: "GET", path: `${this.#path}/watch`, signal } as const;
    let isOpen = false;
    const continues = async (): Promise<boolean> => {
      // Also when the session's time is up, an open turn continues to its end.
      if (isOpen) return true;
      const { state } = await this.#look(signal);
      return state === "active" || state === "inactive";
    };
    const lastId = `${after}.${afterChunk}`;
    const events = resumeEvents(this.#http, request, { lastId, breaksMax: Number.POSITIVE_INFINITY, continues });
    for await (const { event, data } of events) {
      const news = newsOfWire(event, data);
      if (news === undefined) continue;
      isOpen = news.type === "chunk" || (news.type === "turn" && news.turn.status === "open");
      yield news;
    }
  }

  /**
   * Writes turns, entries of named logs and fields of the session in one commit, or nothing. It is sent once: if the answer is
   * lost, it fails with `store_unavailable`, and may have been written. Give keys to what you send again, or look first.
   * @throws SessionError as a local session
   */
  async write(write: SessionWrite): Promise<WriteOutcome> {
    return await this.#inOrder(async () => {
      const { version, commitId } = this.#seen.seen;
      const body = { ...wireWrite(write), seen: { version, commitId, turn: this.#seen.turn } };
      const answer = await this.#http.ask({ method: "POST", path: `${this.#path}/write`, body, once: true });
      this.#sees(answer.etag);
      return outcomeOfWire(answer.body as WireOutcome);
    });
  }

  /**
   * Reads the session and the last entries of some logs, `turns` included, from one moment. Pass the result as `onto` of a write
   * that is decided on it. The turns do not count as seen.
   * @throws SessionError as a local session
   */
  async look(tails: readonly TailQuery[] = []): Promise<SessionLook> {
    for (const tail of parseArray(tails, "tails")) guardNames(tail, "tail", tailNames);
    const query = { tails: tails.map(({ log, last }) => `${log}:${last}`).join(",") };
    const { body } = await this.#http.ask({ method: "GET", path: `${this.#path}/look`, query });
    return lookOfWire(
      body as WireLook,
      tails.map(({ log }) => log),
    );
  }

  /** A named log of the session, to read. */
  log(name: string): RemoteLog {
    return new RemoteLog(this.#http, { path: this.#path, info: () => this.#info }, name);
  }

  /** The startup context. */
  async instructions(): Promise<string | undefined> {
    const { body } = await this.#http.ask({ method: "GET", path: `${this.#path}/instructions` });
    return (body as { instructions: string | null }).instructions ?? undefined;
  }

  /**
   * Deletes the turns after a number.
   * @throws SessionError `range_invalid`, `conflict`, `busy`
   */
  async truncate(after: number): Promise<void> {
    await this.#inOrder(async () => {
      const headers = { "if-match": wireEtag(this.#seen) };
      const answer = await this.#http.ask({
        method: "POST",
        path: `${this.#path}/truncate`,
        body: { after },
        headers,
        once: true,
      });
      this.#info = infoOfWire(answer.body as WireSession);
      this.#seen = this.#info;
    });
  }

  /**
   * Summarizes the turns up to one of them, by the server's summarizer; null where the conversation is too short.
   * @throws SessionError as a local session
   */
  async summarize(options: RemoteSummarizeOptions = {}): Promise<Summary | null> {
    guardNames(options, "options", summarizeNames);
    const { signal, ...body } = options;
    const request = { method: "POST", path: `${this.#path}/summaries`, body, signal } as const;
    const answer = await this.#inOrder(() => this.#http.ask(request));
    return answer.status === 204 ? null : summaryOfWire(answer.body as WireSummary);
  }

  /** The summaries of the current branch, those that cover most first. */
  async *summaries(): AsyncGenerator<Summary, void, undefined> {
    yield* (await this.#items<WireSummary>("summaries")).map(summaryOfWire);
  }

  /** The turns of the current branch that are pinned, and those that are left out. */
  async memory(): Promise<SessionMemory> {
    return (await this.#http.ask({ method: "GET", path: `${this.#path}/memory` })).body as SessionMemory;
  }

  /** Pins a turn: models are shown it however old it is. @throws SessionError as a local session */
  async pin(turn: number): Promise<boolean> {
    return await this.#mark("PUT", turn, "pin");
  }

  /** Ends the pin of a turn. @throws SessionError as a local session */
  async unpin(turn: number): Promise<boolean> {
    return await this.#mark("DELETE", turn, "pin");
  }

  /** Leaves a turn out: no model is shown it. @throws SessionError as a local session */
  async leaveOut(turn: number): Promise<boolean> {
    return await this.#mark("PUT", turn, "left-out");
  }

  /** Shows models a turn again that was left out. @throws SessionError as a local session */
  async takeIn(turn: number): Promise<boolean> {
    return await this.#mark("DELETE", turn, "left-out");
  }

  async #mark(method: "PUT" | "DELETE", turn: number, mark: "pin" | "left-out"): Promise<boolean> {
    const request = { method, path: this.#ofTurn(turn, mark) } as const;
    const { body } = await this.#inOrder(() => this.#http.ask(request));
    return (body as { readonly changed: boolean }).changed;
  }

  #ofTurn(turn: number, what: string): string {
    if (Number.isSafeInteger(turn) && turn >= 1) return `${this.#path}/turns/${turn}/${what}`;
    throw this.#outOf(turn);
  }

  /** Rates a turn; `rating: null` removes the rating of this rater. @throws SessionError as a local session */
  async rate(turn: number, rating: NewRating): Promise<void> {
    guardNames(rating, "rating", ratingNames);
    const request = { method: "PUT", path: this.#ofTurn(turn, "rating"), body: rating } as const;
    await this.#inOrder(() => this.#http.ask(request));
  }

  /** The ratings of the turns of the current branch, in the order of the turns. @throws SessionError as a local session */
  async ratings(query: RatingQuery = {}): Promise<readonly Rating[]> {
    guardNames(query, "query", ratingQueryNames);
    return (await this.#items<WireRating>("ratings", { turn: query.turn })).map(ratingOfWire);
  }

  async #items<Item>(what: string, query?: HttpRequest["query"]): Promise<readonly Item[]> {
    const { body } = await this.#http.ask({ method: "GET", path: `${this.#path}/${what}`, ...defined({ query }) });
    return (body as { readonly items: readonly Item[] }).items;
  }

  /**
   * Changes title, labels, metadata, deadlines, user, agent, instructions or budget.
   * @throws SessionError as a local session
   */
  async update(patch: SessionPatch): Promise<void> {
    await this.#inOrder(async () => {
      const answer = await this.#http.ask({ method: "PATCH", path: this.#path, body: wirePatch(patch) });
      this.#info = infoOfWire(answer.body as WireSession);
    });
  }

  /** Records activity. */
  async touch(): Promise<void> {
    await this.#change("POST", "touch");
  }

  /**
   * Records an event of the application. The request is sent once: after `store_unavailable` the log of events shows whether it
   * was recorded.
   * @throws SessionError as a local session
   */
  async record(event: AppEvent): Promise<RecordedEvent> {
    guardNames(event, "event", eventNames);
    return await this.#inOrder(async () => {
      const request = { method: "POST", path: `${this.#path}/events`, body: event, once: true } as const;
      return eventOfWire((await this.#http.ask(request)).body as WireEvent) as RecordedEvent;
    });
  }

  /** Makes an agent the active one, for a time. */
  async handOff(agent: string, options: Omit<HandOffOptions, "noteFrom"> = {}): Promise<ActiveAgent> {
    guardNames(options, "options", handOffNames);
    const { ttl, note } = options;
    return await this.#inOrder(async () => {
      const body = {
        agent,
        ...defined({ ttlSeconds: ttl === undefined ? undefined : parseDuration(ttl, "ttl") / 1000, note }),
      };
      const answer = await this.#http.ask({ method: "PUT", path: `${this.#path}/active-agent`, body });
      return activeAgentOfWire(answer.body as WireActiveAgent);
    });
  }

  /** The active agent; null if none is. */
  async activeAgent(): Promise<ActiveAgent | null> {
    const { status, body } = await this.#http.ask({ method: "GET", path: `${this.#path}/active-agent` });
    return status === 204 ? null : activeAgentOfWire(body as WireActiveAgent);
  }

  /** Ends the handoff; false if there is none. */
  async endHandoff(): Promise<boolean> {
    return await this.#inOrder(async () => {
      const had = (await this.activeAgent()) !== null;
      await this.#http.ask({ method: "DELETE", path: `${this.#path}/active-agent` });
      return had;
    });
  }

  /**
   * Reads the session's events, oldest first.
   * @throws SessionError `range_invalid`, `argument_invalid`, `request_invalid`
   */
  events(range: EntryRange = {}): AsyncGenerator<SessionEvent, void, undefined> {
    guardObject(range, "range");
    return eventPages(
      this.#http,
      this.#path,
      range.last === undefined && range.to === undefined ? { from: 1, ...range } : range,
    );
  }

  /** Ends the session for good; its events record the reason. `after: "answer"`: the answer in progress finishes first. */
  async end(options: EndOptions = {}): Promise<void> {
    guardNames(options, "options", endNames);
    const { reason, after } = options;
    await this.#change("POST", "end", { query: { reason, after } });
  }

  /**
   * Creates a session that continues from a turn of this one.
   * @throws SessionError as a local session
   */
  async fork(options: ForkOptions = {}): Promise<RemoteSession> {
    guardNames(options, "options", forkNames);
    const { at, as } = options;
    // With an id from the client, a repeated request finds the session of the lost one.
    const id = as ?? `${this.#info.agent}_${sortableId(Date.now(), crypto.getRandomValues(new Uint8Array(16)))}`;
    return await this.#inOrder(async () => {
      const { body } = await this.#fork({ as: id, ...defined({ at }) }, as === undefined);
      return new RemoteSession(this.#http, body as WireSession);
    });
  }

  async #fork(body: ForkOptions & { readonly as: string }, isOurId: boolean): Promise<HttpAnswer> {
    try {
      return await this.#http.ask({ method: "POST", path: `${this.#path}/fork`, body });
    } catch (error) {
      if (!isOurId || !hasCode(error, "session_exists")) throw error;
      return await this.#http.ask({ method: "GET", path: `/v1/sessions/${encodeURIComponent(body.as)}` });
    }
  }

  /**
   * Archives the session, compressed; false if it was archived already.
   * @throws SessionError `busy`, `turn_open`
   */
  async archive(): Promise<boolean> {
    return (await this.#changeFrom("POST", "archive")).archive === null;
  }

  /** Restores an archived session; false if it is not archived. */
  async unarchive(): Promise<boolean> {
    return (await this.#changeFrom("POST", "unarchive")).state === "archived";
  }

  /**
   * Puts the session under legal hold: it cannot be removed or truncated. Needs a key with the right `admin`.
   * @throws SessionError `turn_open` while a question of `consult({ after })` is being answered
   */
  async setLegalHold(reason: string): Promise<void> {
    await this.#change("PUT", "legal-hold", { body: { reason } });
  }

  /** Ends the legal hold; false if there was none. Needs a key with the right `admin`. */
  async clearLegalHold(): Promise<boolean> {
    return (await this.#changeFrom("DELETE", "legal-hold")).legalHold !== null;
  }

  /** Removes the session with all its data. Needs a key with the right `admin`. */
  async remove(): Promise<void> {
    await this.#inOrder(() => this.#http.ask({ method: "DELETE", path: this.#path, once: true }));
  }

  /** Sends a request and takes the session's new state from the response. */
  async #change(method: "POST" | "PUT", what: string, parts: RequestParts = {}): Promise<void> {
    await this.#inOrder(() => this.#request(method, what, parts));
  }

  /** As `#change`; returns the previous state. */
  async #changeFrom(method: "POST" | "DELETE", what: string): Promise<SessionInfo> {
    return await this.#inOrder(async () => {
      const before = await this.#look();
      await this.#request(method, what);
      return before;
    });
  }

  async #request(method: "POST" | "PUT" | "DELETE", what: string, parts: RequestParts = {}): Promise<void> {
    const answer = await this.#http.ask({ method, path: `${this.#path}/${what}`, ...parts });
    this.#info = infoOfWire(answer.body as WireSession);
  }

  async #look(signal?: AbortSignal): Promise<SessionInfo> {
    const { body } = await this.#http.ask({ method: "GET", path: this.#path, signal });
    this.#info = infoOfWire(body as WireSession);
    return this.#info;
  }

  /** Takes a written turn: if it directly follows the loaded state, or turn `after` of it, that state is now the newest. */
  #wrote(turn: Turn, { etag }: Pick<HttpAnswer, "etag"> | { etag: string }, after: number = this.#seen.turn): void {
    const current = etag === null ? null : parseEtag(etag);
    if (current === null || turn.seq !== after + 1 || current.turn !== turn.seq) return;
    this.#sees(etag);
  }

  /** Counts the state of this ETag as seen. */
  #sees(etag: string | null | undefined): void {
    const current = etag == null ? null : parseEtag(etag);
    if (current === null) return;
    this.#seen = current;
    this.#info = { ...this.#info, ...current };
  }

  async #inOrder<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(operation, operation);
    this.#last = result;
    return await result;
  }
}
