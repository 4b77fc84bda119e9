import type { SessionKey } from "../domain/record/entry.ts";
import { parseId } from "../domain/values/ids.ts";
import type { Limits } from "../domain/values/limits.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { guardObject } from "../domain/values/option-names.ts";
import { defined } from "../domain/values/defined.ts";
import { eachItem } from "../domain/values/pages.ts";
import type { Store } from "../store/store.ts";
import { Conversations } from "./conversations.ts";
import type { ConversationOwner } from "./conversations/reach.ts";
import { detachedForm } from "./attachments/detached.ts";
import { withObjects } from "./attachments/object-reads.ts";
import { Core } from "./core/core.ts";
import type { Seen } from "./core/seen.ts";
import { Devices } from "./devices.ts";
import { Documents } from "./documents.ts";
import { guardSecret } from "./devices/secret-check.ts";
import type { Subject } from "./erasure/subject.ts";
import { FallbackRouter, type Health } from "./fallback/fallback-router.ts";
import { Keys } from "./keys.ts";
import { writeManyOn, type WritesOutcome, type WriteTo } from "./logs/write-many.ts";
import { newsOn, type NewsOptions } from "./news.ts";
import { createSession, ensureSession, getSession, lookAtSession, type SessionWithLook } from "./open-session.ts";
import type { TailQuery } from "./session/look.ts";
import type { Model } from "./options/model.ts";
import { checkedOptions, type Agent, type SessionsOptions } from "./options/options.ts";
import type { News } from "./polling/news-feed.ts";
import type { SearchPage, SearchQuery } from "./search/search.ts";
import {
  listShares,
  openShareOn,
  shareOn,
  unshareOn,
  type SharedSession,
  type ShareInfo,
  type ShareOptions,
} from "./shares.ts";
import { Streams } from "./streams.ts";
import { LateTitles } from "./titles/late-titles.ts";
import { SweepTimer } from "./retention/sweep-timer.ts";
import type { CreateOptions, EnsureOptions } from "./session/opening.ts";
import type { SessionInfo } from "./session/session-info.ts";
import { countOn, listOn, type ListQuery, type SessionPage, type SessionSelection } from "./session/session-list.ts";
import { Session } from "./session/session.ts";
import type { SessionSnapshot } from "./snapshots/snapshot-text.ts";
import type { EventPage, EventQuery, EventWalk, TenantEvent } from "./tenant-events.ts";
import { traceCall } from "./tracing/operation.ts";
import type { RestoreOptions } from "./transfer/snapshots.ts";

/**
 * The core behind a `Sessions` object, for the layers of this package that build on it.
 * @throws SessionError `argument_invalid` for anything else
 */
export let coreOf: (sessions: Sessions) => Core;
/** The fallback of the store, if there is one. */
export let fallbackOf: (sessions: Sessions) => Subject["fallback"];
/**
 * Sessions on an open store; closing them closes the store. With an `outbox`, another store, sessions that are opened while
 * the first one is away are buffered there and replayed later.
 * @throws SessionError for invalid options
 */
export let sessionsOn: (store: Store, options?: SessionsOptions, outbox?: Store) => Sessions;
/**
 * As {@link sessionsOn}, once the secret is that of the store. The store stays open after an error.
 * @throws SessionError `secret_mismatch`
 */
export let guardedSessionsOn: (store: Store, options?: SessionsOptions, outbox?: Store) => Promise<Sessions>;

/** The same sessions, seen by a tenant; `close` closes this object, once, instead of the store. */
export let viewOf: (sessions: Sessions, tenant: string, close: () => Promise<void>) => Sessions;

