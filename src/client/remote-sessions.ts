import { parseId, sortableId } from "../domain/values/ids.ts";
import { defined } from "../domain/values/defined.ts";
import { parseArray, parseInstant } from "../domain/values/invalid-argument.ts";
import { labelTexts } from "../domain/values/labels.ts";
import { guardNames, guardObject, guardSignal, type OptionNames } from "../domain/values/option-names.ts";
import { eachItem, eachPage, type Page } from "../domain/values/pages.ts";
import { hasCode } from "../errors.ts";
import type {
  ErasureReceipt,
  ErasureRequest,
  Stats,
  StatsQuery,
  SweepReport,
  SweepRequest,
  StatsKind,
} from "../admin.ts";
import type {
  CreateOptions,
  EnsureOptions,
  EventPage,
  EventQuery,
  EventWalk,
  ListQuery,
  News,
  NewsOptions,
  SearchPage,
  SearchQuery,
  SessionInfo,
  SessionPage,
  SessionSelection,
  SessionState,
  ShareInfo,
  ShareOptions,
  TenantEvent,
  WritesOutcome,
  WriteTo,
} from "../index.ts";
import {
  foundOfWire,
  infoOfWire,
  tenantEventOfWire,
  type WireFound,
  type WireSession,
  type WireTenantEvent,
} from "../protocol/wire.ts";
import { outcomesOfWire, wireWrite, type WireOutcomes } from "../protocol/written.ts";
import { RemoteConversations } from "./conversations/remote-conversations.ts";
import { shareOver, sharesOver } from "./conversations/shares.ts";
import { followedEvents } from "./followed-events.ts";
import { headerSecret, Http, type HttpOptions, type HttpRequest } from "./http.ts";
import { sendOver } from "./reply.ts";
import { resumeEvents } from "./resume-events.ts";
import { RemoteDocuments } from "./remote-documents.ts";
import { RemoteSession } from "./remote-session.ts";
import { RemoteStreams } from "./remote-streams.ts";

/** The server, and a key. */
export interface ConnectOptions extends Omit<HttpOptions, "headers"> {
  /** As made by `perdure keys create`. It opens one tenant's sessions. */
  readonly key: string;
}

const connectNames: OptionNames<ConnectOptions> = { url: true, key: true, retries: true, fetch: true };

/**
 * Connects to the sessions of a key's tenant, over HTTP. Nothing is sent until it is needed, and nothing has to be
 * closed.
 * @throws SessionError `argument_invalid` for an option that does not exist, and for a key that cannot be one
 */
export function connect(given: ConnectOptions): RemoteSessions {
  guardNames(given, "options", connectNames);
  const { key, ...options } = given;
  return new RemoteSessions(new Http({ ...options, headers: { authorization: `Bearer ${headerSecret("key", key)}` } }));
}

/** Options of `send`. */
export interface RemoteSendOptions {
  /**
   * Create the session if it does not exist.
   * @default false
   */
  readonly create?: boolean;
  /** Stops waiting, also for later chunks; the message may be handled all the same. */
  readonly signal?: AbortSignal;
}

/** A stats query, by one kind of group. */
export interface RemoteStatsQuery extends Omit<StatsQuery, "by"> {
  readonly by?: StatsKind;
}

/** A search over HTTP. */
export interface RemoteSearchQuery extends Omit<SearchQuery, "onProgress" | "state"> {
  /** Only in sessions in this state. @default any */
  readonly state?: SessionState;
}

const ownerNames: OptionNames<{ readonly user: string }> = { user: true };
const sendNames: OptionNames<RemoteSendOptions> = { create: true, signal: true };
const newsNames: OptionNames<NewsOptions> = { after: true, signal: true };
const statsNames: OptionNames<RemoteStatsQuery> = { by: true, since: true, limit: true };

/** The sessions of one tenant, over HTTP. */
export class RemoteSessions {
  /** Streams of any kind of parts. */
  readonly streams: RemoteStreams;
  readonly #http: Http;

  /** Made by `connect`. @internal */
  constructor(http: Http) {
    this.#http = http;
    this.streams = new RemoteStreams(http);
  }

  /**
   * Creates a session.
   * @throws SessionError `session_exists`, `agent_unknown`, `id_invalid` …
   */
  async create(options: CreateOptions = {}): Promise<RemoteSession> {
    guardObject(options, "options");
    // With an id from the client, a repeated request finds the session of the lost one.
    const id =
      options.id ??
      `${options.agent ?? "assistant"}_${sortableId(Date.now(), crypto.getRandomValues(new Uint8Array(16)))}`;
    try {
      const { body } = await this.#http.ask({ method: "POST", path: "/v1/sessions", body: { ...options, id } });
      return this.#session(body);
    } catch (error) {
      if (options.id === undefined && hasCode(error, "session_exists")) return await this.get(id);
      throw error;
    }
  }

