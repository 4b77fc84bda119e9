/** The sessions of the ADK: events in one log, the state in another, and what sessions share in documents. */
import { randomUUID } from "node:crypto";
import { defined } from "../../domain/values/defined.ts";
import {
  hasCode,
  idFor,
  SessionError,
  type Documents,
  type Lifetime,
  type LogEntry,
  type Onto,
  type Session,
  type SessionInfo,
  type Sessions,
  type SessionSelection,
  type SessionWrite,
} from "../../index.ts";
import { keyPart } from "../keys/composed-keys.ts";
import {
  appendInMemory,
  type AdkEvent,
  type AdkGetSession,
  type AdkListSessions,
  type AdkNewSession,
  type AdkSession,
  type AdkSessionKey,
  type AdkSessionList,
} from "./package-adk.ts";
import { createdKey, documentScope, mergedState, stateLog, stateWrites } from "./scopes.ts";
import { storedEvent } from "./stored-events.ts";

/** How the service opens sessions, and what it does about appends to an outdated object. */
export interface ServiceSettings {
  readonly ttl: Lifetime | undefined;
  readonly onConflict: "fail" | "reload";
}

/** The log of the events. */
const eventsLog = "adk";

/** The label of the sessions of an app. */
const appLabel = "adk-app";

/** Attempts of one append while other writers change the same session. */
const attemptsMax = 100;

/** What an object of the ADK has seen of its session. */
interface View {
  readonly session: Session;
  onto: Onto;
}

/** The `BaseSessionService` of the ADK. Made by `adkSessions`. */
export class AdkSessions {
  readonly #sessions: Sessions;
  readonly #documents: Documents;
  readonly #settings: ServiceSettings;
  readonly #views = new WeakMap<AdkSession, View>();
  /** The last append of each object that has one. */
  readonly #appends = new WeakMap<AdkSession, Promise<unknown>>();

  constructor(sessions: Sessions, settings: ServiceSettings) {
    this.#sessions = sessions;
    this.#documents = sessions.documents(documentScope);
    this.#settings = settings;
  }

  /**
   * Create a session. Values under `app:` and `user:` become those of the app and of the user.
   * @throws SessionError `session_exists`, `value_unstorable`
   */
  async createSession({ appName, userId, state = {}, sessionId }: AdkNewSession): Promise<AdkSession> {
    const key = { appName, userId, sessionId: sessionId === undefined || sessionId === "" ? randomUUID() : sessionId };
    const { entries, documents } = stateWrites(key, state);
    const session = await this.#sessions.ensure(idOf(key), defined({ user: idFor(userId), ttl: this.#settings.ttl }));
    // The session exists for the ADK from this commit on: one that a crash left without it is created by the next call.
    const written = await session.write({
      logs: { [stateLog]: { entries: [{ key: createdKey, value: true }, ...entries] } },
      documents,
      set: { labels: { [appLabel]: keyPart(appName) }, metadata: { ...session.info.metadata, adk: { ...key } } },
    });
    if (written.status === "duplicate") throw new SessionError("session_exists", { sessionId: session.id });
    const created = { id: key.sessionId, appName, userId, state: {}, events: [], lastUpdateTime: 0 };
    await this.#load(created, session);
    return created;
  }

  /** The session with its state and events; undefined if there is none. */
  async getSession({ config = {}, ...key }: AdkGetSession): Promise<AdkSession | undefined> {
    const session = await this.#find(key);
    if (session === undefined) return undefined;
    const { appName, userId, sessionId } = key;
    const found = { id: sessionId, appName, userId, state: {}, events: [], lastUpdateTime: 0 };
    await this.#load(found, session, config);
    return found;
  }

  /** The session; it is created where there is none. @throws SessionError as `createSession` */
  async getOrCreateSession(request: AdkNewSession): Promise<AdkSession> {
    const { appName, userId, sessionId } = request;
    if (sessionId === undefined || sessionId === "") return await this.createSession(request);
    const key = { appName, userId, sessionId };
    const found = await this.getSession(key);
    if (found !== undefined) return found;
    try {
      return await this.createSession(request);
    } catch (error) {
      if (!hasCode(error, "session_exists")) throw error;
      return (await this.getSession(key)) ?? (await this.createSession(request));
    }
  }

