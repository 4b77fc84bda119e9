import { createSession, restartSession, reviveSession, type Logs, type NewSession } from "../domain/lifecycle.ts";
import { headOf, type Transaction } from "../domain/change.ts";
import { parseDuration, type Duration } from "../domain/duration.ts";
import type { Entry, LogName, SessionKey } from "../domain/entry.ts";
import { parseId, sortableId } from "../domain/ids.ts";
import type { Metadata, SessionRecord } from "../domain/record.ts";
import { sessionStates, stateAt, type SessionState } from "../domain/states.ts";
import { show } from "../domain/show.ts";
import { SessionError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import { Core } from "./core.ts";
import { Handle } from "./handle.ts";
import { parseMetadata } from "./metadata.ts";
import { resolveOptions, type SessionsOptions } from "./options.ts";
import { Session } from "./session.ts";
import { infoOf, type SessionInfo } from "./session-info.ts";
import { sweep, type SweepReport, type SweepRequest } from "./sweep.ts";
import { SweepTimer } from "./sweep-timer.ts";

/** How a new session begins. */
export interface NewSessionOptions {
  /** Whom the session is for. @default "assistant" */
  readonly agent?: string;
  readonly user?: string;
  readonly metadata?: Metadata;
  /** The startup context, kept with the session. @default the agent's */
  readonly instructions?: string;
  /** Life after the last activity. @default that of the user, the agent, or `openSessions`, in this order */
  readonly ttl?: Duration;
  /** Life after creation, whatever the activity. @default that of `openSessions` */
  readonly maxAge?: Duration;
}

/** What `create` takes. */
export interface CreateOptions extends NewSessionOptions {
  /** 1 to 256 characters, no control characters. @default the agent's name and a sortable id */
  readonly id?: string;
}

/** What `ensure` takes. */
export interface EnsureOptions extends NewSessionOptions {
  /**
   * What to do with a session whose time is up: fail, go on with it, or start afresh and keep the old one under an id of
   * its own. @default "fail"
   */
  readonly onExpired?: "fail" | "revive" | "restart";
}

/** Which sessions to list. */
export interface ListQuery {
  readonly agent?: string;
  readonly user?: string;
  /** @default any */
  readonly state?: SessionState | readonly SessionState[];
  /** Last active at or after. */
  readonly activeSince?: Date;
  /** Last active before. */
  readonly activeBefore?: Date;
  /** Sessions on the page. @default 100 */
  readonly limit?: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

/** One page of a list. */
export interface SessionPage {
  /** The most recently active first, to the minute. */
  readonly sessions: readonly SessionInfo[];
  /** Pass it as `after` for the next page; absent on the last one. */
  readonly next?: string;
}

/** The sessions of one tenant in one store. */
export class Sessions implements AsyncDisposable {
  readonly tenant: string;
  readonly #core: Core;
  readonly #timer: SweepTimer | undefined;

  private constructor(core: Core, tenant: string, timer: SweepTimer | undefined) {
    this.#core = core;
    this.tenant = tenant;
    this.#timer = timer;
  }

  /** Sessions on a store; closing them closes it. @throws SessionError for wrong options */
  static on(store: Store, options: SessionsOptions = {}): Sessions {
    const resolved = resolveOptions(options);
    const tenant = parseId(options.tenant ?? "default", "tenant");
    const core = new Core(store, resolved);
    const timer = resolved.sweep === null ? undefined : new SweepTimer(core, resolved.sweep.everyMs);
    return new Sessions(core, tenant, timer);
  }

  /** The same store, seen by another tenant. Closing either closes both. */
  for(tenant: string): Sessions {
    return new Sessions(this.#core, parseId(tenant, "tenant"), this.#timer);
  }

  /**
   * Create a session.
   * @throws SessionError `session_exists`, `agent_unknown`, `id_invalid`, `duration_invalid`, `metadata_too_large`
   */
  async create({ id, ...options }: CreateOptions = {}): Promise<Session> {
    const session = this.#newSession(id, options);
    const created = await this.#create(session);
    if (created !== undefined) return created;
    throw new SessionError("session_exists", { sessionId: session.key.id, tenant: this.tenant });
  }

  /**
   * The session with this id, created where there is none. The options shape a new one only; an existing one keeps its own.
   * @throws SessionError `session_expired` (see `onExpired`), `session_ended`, `session_archived`, and as `create`
   */
  async ensure(id: string, { onExpired = "fail", ...options }: EnsureOptions = {}): Promise<Session> {
    parseOnExpired(onExpired);
    const fresh = this.#newSession(id, options);
    for (;;) {
      const loaded = await this.#core.find(fresh.key);
      if (loaded === undefined) {
        const created = await this.#create(fresh);
        if (created !== undefined) return created;
        continue; // somebody else created it between our look and our write
      }
      const { record } = loaded;
      const state = stateAt(record, this.#core.now());
      if (state === "active" || state === "inactive") return new Session(new Handle(this.#core, record));
      const ids = { sessionId: id, tenant: this.tenant };
      if (state === "ended") throw new SessionError("session_ended", ids);
      if (state === "archived") throw new SessionError("session_archived", ids);
      if (onExpired === "fail") throw new SessionError("session_expired", { ...ids, expiresAt: record.expiresAt });
      const handle = new Handle(this.#core, record);
      if (onExpired === "revive") {
        await handle.write((draft, context) => reviveSession(draft, context), { recovers: "dead" });
        return new Session(handle);
      }
      if (await this.#restart(handle, fresh)) return await this.get(id);
    }
  }

  /** The session with this id, whatever its state. @throws SessionError `session_not_found` */
  async get(id: string): Promise<Session> {
    this.#core.guardOpen();
    const { record } = await this.#core.load(this.#key(id));
    return new Session(new Handle(this.#core, record));
  }

  /** One page of sessions, the most recently active first. @throws SessionError `argument_invalid` */
  async list(query: ListQuery = {}): Promise<SessionPage> {
    this.#core.guardOpen();
    const { agent, user, state, activeSince, activeBefore, after } = query;
    const { now } = await this.#core.store.instances([]);
    const page = await this.#core.store.find({
      order: "recent",
      tenant: this.tenant,
      now,
      limit: parseLimit(query.limit ?? 100, this.#core.options.limits.pageMax),
      ...(agent === undefined ? {} : { agent }),
      ...(user === undefined ? {} : { user }),
      ...(state === undefined ? {} : { states: parseStates(state) }),
      ...(activeSince === undefined ? {} : { activeSince: instant(activeSince, "activeSince") }),
      ...(activeBefore === undefined ? {} : { activeBefore: instant(activeBefore, "activeBefore") }),
      ...(after === undefined ? {} : { after }),
    });
    const sessions = page.records.map((record) => infoOf(record, now));
    return page.next === undefined ? { sessions } : { sessions, next: page.next };
  }

  /** End a session for good; it stays readable. @throws SessionError `session_not_found`, `busy`, `turn_open` */
  async end(id: string): Promise<void> {
    await (await this.get(id)).end();
  }

  /** Remove a session with everything in it. @throws SessionError `session_not_found` */
  async remove(id: string): Promise<void> {
    await (await this.get(id)).remove();
  }

  /**
   * One bounded pass over this tenant's sessions: marks what has expired and, past the retention time, removes it.
   * Long-lived processes do this for all tenants by themselves; elsewhere call it from cron.
   */
  async sweep(request: SweepRequest = {}): Promise<SweepReport> {
    this.#core.guardOpen();
    return await sweep(this.#core, this.tenant, request);
  }

  /** Seal what is in progress, give back leases, let writes land and close the store. Calling it again does nothing. */
  async close(): Promise<void> {
    await this.#timer?.stop();
    await this.#core.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #key(id: string): SessionKey {
    return { tenant: this.tenant, id: parseId(id, "session id") };
  }

  #newSession(id: string | undefined, options: NewSessionOptions): NewSession {
    const core = this.#core;
    core.guardOpen();
    const agent = parseId(options.agent ?? "assistant", "agent");
    const profile = core.agent(agent);
    const user = options.user === undefined ? null : parseId(options.user, "user");
    const ttl = options.ttl ?? (user === null ? undefined : core.options.ttlOfUser(user)) ?? profile.ttl;
    const { clock } = core.options;
    return {
      key: this.#key(id ?? `${agent}_${sortableId(core.now(), clock.random(16))}`),
      agent,
      user,
      metadata: parseMetadata(options.metadata ?? {}),
      ttlMs: ttl === undefined ? core.options.ttlMs : parseDuration(ttl, "ttl"),
      maxAgeMs: options.maxAge === undefined ? core.options.maxAgeMs : parseDuration(options.maxAge, "maxAge"),
      instructions: options.instructions ?? profile.instructions ?? null,
    };
  }

  /** Undefined where a session of this id exists. */
  async #create(session: NewSession): Promise<Session | undefined> {
    const change = createSession(session, this.#core.context());
    const outcome = await this.#core.commit([change]);
    if (outcome.status !== "ok" || change.record === null) return undefined;
    return new Session(new Handle(this.#core, change.record));
  }

  /** False where the session changed meanwhile and must be looked at again. */
  async #restart(handle: Handle, session: NewSession): Promise<boolean> {
    // A turn that a dead writer left open is sealed first; a living writer's session is not restarted under it.
    await handle.putInOrder();
    const { record } = handle;
    const context = this.#core.context();
    const archiveId = parseId(
      `${record.id.slice(0, 220)}.${sortableId(context.now, this.#core.options.clock.random(16))}`,
      "archive id",
    );
    const logs = await this.#wholeLogs(record);
    const transaction: Transaction = restartSession(record, { session, archiveId, logs }, context);
    return (await this.#core.commit(transaction)).status === "ok";
  }

  async #wholeLogs(record: SessionRecord): Promise<Logs> {
    const logs = new Map<LogName, readonly Entry[]>();
    for (const log of Object.keys(record.heads)) {
      const entries: Entry[] = [];
      for (const to = headOf(record, log); entries.length < to;) {
        const range = {
          log,
          from: entries.length + 1,
          to,
          order: "ascending",
          limit: 500,
        } as const;
        const page = await this.#core.store.read(record, range);
        if (page.length === 0) break; // it changed meanwhile: the commit will say so
        entries.push(...page);
      }
      logs.set(log, entries);
    }
    return logs;
  }
}

function parseOnExpired(value: string): void {
  if (["fail", "revive", "restart"].includes(value)) return;
  throw new SessionError("argument_invalid", {
    name: "onExpired",
    value: show(value),
    expected: "fail, revive or restart",
  });
}

function parseLimit(limit: number, limitMax: number): number {
  if (Number.isSafeInteger(limit) && limit >= 1 && limit <= limitMax) return limit;
  throw new SessionError("argument_invalid", {
    name: "limit",
    value: show(limit),
    expected: `1 to ${limitMax}`,
  });
}

function parseStates(state: SessionState | readonly SessionState[]): readonly SessionState[] {
  const states = typeof state === "string" ? [state] : state;
  const unknown = states.find((one) => !sessionStates.includes(one));
  if (unknown === undefined) return states;
  throw new SessionError("argument_invalid", {
    name: "state",
    value: show(unknown),
    expected: sessionStates.join(", "),
  });
}

function instant(date: Date, name: string): number {
  const ms = date instanceof Date ? date.getTime() : Number.NaN;
  if (Number.isFinite(ms)) return ms;
  throw new SessionError("argument_invalid", { name, value: show(date), expected: "a valid Date" });
}
