import type { Answer } from "../domain/turns/answer.ts";
import { sortableId } from "../domain/values/ids.ts";
import { parseDuration } from "../domain/values/duration.ts";
import type { Turn } from "../domain/turns/turn.ts";
import { hasCode, SessionError } from "../errors.ts";
import type {
  ActiveAgent,
  ConsultOptions,
  ForkOptions,
  HandOffOptions,
  MessageInput,
  Metadata,
  Session,
  SessionEvent,
  SessionInfo,
  SessionNews,
  SessionPatch,
  TurnInput,
  TurnRange,
  WatchOptions,
  WriteKey,
} from "../index.ts";
import { errorOf } from "../protocol/problem.ts";
import {
  eventOfWire,
  activeAgentOfWire,
  infoOfWire,
  newsOfWire,
  parseEtag,
  turnOfWire,
  wireEtag,
  type SessionView,
  type WireEvent,
  type WireActiveAgent,
  type WireSession,
  type WireTurn,
} from "../protocol/wire.ts";
import { askOver } from "./answer.ts";
import type { Http, HttpAnswer, HttpRequest } from "./http.ts";
import { turnPages } from "./turn-pages.ts";

/** What of a `Session` works over HTTP: all that is not tied to the process that holds a lease. */
type OverHttp = Pick<
  Session,
  | "id"
  | "info"
  | "refresh"
  | "append"
  | "cancel"
  | "turns"
  | "watch"
  | "instructions"
  | "truncate"
  | "update"
  | "touch"
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

/** How a question is asked over HTTP: with a model by its name only. */
export type RemoteConsultOptions = Omit<ConsultOptions, "model" | "window" | "route"> & {
  readonly model?: string;
  /** How many past turns the model is shown. @default 20 */
  readonly window?: number;
};

/** What goes along with a request. */
type Told = Pick<HttpRequest, "query" | "body">;

const pageSize = 500;
/** Between a stream that ended and the next one: a server that ends each at once is not to be asked without a breath. */
const pauseMs = 300;

/**
 * A session over HTTP, with the same promises as one at hand: turns are written onto what this object has seen, a lost
 * request is repeated under its key, operations run in the order of their calls.
 */
export class RemoteSession implements OverHttp {
  readonly #http: Http;
  readonly #path: string;
  #info: SessionInfo;
  /** What this object has seen. */
  #seen: SessionView;
  #last: Promise<unknown> = Promise.resolve();

  /** Made by `RemoteSessions`. */
  constructor(http: Http, wire: WireSession) {
    this.#http = http;
    this.#path = `/v1/sessions/${encodeURIComponent(wire.id)}`;
    this.#info = infoOfWire(wire);
    this.#seen = this.#info;
  }

  get id(): string {
    return this.#info.id;
  }

  /** As last told by the server; `refresh` asks it. Who holds a lease is not told. */
  get info(): SessionInfo {
    return this.#info;
  }