  /** One page of the sessions of an app, without their events and states, by the time of their last activity. */
  async listSessions(request: AdkListSessions): Promise<AdkSessionList> {
    const { appName, userId, limit, order } = request;
    const selection: SessionSelection = defined({
      labels: { [appLabel]: keyPart(appName) },
      user: userId === undefined ? undefined : idFor(userId),
    });
    const offset =
      request.page === undefined || limit === undefined ? (request.offset ?? 0) : (request.page - 1) * limit;
    const listed: AdkSession[] = [];
    for await (const info of this.#sessions.each(selection)) {
      const session = listedSession(info);
      if (session !== undefined) listed.push(session);
    }
    if (order !== undefined) listed.sort((a, b) => byTime(a, b, order));
    const totalItems = listed.length;
    const sessions = listed.slice(offset, limit === undefined ? undefined : offset + limit);
    if (limit === undefined)
      return { sessions, page: 1, limit: totalItems, totalItems, totalPages: totalItems === 0 ? 0 : 1 };
    const page = request.page ?? (limit === 0 ? 1 : Math.floor(offset / limit) + 1);
    return { sessions, page, limit, totalItems, totalPages: limit === 0 ? 0 : Math.ceil(totalItems / limit) };
  }

  /** Delete a session with its events and its own state. @throws SessionError `legal_hold`, `busy` */
  async deleteSession(key: AdkSessionKey): Promise<void> {
    const session = await this.#find(key);
    try {
      await session?.remove();
    } catch (error) {
      if (!hasCode(error, "session_not_found")) throw error;
    }
  }

  /**
   * Store an event with the changes of the state that it has, in one commit, and add it to the given object. An event with the id of a
   * stored one takes its place. A partial event is returned, and not stored.
   * @throws SessionError `conflict` if another writer has appended since the object was read, `session_not_found`,
   *   `value_unstorable`, `write_too_large`
   */
  async appendEvent({ session, event }: { session: AdkSession; event: AdkEvent }): Promise<AdkEvent> {
    if (event.partial === true) return event;
    // Agents that run beside each other append to one object: each append decides on the one before it.
    const before = this.#appends.get(session) ?? Promise.resolve();
    const work = before.catch(() => undefined).then(() => this.#append(session, event));
    this.#appends.set(session, work);
    return await work;
  }

  async #append(adk: AdkSession, given: AdkEvent): Promise<AdkEvent> {
    const append = await appendInMemory();
    for (let attempt = 1; ; attempt++) {
      const view = this.#views.get(adk) ?? (await this.#viewOf(adk));
      // The ADK decides which changes of the state are newer than those of agents that run beside this one.
      const event = await append({ session: { ...adk, events: [] }, event: given });
      const changed = Object.entries(event.actions?.stateDelta ?? {}).filter(([name, value]) =>
        Object.is(adk.state[name], value),
      );
      const { entries, documents } = stateWrites(adk, Object.fromEntries(changed));
      const stored = { key: idFor(event.id), value: storedEvent(event), ifPresent: "replace" as const };
      const logs = {
        [eventsLog]: { entries: [stored] },
        ...(entries.length === 0 ? {} : { [stateLog]: { entries } }),
      };
      try {
        view.onto = await this.#write(view.session, { logs, documents, onto: view.onto });
      } catch (error) {
        if (!hasCode(error, "conflict") || this.#settings.onConflict === "fail") throw error;
        if (attempt === attemptsMax)
          throw new SessionError("contended", { sessionId: view.session.id, attempts: attempt });
        await this.#load(adk, view.session);
        continue;
      }
      const at = adk.events.findIndex(({ id }) => id === event.id);
      if (at === -1) adk.events.push(event);
      else adk.events[at] = event;
      adk.lastUpdateTime = view.session.info.lastActivityAt.getTime();
      return event;
    }
  }

  async #find(key: AdkSessionKey): Promise<Session | undefined> {
    try {
      const session = await this.#sessions.get(idOf(key));
      return session.info.logs[stateLog] === undefined ? undefined : session;
    } catch (error) {
      if (hasCode(error, "session_not_found")) return undefined;
      throw error;
    }
  }