  /**
   * The session with this id, created if it does not exist.
   * @throws SessionError `session_expired`, `session_ended` …
   */
  async ensure(id: string, options: EnsureOptions = {}): Promise<RemoteSession> {
    const { body } = await this.#http.ask({ method: "PUT", path: pathOf(id), body: options });
    return this.#session(body);
  }

  /**
   * The session with this id, in any state.
   * @throws SessionError `session_not_found`
   */
  async get(id: string): Promise<RemoteSession> {
    const { body } = await this.#http.ask({ method: "GET", path: pathOf(id) });
    return this.#session(body);
  }

  /** One page of sessions. @throws SessionError `request_invalid` */
  async list(query: ListQuery & { readonly state?: SessionState } = {}): Promise<SessionPage> {
    guardObject(query, "query");
    const { activeSince, activeBefore, createdSince, createdBefore, state, labels, waiting, ...rest } = query;
    const { body } = await this.#http.ask({
      method: "GET",
      path: "/v1/sessions",
      query: {
        ...rest,
        state,
        label: labels && labelTexts(labels),
        waiting: waiting === true ? "true" : waiting,
        activeSince: instantText(activeSince, "activeSince"),
        activeBefore: instantText(activeBefore, "activeBefore"),
        createdSince: instantText(createdSince, "createdSince"),
        createdBefore: instantText(createdBefore, "createdBefore"),
      },
    });
    const page = body as Page<WireSession>;
    return { ...page, items: page.items.map(infoOfWire) };
  }

  /**
   * All sessions that match, by id, page by page. A session that exists throughout is found once, whatever changes
   * meanwhile.
   * @throws SessionError `request_invalid`
   */
  each(
    selection: SessionSelection & { readonly state?: SessionState } = {},
  ): AsyncGenerator<SessionInfo, void, undefined> {
    guardObject(selection, "query");
    return eachItem((after) => this.list({ ...selection, order: "id", ...after }));
  }

  /**
   * One page of the messages and titles that have all words of a text, the newest first, as `sessions.search`.
   * @throws SessionError `request_invalid`, `argument_invalid`, `session_not_found`
   */
  async search(query: RemoteSearchQuery): Promise<SearchPage> {
    guardObject(query, "query");
    const { since, before, labels, signal, ...rest } = query;
    guardSignal({ signal });
    const { body } = await this.#http.ask({
      method: "GET",
      path: "/v1/search",
      signal,
      query: {
        ...rest,
        label: labels && labelTexts(labels),
        since: instantText(since, "since"),
        before: instantText(before, "before"),
      },
    });
    const page = body as Omit<SearchPage, "items"> & { readonly items: readonly WireFound[] };
    return { ...page, items: page.items.map(foundOfWire) };
  }

  /**
   * Writes to several sessions in one commit: all of it, or nothing. It is sent once, as `write` of a session.
   * @throws SessionError as the local `write`
   */
  async write(writes: readonly WriteTo[]): Promise<WritesOutcome> {
    const body = {
      writes: Array.from(parseArray(writes, "writes"), (one, index) => {
        guardObject(one, `writes[${index}]`);
        const { id, ...write } = one;
        return { id, ...wireWrite(write) };
      }),
    };
    const answer = await this.#http.ask({ method: "POST", path: "/v1/write", body, once: true });
    return outcomesOfWire(answer.body as WireOutcomes);
  }

  /** The conversations of a user; another one's is `session_not_found`. @throws SessionError `argument_invalid` */
  conversations(owner: { readonly user: string }): RemoteConversations<RemoteSession> {
    guardNames(owner, "owner", ownerNames);
    const path = `/v1/users/${encodeURIComponent(parseId(owner.user, "user"))}/conversations`;
    return new RemoteConversations(this.#http, path, ({ id }) => this.get(id));
  }

  /** Makes a read-only link to a session. Only this call returns the token. @throws SessionError as the local `share` */
  async share(id: string, options: ShareOptions = {}): Promise<ShareInfo & { readonly token: string }> {
    return await shareOver(this.#http, pathOf(id), options);
  }

  /** The shares of a session that are valid. @throws SessionError `session_not_found` */
  async shares(id: string): Promise<readonly ShareInfo[]> {
    return await sharesOver(this.#http, pathOf(id));
  }

  /** Revokes a share by its id; false where the tenant has no such share. */
  async unshare(share: string): Promise<boolean> {
    const { body } = await this.#http.ask({ method: "DELETE", path: `/v1/shares/${encodeURIComponent(share)}` });
    return (body as { readonly revoked: boolean }).revoked;
  }

  /** The documents of a scope. @throws SessionError `id_invalid` */
  documents(scope: string): RemoteDocuments {
    return new RemoteDocuments(this.#http, scope);
  }

  /** One page of the tenant's events, by time. */
  async listEvents(query: EventQuery = {}): Promise<EventPage> {
    const { body } = await this.#http.ask({ method: "GET", path: "/v1/events", query: wireQuery(query) });
    const page = body as Page<WireTenantEvent>;
    return { ...page, items: page.items.map(tenantEventOfWire) };
  }

  /**
   * The tenant's events, oldest first, page by page; with `follow` also later ones, each once, across lost connections.
   * `before` is for pages only.
   * @throws SessionError `request_invalid`, `store_unavailable` if the server stays away
   */
  async *eachEvent(walk: Omit<EventWalk, "begun"> = {}): AsyncGenerator<TenantEvent, void, void> {
    guardObject(walk, "query");
    const { follow = false, signal, ...filter } = walk;
    guardSignal({ signal });
    if (follow) {
      yield* followedEvents(this.#http, wireQuery(filter), signal);
      return;
    }
    const isAborted = (): boolean => signal?.aborted === true;
    if (isAborted()) return;
    for await (const { items } of eachPage((after) => this.listEvents({ ...filter, ...after }))) {
      yield* items;
      if (isAborted()) return;
    }
  }

  /**
   * The news of the tenant, as `sessions.news`. A connection that breaks is resumed after the last cursor, at whichever instance
   * answers.
   * @throws SessionError `request_invalid` for a cursor of another form, `store_unavailable` if the server stays away
   */
  async *news(options: NewsOptions = {}): AsyncGenerator<News, void, void> {
    guardNames(options, "options", newsNames);
    const { after, signal } = options;
    const request = { method: "GET", path: "/v1/news", signal } as const;
    const resume = { ...defined({ lastId: after }), continues: () => Promise.resolve(true) };
    for await (const { event, id: cursor = "", data } of resumeEvents(this.#http, request, resume))
      if (event === "news") yield { cursor, items: (data as Pick<News, "items">).items };
  }

  /**
   * Sends a message to a live session, in whichever host it lives, activating it if needed. Resolves with its answer: a
   * value, or an async iterable of chunks. It is sent once: if the answer is lost, check what the message did before
   * sending it again.
   * @throws SessionError as `host.send`; `owner_unreachable`, `deadline_passed`; `store_unavailable` if the server
   *   cannot be reached or the connection breaks; `route_unknown` if the server has no host
   */
  async send(id: string, message: unknown, options: RemoteSendOptions = {}): Promise<unknown> {
    guardNames(options, "options", sendNames);
    const { create, signal } = options;
    const body = { message, ...defined({ create }) };
    return await sendOver(this.#http, { method: "POST", path: `${pathOf(id)}/messages`, body, signal });
  }

  /**
   * Removes a session with all its data, also one whose record cannot be read. Needs a key with the right `admin`.
   * @throws SessionError `session_not_found`, `legal_hold`
   */
  async remove(id: string): Promise<void> {
    await this.#http.ask({ method: "DELETE", path: pathOf(id), once: true });
  }

  /** Erases a user, or the guest of a device. Needs a key with the right `admin`; a repeated request returns the same receipt. */
  async erase(request: ErasureRequest): Promise<ErasureReceipt> {
    guardObject(request, "request");
    const { signal, ...rest } = request;
    const { body } = await this.#http.ask({ method: "POST", path: "/v1/erase", body: rest, signal });
    return body as ErasureReceipt;
  }

  /** Runs one bounded pass of the sweep. Needs a key with the right `admin`. */
  async sweep(request: SweepRequest = {}): Promise<SweepReport> {
    guardObject(request, "request");
    const { signal, ...rest } = request;
    const { body } = await this.#http.ask({ method: "POST", path: "/v1/sweep", body: rest, signal });
    return body as SweepReport;
  }

  /** Stats of the tenant's sessions. */
  async stats(query: RemoteStatsQuery = {}): Promise<Stats> {
    guardNames(query, "query", statsNames);
    const { by, since, limit } = query;
    const { body } = await this.#http.ask({
      method: "GET",
      path: "/v1/stats",
      query: { by, since: instantText(since, "since"), limit },
    });
    const stats = body as Stats & { at: string; since: string | null };
    return { ...stats, at: new Date(stats.at), since: stats.since === null ? null : new Date(stats.since) };
  }

  #session(body: unknown): RemoteSession {
    return new RemoteSession(this.#http, body as WireSession);
  }
}

function wireQuery(query: EventQuery): NonNullable<HttpRequest["query"]> {
  guardObject(query, "query");
  const { type, since, before, ...rest } = query;
  return {
    ...rest,
    type: type === undefined || typeof type === "string" ? type : parseArray(type, "type").join(","),
    since: instantText(since, "since"),
    before: instantText(before, "before"),
  };
}

/** @throws SessionError `argument_invalid` */
function instantText(date: Date | undefined, name: string): string | undefined {
  return date === undefined ? undefined : new Date(parseInstant(date, name)).toISOString();
}

function pathOf(id: string): string {
  return `/v1/sessions/${encodeURIComponent(id)}`;
}
