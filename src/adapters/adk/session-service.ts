/**
 * The sessions of the ADK: events in one log, their contents as turns, the state in another log, and the values that sessions share in
 * documents. An event, its turn and its values are one commit.
 */
import { defined } from "../../domain/values/defined.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import {
  hasCode,
  idFor,
  sameValue,
  SessionError,
  type Documents,
  type Lifetime,
  type Onto,
  type Session,
  type SessionInfo,
  type SessionLook,
  type Sessions,
  type SessionSelection,
  type SessionWrite,
  type WriteOutcome,
} from "../../index.ts";
import { keyPart } from "../keys/composed-keys.ts";
import { namedSession } from "../keys/named-session.ts";
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
import { placedEvent, replacedEvent, type LastTurn, type PlacedEvent } from "./events-in-turns.ts";
import { createdKey, documentScope, mergedState, stateLog, stateWrites } from "./scopes.ts";
import { entryOf, readEntry, storedEvent } from "./stored-events.ts";
import { eventsOf, wholeTurns } from "./turns-as-events.ts";

/** How the service opens sessions, and what it does about appends to an outdated object. */
export interface ServiceSettings {
  readonly ttl: Lifetime | undefined;
  readonly onConflict: "fail" | "reload";
  /** Undefined: `adk/APP/USER/SESSION`, else the session of the user with the id `SESSION`. */
  readonly sessionOf: ((key: AdkSessionKey) => string) | undefined;
}

/** The log of the events. */
const eventsLog = "adk";

/** The label of the sessions of an app. */
const appLabel = "adk-app";

/** Attempts of one append while other writers change the same session. */
const attemptsMax = 100;

/** Rounds of reading events and turns that other writers change. */
const readRoundsMax = 5;