  /** Catch up, and count its turns as seen. @throws SessionError `session_not_found` */
  async refresh(): Promise<SessionInfo> {
    return await this.#inOrder(async () => {
      const info = await this.#look();
      this.#seen = info;
      return info;
    });
  }

  /** Append a finished turn. @throws SessionError as a session at hand */
  async append(turn: TurnInput, { key = crypto.randomUUID() }: WriteKey = {}): Promise<Turn> {
    return await this.#inOrder(async () => {
      const headers = { "idempotency-key": encodeKey(key), "if-match": wireEtag(this.#seen) };
      const answer = await this.#http.ask({ method: "POST", path: `${this.#path}/turns`, body: turn, headers });
      const appended = turnOfWire(answer.body as WireTurn);
      this.#wrote(appended, answer);
      return appended;
    });
  }

  /** Ask the model, with the session's memory. Resolves once the question is durable. @throws SessionError as a session at hand */
  async consult(
    question: MessageInput,
    { signal, key = crypto.randomUUID(), ...options }: RemoteConsultOptions = {},
  ): Promise<Answer> {
    signal?.throwIfAborted();
    return await this.#inOrder(async () => {
      const answer = await askOver(
        this.#http,
        {
          method: "POST",
          path: `${this.#path}/consult`,
          body: { message: question, ...options },
          headers: { "idempotency-key": encodeKey(key), ...this.#ifMatch(options) },
        },
        async ({ turn, etag }) => this.#wrote(turn, { etag: etag ?? wireEtag(await this.#look()) }),
      );
      const stop = (): void => void this.cancel().catch(() => undefined);
      signal?.addEventListener("abort", stop, { once: true });
      void answer.done.catch(() => undefined).finally(() => signal?.removeEventListener("abort", stop));
      return answer;
    });
  }

  /** Who waits or pushes in has said that what happens meanwhile is fine. */
  #ifMatch({ busy = "reject" }: RemoteConsultOptions): Record<string, string> {
    return busy === "reject" ? { "if-match": wireEtag(this.#seen) } : {};
  }

  /** Stop the running answer, wherever it runs; false where none does. */
  async cancel(): Promise<boolean> {
    const { body } = await this.#http.ask({ method: "POST", path: `${this.#path}/cancel` });
    return (body as { cancelled: boolean }).cancelled;
  }

  /** The turns, oldest first. @throws SessionError `range_invalid`, `argument_invalid`, `request_invalid` */
  async *turns(range: TurnRange = {}): AsyncGenerator<Turn, void, undefined> {
    const { last, from = 1, to = Number.MAX_SAFE_INTEGER } = range;
    const isPage = last === undefined ? !(to >= from) : last <= pageSize || Object.keys(range).length > 1;
    const path = `${this.#path}/turns`;
    if (isPage) {
      // Also what is no range, of which the server says why.
      yield* turnPages(this.#http, path, range);
      return;
    }
    const { turn: head } = await this.#look();
    const end = Math.min(to, head);
    const first = last === undefined ? from : Math.max(1, head - last + 1);
    if (first <= end) yield* turnPages(this.#http, path, { from: first, to: end });
  }

  /** What is committed to the session from here on; a stream that breaks is taken up where it was lost. */
  async *watch(options: WatchOptions = {}): AsyncGenerator<SessionNews, void, void> {
    const { signal, after = this.#seen.turn, afterChunk = 0 } = options;
    let lastId = `${after}.${afterChunk}`;
    while (signal?.aborted !== true) {
      const request = {
        method: "GET",
        path: `${this.#path}/watch`,
        headers: { "last-event-id": lastId },
        signal,
      } as const;
      try {
        for await (const { event, id, data } of this.#http.events(request)) {
          lastId = id ?? lastId;
          if (event === "error") throw errorOf(data) ?? new Error("the server told of an error that is unknown here");
          const news = newsOfWire(event, data);
          if (news !== undefined) yield news;
        }
      } catch (error) {
        if (isAborted(signal)) return;
        // What the server refuses, it would refuse again; what broke on the way is taken up again.
        if (error instanceof SessionError && !error.retryable) throw error;
      }
      const { state } = await this.#look();
      if (state !== "active" && state !== "inactive") return;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  /** The startup context. */
  async instructions(): Promise<string | undefined> {
    const { body } = await this.#http.ask({ method: "GET", path: `${this.#path}/instructions` });
    return (body as { instructions: string | null }).instructions ?? undefined;
  }

  /** Forget the turns after a number. @throws SessionError `range_invalid`, `conflict`, `busy` */
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

  /** Change metadata, deadlines, user or instructions. @throws SessionError as a session at hand */
  async update({ metadata, ...patch }: SessionPatch): Promise<void> {
    await this.#inOrder(async () => {
      const body = { ...patch, ...(metadata === undefined ? {} : metadataPatch(metadata)) };
      const answer = await this.#http.ask({ method: "PATCH", path: this.#path, body });
      this.#info = infoOfWire(answer.body as WireSession);
    });
  }

  /** A sign of life. */
  async touch(): Promise<void> {
    await this.#told("POST", "touch");
  }

  /** Make another agent the active one, for a time. */
  async handOff(agent: string, { ttl, note }: HandOffOptions = {}): Promise<ActiveAgent> {
    return await this.#inOrder(async () => {
      const body = {
        agent,
        ...(ttl === undefined ? {} : { ttlSeconds: parseDuration(ttl, "ttl") / 1000 }),
        ...(note === undefined ? {} : { note }),
      };
      const answer = await this.#http.ask({ method: "PUT", path: `${this.#path}/active-agent`, body });
      return activeAgentOfWire(answer.body as WireActiveAgent);
    });
  }

  /** The agent that a handoff made active; null without a handoff. */
  async activeAgent(): Promise<ActiveAgent | null> {
    const { status, body } = await this.#http.ask({ method: "GET", path: `${this.#path}/active-agent` });
    return status === 204 ? null : activeAgentOfWire(body as WireActiveAgent);
  }

  /** End the handoff; false if none is in force. */
  async endHandoff(): Promise<boolean> {
    return await this.#inOrder(async () => {
      const had = (await this.activeAgent()) !== null;
      await this.#http.ask({ method: "DELETE", path: `${this.#path}/active-agent` });
      return had;
    });
  }

  /** What happened beside the turns. */
  async events({ last = 100 }: { last?: number } = {}): Promise<readonly SessionEvent[]> {
    const { body } = await this.#http.ask({ method: "GET", path: `${this.#path}/events`, query: { last } });
    return (body as { events: WireEvent[] }).events.map(eventOfWire);
  }

  /** End the session for good; its events say why. */
  async end({ reason }: { readonly reason?: string } = {}): Promise<void> {
    await this.#told("POST", "end", { query: { reason } });
  }

  /** A new session that goes on from a turn of this one. @throws SessionError as a session at hand */
  async fork({ at, as }: ForkOptions = {}): Promise<RemoteSession> {
    // An id of our own making makes a repeated request find what the lost one created.
    const id = as ?? `${this.#info.agent}_${sortableId(Date.now(), crypto.getRandomValues(new Uint8Array(16)))}`;
    return await this.#inOrder(async () => {
      const { body } = await this.#fork({ as: id, ...(at === undefined ? {} : { at }) }, as === undefined);
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

  /** Put the session away, compressed; false where it was archived already. @throws SessionError `busy`, `turn_open` */
  async archive(): Promise<boolean> {
    return (await this.#toldFrom("POST", "archive")).archive === null;
  }

  /** Bring an archived session back; false where it is not archived. */
  async unarchive(): Promise<boolean> {
    return (await this.#toldFrom("POST", "unarchive")).state === "archived";
  }

  /** Forbid removing and truncating the session. Needs a key with the right `admin`. */
  async setLegalHold(reason: string): Promise<void> {
    await this.#told("PUT", "legal-hold", { body: { reason } });
  }

  /** Allow it again; false without a legal hold. Needs a key with the right `admin`. */
  async clearLegalHold(): Promise<boolean> {
    return (await this.#toldFrom("DELETE", "legal-hold")).legalHold !== null;
  }

  /** Remove the session with everything in it. Needs a key with the right `admin`. */
  async remove(): Promise<void> {
    await this.#inOrder(() => this.#http.ask({ method: "DELETE", path: this.#path, once: true }));
  }

  /** Tell the server, and be told how the session stands now. */
  async #told(method: "POST" | "PUT", what: string, told: Told = {}): Promise<void> {
    await this.#inOrder(() => this.#tell(method, what, told));
  }

  /** As `#told`; gives back how the session stood before. */
  async #toldFrom(method: "POST" | "DELETE", what: string): Promise<SessionInfo> {
    return await this.#inOrder(async () => {
      const before = await this.#look();
      await this.#tell(method, what);
      return before;
    });
  }

  async #tell(method: "POST" | "PUT" | "DELETE", what: string, told: Told = {}): Promise<void> {
    const answer = await this.#http.ask({ method, path: `${this.#path}/${what}`, ...told });
    this.#info = infoOfWire(answer.body as WireSession);
  }

  async #look(): Promise<SessionInfo> {
    const { body } = await this.#http.ask({ method: "GET", path: this.#path });
    this.#info = infoOfWire(body as WireSession);
    return this.#info;
  }

  /** A turn of ours stands: where it followed what was seen, we have now seen all there is. */
  #wrote(turn: Turn, { etag }: Pick<HttpAnswer, "etag"> | { etag: string }): void {
    const stands = etag === null ? null : parseEtag(etag);
    if (stands === null || turn.seq !== this.#seen.turn + 1 || stands.turn !== turn.seq) return;
    this.#seen = stands;
    this.#info = { ...this.#info, ...stands };
  }

  async #inOrder<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(operation, operation);
    this.#last = result;
    return await result;
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** Keys of metadata that go are named apart: JSON has no `undefined`. */
function metadataPatch(metadata: Metadata): object {
  const entries = Object.entries(metadata);
  const removed = entries.filter(([, value]) => value === undefined).map(([key]) => key);
  return {
    metadata: Object.fromEntries(entries.filter(([, value]) => value !== undefined)),
    ...(removed.length === 0 ? {} : { removeMetadata: removed }),
  };
}

/** A header holds no other characters than these. */
export function encodeKey(key: string): string {
  return encodeURIComponent(key);
}