/** The sessions of one tenant in one store. What few programs ask for is imported when it is asked for. */
export class Sessions implements AsyncDisposable {
  static {
    coreOf = (sessions) => {
      if (typeof sessions === "object" && sessions !== null && #core in sessions) return sessions.#core;
      throw invalidArgument("sessions", sessions, { expected: "sessions" });
    };
    fallbackOf = (sessions) => sessions.#router.fallback;
    viewOf = (sessions, tenant, close) => new Sessions(sessions.#router, tenant, close);
    const coreFor = (store: Store, options: SessionsOptions, outbox: Store | undefined): Core => {
      const resolved = checkedOptions(options);
      // With a fallback, the first call that does not reach the store opens the circuit breaker.
      const failuresMax = outbox === undefined ? undefined : 1;
      return new Core(store, resolved, defined({ failuresMax, form: detachedForm, objects: withObjects }));
    };
    const withCore = (core: Core, tenant: string, outbox: Store | undefined): Sessions => {
      const resolved = core.options;
      const timer = resolved.sweep === null ? undefined : new SweepTimer(core, resolved.sweep.everyMs);
      const titles = resolved.titles === undefined ? undefined : new LateTitles(core, resolved.titles);
      const fallback = outbox === undefined ? undefined : new Core(outbox, resolved, { isFallback: true });
      const router = new FallbackRouter(core, fallback);
      return new Sessions(router, tenant, async () => {
        await timer?.stop();
        await titles?.stop();
        await router.close();
      });
    };
    sessionsOn = (store, options = {}, outbox) => {
      return withCore(coreFor(store, options, outbox), options.tenant ?? "default", outbox);
    };
    guardedSessionsOn = async (store, options = {}, outbox) => {
      const core = coreFor(store, options, outbox);
      await guardSecret(core);
      return withCore(core, options.tenant ?? "default", outbox);
    };
  }

  readonly tenant: string;
  /** Devices of this tenant: link codes, claims, and many at once. */
  readonly devices: Devices;
  /** Streams of any kind of parts, with one producer and readers in any process. */
  readonly streams: Streams;
  /** Keys of operators, for all tenants of the store. */
  readonly keys: Keys;
  readonly #core: Core;
  readonly #router: FallbackRouter;
  readonly #close: () => Promise<void>;
  #closing: Promise<void> | undefined;

  private constructor(router: FallbackRouter, tenant: string, close: () => Promise<void>) {
    const { core } = router;
    this.#router = router;
    this.#core = core;
    this.tenant = tenant;
    this.devices = new Devices(router, tenant);
    this.streams = new Streams(core, tenant);
    this.keys = new Keys(core);
    this.#close = close;
  }

  /** The known agents by name, in their order; undefined where none were named. */
  get agents(): ReadonlyMap<string, Agent> | undefined {
    return this.#core.options.agents;
  }

  /** The model that `consult` calls if no other one is named. */
  get model(): Model | undefined {
    return this.#core.options.model;
  }

  /** The limits that hold here. */
  get limits(): Limits {
    return this.#core.options.limits;
  }

  /** The same store, seen by another tenant. Closing either closes both. */
  for(tenant: string): Sessions {
    return new Sessions(this.#router, parseId(tenant, "tenant"), () => this.close());
  }

  /** Documents of one scope: small values under keys, outside of any session. @throws SessionError `id_invalid` */
  documents(scope: string): Documents {
    return new Documents(this.#core, this.tenant, scope);
  }

  /**
   * The conversations of a device or of a user: to list, create, open, rename, pin, remove and search. No other one's is found.
   * @throws SessionError `argument_invalid`, `id_invalid`
   */
  conversations(owner: ConversationOwner): Conversations {
    return new Conversations(this.#core, this.tenant, owner);
  }

  /**
   * Create a session.
   * @throws SessionError `session_exists`, `agent_unknown`, `id_invalid`, `duration_invalid`, `metadata_too_large`
   */
  async create(options: CreateOptions = {}): Promise<Session> {
    return await createSession(this.#router, this.tenant, options);
  }

  /**
   * The session with this id, created where there is none. The options shape a new one only; an existing one keeps its own.
   * @throws SessionError `session_expired` (see `onExpired`), `session_ended`, `session_archived`, and as `create`
   */
  async ensure(id: string, options: EnsureOptions = {}): Promise<Session> {
    return await ensureSession(this.#router, { tenant: this.tenant, id }, options);
  }

  /**
   * The session with this id, whatever its state. With the `info.seen` of an earlier look at it, turns are written only
   * where none came since.
   * @throws SessionError `session_not_found`
   */
  async get(id: string, options: { readonly seen?: Seen } = {}): Promise<Session> {
    return await getSession(this.#router, { tenant: this.tenant, id }, options);
  }

  /**
   * Get a session and look at it, in one round trip: `get` and `Session.look` together.
   * @throws SessionError `session_not_found`, and as `Session.look`
   */
  async look(id: string, tails: readonly TailQuery[] = []): Promise<SessionWithLook> {
    return await lookAtSession(this.#router, { tenant: this.tenant, id }, tails);
  }

  /** One page of sessions. @throws SessionError `argument_invalid`, `id_invalid` */
  async list(query: ListQuery = {}): Promise<SessionPage> {
    const { tenant } = this;
    return await traceCall({ operation: "list", tenant }, () => listOn(this.#core, tenant, query));
  }

  /**
   * All sessions that match, by id, one page in memory at a time. A session that exists throughout is found once, whatever
   * changes meanwhile. Damaged sessions are skipped; `list` and the doctor name them.
   * @throws SessionError as `list`
   */
  each(selection: SessionSelection = {}): AsyncGenerator<SessionInfo, void, undefined> {
    guardObject(selection, "query");
    return eachItem((after) => this.list({ ...selection, order: "id", ...after }));
  }

  /** One page of the events of the tenant's sessions, by time. @throws SessionError `argument_invalid`, `id_invalid` */
  async listEvents(query: EventQuery = {}): Promise<EventPage> {
    return await traceCall({ operation: "listEvents", tenant: this.tenant }, async () => {
      this.#core.guardOpen();
      const { findEvents } = await import("./tenant-events.ts");
      return await findEvents(this.#core, this.tenant, query);
    });
  }

  /**
   * The events of the tenant's sessions, oldest first, one page in memory at a time; with `follow` also later events,
   * in any process, within a second.
   * @throws SessionError `argument_invalid`, `id_invalid`, `closed`
   */
  eachEvent(walk: EventWalk = {}): AsyncIterable<TenantEvent> {
    this.#core.guardOpen();
    guardObject(walk, "query");
    return this.#walkEvents(walk);
  }

  async *#walkEvents(walk: EventWalk): AsyncGenerator<TenantEvent, void, void> {
    const { walkEvents } = await import("./tenant-events.ts");
    yield* walkEvents(this.#core, this.tenant, walk);
  }

  /**
   * The news of the tenant: its sessions, streams and documents, as they change, in any process, within half a second. Items are
   * positions, each session at least with its last state. A reader that passes the last cursor continues where it stopped.
   * @throws SessionError `argument_invalid` for a cursor of another form or an option that does not exist, `closed`, or the store's
   */
  news(options: NewsOptions = {}): AsyncGenerator<News, void, undefined> {
    return newsOn(this.#core, this.tenant, options);
  }

  /**
   * One session as a document that can be kept, sent and restored: as it is at this moment, while its writers continue.
   * @throws SessionError `session_not_found`, `snapshot_too_large`
   */
  async snapshot(id: string): Promise<SessionSnapshot> {
    return await traceCall({ operation: "snapshot", tenant: this.tenant, session: id }, async () => {
      this.#core.guardOpen();
      const { takeSnapshot } = await import("./transfer/snapshots.ts");
      return await takeSnapshot(this.#core, this.#key(id));
    });
  }

  /**
   * A session from a snapshot, or from the text or the bytes of one: in this tenant, with the numbers, times and usage its
   * turns had. It comes whole or not at all.
   * @throws SessionError `snapshot_invalid`, `snapshot_newer`, `snapshot_too_large`, `session_exists`, `busy`, `id_invalid`
   */
  async restore(snapshot: SessionSnapshot | string | Uint8Array, options: RestoreOptions = {}): Promise<Session> {
    const { tenant } = this;
    return await traceCall({ operation: "restore", tenant }, async () => {
      const { guardRestoreOptions, parseOnExists, restoreOn } = await import("./transfer/snapshots.ts");
      guardRestoreOptions(options);
      const { readSnapshot } = await import("./snapshots/snapshot-reader.ts");
      const onExists = parseOnExists(options.onExists);
      const { limits } = this.#core.options;
      const source = await readSnapshot(snapshot, { source: "snapshot", limits });
      return new Session(await restoreOn(this.#core, source, { ...options, onExists, tenant }));
    });
  }

  /** How many sessions match; the store counts them. @throws SessionError `argument_invalid` */
  async count(selection: SessionSelection = {}): Promise<number> {
    const { tenant } = this;
    return await traceCall({ operation: "count", tenant }, () => countOn(this.#core, tenant, selection));
  }

  /**
   * One page of the messages and titles that have all words of a text, the newest first. The first search builds the index,
   * and later ones bring it up to date: the result has what was committed before the call, unless `isCurrent` is false.
   * @throws SessionError `argument_invalid`, `id_invalid`, `session_not_found` for a `session` that does not exist
   */
  async search(query: SearchQuery): Promise<SearchPage> {
    const { tenant } = this;
    return await traceCall({ operation: "search", tenant }, async () => {
      const { searchOn } = await import("./search/search.ts");
      return await searchOn(this.#core, tenant, query);
    });
  }

  /**
   * Make a read-only link: a token that opens this one session, until it expires or is revoked. Only this call returns the token.
   * @throws SessionError `session_not_found`, `shares_exceeded`, `duration_invalid` for more than a year
   */
  async share(id: string, options: ShareOptions = {}): Promise<ShareInfo & { readonly token: string }> {
    return await shareOn(this.#core, this.tenant, id, options);
  }

  /** The shares of a session that are valid, at most 100. @throws SessionError `session_not_found` */
  async shares(id: string): Promise<readonly ShareInfo[]> {
    return await listShares(this.#core, this.tenant, id);
  }

  /** Revoke a share by its id: from now on its token opens nothing, in any process. False where the tenant has no such share. */
  async unshare(share: string): Promise<boolean> {
    return await unshareOn(this.#core, this.tenant, share);
  }

  /**
   * The session that a token shares, of any tenant, to read.
   * @throws SessionError `share_not_found`, the same for an unknown, a revoked and an expired token, and for a removed session
   */
  async openShare(token: string): Promise<SharedSession> {
    return await openShareOn(this.#core, token);
  }

  /**
   * Write to several sessions in one commit: all of the writes land together, or none.
   * @throws SessionError as `write` of a session, `session_not_found`
   */
  async write(writes: readonly WriteTo[]): Promise<WritesOutcome> {
    const { tenant } = this;
    return await traceCall({ operation: "write", tenant }, () => writeManyOn(this.#core, tenant, writes));
  }

  /** Whether the store is there, and what waits for it. Asks the store nothing. */
  async health(): Promise<Health> {
    return await this.#router.health();
  }

  /** Seal what is in progress, give back leases, let writes land and close the store. Calling it again does nothing. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #key(id: string): SessionKey {
    return { tenant: this.tenant, id: parseId(id, "sessionId") };
  }
}