/** The part of a session that an object of the ADK has. */
interface View {
  readonly session: Session;
  onto: Onto;
  /** Undefined: there is no turn. */
  last: LastTurn | undefined;
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
    const key = {
      appName,
      userId,
      sessionId: sessionId === undefined || sessionId === "" ? crypto.randomUUID() : sessionId,
    };
    const { entries, documents } = stateWrites(key, state);
    const session =
      (await this.#stored(key)) ??
      (await this.#sessions.ensure(this.#idOf(key), defined({ user: idFor(userId), ttl: this.#settings.ttl })));
    if (!this.#isOf(session.info, userId)) throw new SessionError("session_not_found", { sessionId: session.id });
    // The session exists for the ADK from this commit on: one that a crash left without it is created by the next call.
    const written = await session.write({
      logs: { [stateLog]: { entries: [{ key: createdKey, value: true }, ...entries] } },
      documents,
      set: addressOf(session.info, key),
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
      const session = this.#listed(info);
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
   *   `value_unstorable`, `write_too_large`, `argument_invalid`
   */
  async appendEvent({ session, event }: { session: AdkSession; event: AdkEvent }): Promise<AdkEvent> {
    guardObject(session, "session");
    guardEvent(event);
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
      try {
        await this.#write(view, { adk, event, changed: Object.fromEntries(changed) });
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

  /** Writes an event with its turn and its values, behind what the view has of the session. */
  async #write(
    view: View,
    { adk, event, changed }: { readonly adk: AdkSession; readonly event: AdkEvent; readonly changed: object },
  ): Promise<void> {
    const { session, last, onto } = view;
    const stored = storedEvent(event);
    const { entries, documents } = stateWrites(adk, { ...changed });
    const state = entries.length === 0 ? {} : { [stateLog]: { entries } };
    const { appName, userId, id: sessionId } = adk;
    const isListed = session.info.labels[appLabel] !== undefined;
    const set = isListed ? undefined : addressOf(session.info, { appName, userId, sessionId });
    const write = async (placed: Partial<PlacedEvent>, ifPresent: "refuse" | "replace"): Promise<WriteOutcome> => {
      const entry = { key: idFor(event.id), value: entryOf(stored, placed.place), ifPresent };
      const logs = { [eventsLog]: { entries: [entry] }, ...state };
      return await this.#revived(session, { logs, documents, onto, ...defined({ turns: placed.turns, set }) });
    };
    let outcome = await write(placedEvent(stored, last), "refuse");
    if (outcome.status === "duplicate") {
      const { place } = readEntry(outcome.entry.value);
      const replaced = place && replacedEvent(stored, place, last);
      outcome = await write(replaced ?? defined({ place }), "replace");
    }
    if (outcome.status === "duplicate") throw new SessionError("conflict", { sessionId: session.id, log: outcome.log });
    view.onto = outcome.version;
    view.last = outcome.turns.at(-1) ?? last;
  }

  /** The session of an address; undefined where there is none, or where it has neither a state, nor events, nor turns. */
  async #find(key: AdkSessionKey): Promise<Session | undefined> {
    const session = await this.#stored(key);
    if (session === undefined) return undefined;
    const { logs, turn } = session.info;
    const isBegun = turn > 0 || logs[stateLog] !== undefined || logs[eventsLog] !== undefined;
    return isBegun && this.#isOf(session.info, key.userId) ? session : undefined;
  }

  async #stored(key: AdkSessionKey): Promise<Session | undefined> {
    const names = {
      name: key.sessionId,
      own: idOf(key),
      chosen: this.#settings.sessionOf?.(key),
      // A fork has the address of its parent.
      mayHave: ({ user, metadata }: SessionInfo) =>
        user === idFor(key.userId) && (metadata["adk"] === undefined || sameValue(metadata["adk"], { ...key })),
    };
    const open = async (id: string): Promise<{ readonly session: Session } | undefined> => {
      try {
        return { session: await this.#sessions.get(id) };
      } catch (error) {
        if (hasCode(error, "session_not_found")) return undefined;
        throw error;
      }
    };
    return (await namedSession(names, open))?.session;
  }

  #idOf(key: AdkSessionKey): string {
    return this.#settings.sessionOf?.(key) ?? idOf(key);
  }

  /** False for the session of another user, whose id the application has named. */
  #isOf({ user }: SessionInfo, userId: string): boolean {
    return this.#settings.sessionOf === undefined || user === null || user === idFor(userId);
  }

  /** Writes to a session, which is revived if its time to live has passed. */
  async #revived(session: Session, write: SessionWrite): Promise<WriteOutcome> {
    return await session.write(write).catch(async (error: unknown) => {
      if (!hasCode(error, "session_expired")) throw error;
      await this.#sessions.ensure(session.id, { onExpired: "revive" });
      return await session.write(write);
    });
  }

  /** Fills an object with what is stored of its session. */
  async #load(adk: AdkSession, session: Session, config: AdkGetSession["config"] = {}): Promise<void> {
    const { numRecentEvents = 0, afterTimestamp } = config;
    for (let round = 1; ; round++) {
      const look = await lookAt(session);
      const { info, marks, version } = look;
      const [{ events, last }, own] = await Promise.all([
        numRecentEvents === 0 ? allEvents(session, info) : recentEvents(session, info, numRecentEvents),
        Array.fromAsync(session.log(stateLog).between({})),
      ]);
      // A turn that was written in between has messages that are no events yet.
      const isOfOneMoment = info.turn === 0 || (await lookAt(session)).marks["turns"] === marks["turns"];
      if (!isOfOneMoment && round < readRoundsMax) continue;
      adk.state = await mergedState(this.#documents, adk, own);
      adk.events = eventsAfter(events, afterTimestamp);
      adk.lastUpdateTime = info.lastActivityAt.getTime();
      this.#views.set(adk, { session, onto: { version, marks }, last });
      return;
    }
  }

  /** The view of an object that this service did not make, such as a copy: it is up to date if it has the last event. */
  async #viewOf(adk: AdkSession): Promise<View> {
    const { appName, userId, id: sessionId } = adk;
    const key = { appName, userId, sessionId };
    const session = await this.#find(key);
    if (session === undefined) throw new SessionError("session_not_found", { sessionId: this.#idOf(key) });
    const newest = { ...adk };
    await this.#load(newest, session, { numRecentEvents: 1 });
    const last = newest.events.at(-1);
    const isSeen = last === undefined || last.id === adk.events.at(-1)?.id;
    if (!isSeen && this.#settings.onConflict === "fail")
      throw new SessionError("conflict", { sessionId: session.id, log: eventsLog });
    if (isSeen) this.#views.set(adk, this.#views.get(newest)!);
    else await this.#load(adk, session);
    return this.#views.get(adk)!;
  }

  /** The session as a list has it; undefined for a fork, which the ADK has no id for. */
  #listed({ id, metadata, lastActivityAt }: SessionInfo): AdkSession | undefined {
    const key = metadata["adk"] as unknown as AdkSessionKey | undefined;
    if (key === undefined || ![this.#idOf(key), idFor(key.sessionId)].includes(id)) return undefined;
    const { appName, userId, sessionId } = key;
    return { id: sessionId, appName, userId, state: {}, events: [], lastUpdateTime: lastActivityAt.getTime() };
  }
}

/** @throws SessionError `argument_invalid` */
function guardEvent(event: AdkEvent): void {
  guardObject(event, "event");
  const { parts } = Object(event.content) as { readonly parts?: unknown };
  if (!Array.isArray(parts)) return;
  // Unlike those of the array, the entries of a copy include its holes.
  for (const [index, part] of Array.from(parts as readonly unknown[]).entries())
    if (part == null) throw invalidArgument(`event.content.parts[${index}]`, part, { expected: "object" });
}

/** The events of a session, and its last turn. */
interface ReadEvents {
  readonly events: AdkEvent[];
  readonly last: LastTurn | undefined;
}

async function allEvents(session: Session, { logs, turn }: SessionInfo): Promise<ReadEvents> {
  const [entries, turns] = await Promise.all([
    logs[eventsLog] === undefined ? [] : Array.fromAsync(session.log(eventsLog).entries()),
    turn === 0 ? [] : Array.fromAsync(session.turns()),
  ]);
  return { events: eventsOf(entries, turns), last: turns.at(-1) };
}

/** The newest events, of the newest entries and turns that have so many. */
async function recentEvents(session: Session, info: SessionInfo, count: number): Promise<ReadEvents> {
  const end = info.logs[eventsLog]?.end ?? 0;
  for (let read = 2 * count + 16; read < Math.max(end, info.turn); read *= 4) {
    const [entries, turns] = await Promise.all([
      Array.fromAsync(session.log(eventsLog).entries({ from: Math.max(1, end - read + 1), to: end })),
      info.turn === 0 ? [] : Array.fromAsync(session.turns({ last: read })),
    ]);
    const events = end <= read ? eventsOf(entries, turns) : eventsOf(...wholeTurns(entries, turns));
    if (events.length >= count) return { events: events.slice(-count), last: turns.at(-1) };
  }
  const { events, last } = await allEvents(session, info);
  return { events: events.slice(-count), last };
}

/** The events, the state and the turns of a session at one moment. */
function lookAt(session: Session): Promise<SessionLook> {
  return session.look([eventsLog, stateLog, "turns"].map((log) => ({ log, last: 0 })));
}

/** The address of a session of the ADK, in the session. */
function addressOf({ metadata }: SessionInfo, key: AdkSessionKey): NonNullable<SessionWrite["set"]> {
  return { labels: { [appLabel]: keyPart(key.appName) }, metadata: { ...metadata, adk: { ...key } } };
}

function idOf({ appName, userId, sessionId }: AdkSessionKey): string {
  return `adk/${[appName, userId, sessionId].map(keyPart).join("/")}`;
}

/** The newest events at or after a time. @param after epoch ms; 0 or undefined: all */
function eventsAfter(events: AdkEvent[], after = 0): AdkEvent[] {
  if (after === 0) return events;
  return events.slice(events.findLastIndex(({ timestamp }) => timestamp < after) + 1);
}

function byTime(a: AdkSession, b: AdkSession, order: "asc" | "desc"): number {
  const later = a.lastUpdateTime - b.lastUpdateTime;
  return (order === "asc" ? later : -later) || a.id.localeCompare(b.id);
}