  /** The version after a write to a session, which is revived if its time to live has passed. */
  async #write(session: Session, write: SessionWrite): Promise<number> {
    const written = await session.write(write).catch(async (error: unknown) => {
      if (!hasCode(error, "session_expired")) throw error;
      await this.#sessions.ensure(session.id, { onExpired: "revive" });
      return await session.write(write);
    });
    if (written.status === "ok") return written.version;
    throw new SessionError("conflict", { sessionId: session.id, log: written.log });
  }

  /** Fills an object with what is stored of its session. */
  async #load(adk: AdkSession, session: Session, config: AdkGetSession["config"] = {}): Promise<void> {
    const { info, marks, version } = await session.look([
      { log: eventsLog, last: 0 },
      { log: stateLog, last: 0 },
    ]);
    const { numRecentEvents, afterTimestamp } = config;
    const end = info.logs[eventsLog]?.end ?? 0;
    const from = numRecentEvents === undefined || numRecentEvents === 0 ? 1 : Math.max(1, end - numRecentEvents + 1);
    const [entries, own] = await Promise.all([
      end === 0 ? [] : Array.fromAsync(session.log(eventsLog).entries({ from, to: end })),
      Array.fromAsync(session.log(stateLog).between({})),
    ]);
    adk.state = await mergedState(this.#documents, adk, own);
    adk.events = eventsAfter(entries, afterTimestamp);
    adk.lastUpdateTime = info.lastActivityAt.getTime();
    this.#views.set(adk, { session, onto: { version, marks } });
  }

  /** The view of an object that this service did not make, such as a copy: it is up to date if it has the last event. */
  async #viewOf(adk: AdkSession): Promise<View> {
    const { appName, userId, id: sessionId } = adk;
    const session = await this.#find({ appName, userId, sessionId });
    if (session === undefined)
      throw new SessionError("session_not_found", { sessionId: idOf({ appName, userId, sessionId }) });
    const { tails, marks, version } = await session.look([
      { log: eventsLog, last: 1 },
      { log: stateLog, last: 0 },
    ]);
    const [last] = tails[0] ?? [];
    const isSeen = last === undefined || last.key === idFor(adk.events.at(-1)?.id ?? "");
    const view = { session, onto: { version, marks } };
    if (isSeen) this.#views.set(adk, view);
    else if (this.#settings.onConflict === "fail")
      throw new SessionError("conflict", { sessionId: session.id, log: eventsLog });
    else await this.#load(adk, session);
    return this.#views.get(adk) ?? view;
  }
}

function idOf({ appName, userId, sessionId }: AdkSessionKey): string {
  return `adk/${[appName, userId, sessionId].map(keyPart).join("/")}`;
}

/** The newest events at or after a time, in the order of the log. @param after epoch ms; 0 or undefined: all */
function eventsAfter(entries: readonly LogEntry[], after = 0): AdkEvent[] {
  const events = entries.map(({ value }) => value as unknown as AdkEvent);
  if (after === 0) return events;
  return events.slice(events.findLastIndex(({ timestamp }) => timestamp < after) + 1);
}

/** The session as a list has it; undefined for a fork, which the ADK has no id for. */
function listedSession({ id, metadata, lastActivityAt }: SessionInfo): AdkSession | undefined {
  const key = metadata["adk"] as unknown as AdkSessionKey | undefined;
  if (key === undefined || id !== idOf(key)) return undefined;
  const { appName, userId, sessionId } = key;
  return { id: sessionId, appName, userId, state: {}, events: [], lastUpdateTime: lastActivityAt.getTime() };
}

function byTime(a: AdkSession, b: AdkSession, order: "asc" | "desc"): number {
  const later = a.lastUpdateTime - b.lastUpdateTime;
  return (order === "asc" ? later : -later) || a.id.localeCompare(b.id);
}
