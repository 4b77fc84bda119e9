/**
 * The session store of Genkit: the snapshots of a session in two logs of it, the messages of its newest snapshot as turns, and a document
 * that leads from a snapshot to its session. A snapshot and its turns are one commit.
 */
import { setTimeout as pause } from "node:timers/promises";
import { defined } from "../../domain/values/defined.ts";
import { invalidArgument, invalidText, parseFunction } from "../../domain/values/invalid-argument.ts";
import {
  hasCode,
  idFor,
  SessionError,
  type Documents,
  type Lifetime,
  type Session,
  type SessionLook,
  type Sessions,
  type SessionWithLook,
  type Value,
} from "../../index.ts";
import { keyPart } from "../keys/composed-keys.ts";
import { namedSession, type SessionNames } from "../keys/named-session.ts";
import { KeptItems } from "./kept-items.ts";
import { fieldsOf, leafOf } from "./leaf.ts";
import type { GenkitContext, GenkitSnapshot, GenkitSnapshotInput } from "./package-genkit.ts";
import {
  changesLog,
  idOfTurns,
  lookAt,
  lookedAt,
  messagesOfTurns,
  newestIn,
  projectionOf,
  shownMessagesOf,
  snapshotsLog,
  snapshotsOf,
  turnsOfId,
  valuesIn,
  type SavedSnapshot,
} from "./session-messages.ts";
import { itemsLog, itemsOf, snapshotOf, storedSnapshot, type StoredSnapshot } from "./stored-snapshot.ts";
import type { SnapshotProjection } from "./turns.ts";

/** Options of a session store. */
export interface GenkitStoreOptions {
  /**
   * The user of a call, by its context: new sessions belong to this user, and those of others are not found. Undefined: no user is
   * compared.
   * @default no user
   */
  readonly user?: (context: GenkitContext | undefined) => string | undefined;
  /** The time to live of new sessions after their last snapshot. @default that of the user, or `openSessions` */
  readonly ttl?: Lifetime;
  /** `getSnapshot` by a session that has several latest snapshots throws `FAILED_PRECONDITION`. @default false: the newest */
  readonly rejectBranchingSessions?: boolean;
  /**
   * The id of the session that Genkit names, such as one that another framework has begun.
   * @default `genkit/SESSION`; with `user`, where there is none, the session of the user with the id `SESSION`
   */
  readonly sessionOf?: (sessionId: string) => string;
}

/** The scope of the documents that lead from a snapshot to its session. */
const scope = "genkit";

/** Attempts of one save while other writers change the same session. */
const attemptsMax = 100;

/** The most turns of one write: of a longer history the last ones are written. */
const turnsMax = 500;

/** Between two looks for a snapshot that is not there yet, and before a watch goes on after an error. */
const watchPauseMs = 500;

/** A stored snapshot, and the look at its session that it was read after. */
interface Found {
  readonly session: Session;
  readonly look: SessionLook;
  readonly stored: StoredSnapshot;
}

/** Whether a snapshot is stored, and the version of the document that leads to it. */
interface Place {
  readonly found: Found | undefined;
  readonly version: number | "absent";
}

/** The `SessionStore` of genkit. Made by `genkitStore`. */
export class GenkitStore<S = unknown> {
  readonly #sessions: Sessions;
  readonly #documents: Documents;
  readonly #options: GenkitStoreOptions;
  readonly #kept = new KeptItems();

  /** @internal */
  constructor(sessions: Sessions, options: GenkitStoreOptions) {
    this.#sessions = sessions;
    this.#documents = sessions.documents(scope);
    this.#options = options;
  }

  /**
   * The snapshot with this id, or the latest one of a session; undefined if there is none.
   * @throws SessionError `argument_invalid` for both or neither id, `store_invalid`
   * @throws GenkitError `FAILED_PRECONDITION` for a session without a latest snapshot
   */
  async getSnapshot(options: {
    snapshotId?: string;
    sessionId?: string;
    context?: GenkitContext;
  }): Promise<GenkitSnapshot<S> | undefined> {
    const { snapshotId, sessionId, context } = options;
    if (isName(snapshotId)) {
      if (isName(sessionId))
        throw invalidArgument("sessionId", sessionId, { expected: "beside", known: ["snapshotId"] });
      const found = await this.#find(snapshotId, context);
      return found === undefined ? await this.#turns(snapshotId, context) : await shown(found);
    }
    if (!isName(sessionId)) throw invalidText("sessionId", sessionId, { min: 1 });
    const opened = await this.#openOwn(sessionId, context);
    if (opened === undefined) return undefined;
    const { session, look } = opened;
    const stored = await leafOf(sessionId, await snapshotsOf(session), this.#options.rejectBranchingSessions === true);
    if (stored !== undefined) return await shown({ session, look, stored });
    return look.info.turn === 0 ? undefined : await ofTurns(session, sessionId, look.info.turn);
  }

  /** The snapshot that stands for the first turns of a session, which others have written. */
  async #turns(snapshotId: string, context: GenkitContext | undefined): Promise<GenkitSnapshot<S> | undefined> {
    const named = turnsOfId(snapshotId);
    const opened = named && (await this.#openOwn(named.sessionId, context));
    if (named === undefined || opened === undefined) return undefined;
    const { session, look } = opened;
    return await ofTurns(session, named.sessionId, Math.min(named.turn, look.info.turn));
  }

  /**
   * Save what `mutator` makes of the stored snapshot, in one commit. If another writer was faster, `mutator` is called again with the newer
   * snapshot. Returns the id; null if `mutator` returned null.
   * @throws SessionError what `mutator` throws, `value_unstorable` with the path of the value, `write_too_large`, `contended`,
   *   `session_not_found` for the session of another user
   */
  async saveSnapshot(
    snapshotId: string | undefined,
    mutator: (current: GenkitSnapshot<S> | undefined) => GenkitSnapshotInput<S> | null,
    options: { context?: GenkitContext } = {},
  ): Promise<string | null> {
    for (let attempt = 1; ; attempt++) {
      const given = isName(snapshotId) ? await this.#placeOf(snapshotId, options.context) : undefined;
      const current = given?.found && (await assembled<S>(given.found.session, given.found.stored));
      const result = mutator(current);
      if (result === null) return null;
      const id = [snapshotId, result.snapshotId].find(isName) ?? crypto.randomUUID();
      const place = given ?? (await this.#placeOf(id, options.context));
      try {
        await this.#save({ ...result, snapshotId: id }, place, options.context);
        return id;
      } catch (error) {
        if (!hasCode(error, "conflict") && !hasCode(error, "document_conflict")) throw error;
        if (attempt === attemptsMax)
          throw new SessionError("contended", { sessionId: this.#namesOf(id, result).own, attempts: attempt });
      }
    }
  }

  /**
   * Calls back with a snapshot as it is now, once it is there, and after each change of its status, by any process. Returns a function that
   * ends it.
   */
  onSnapshotStateChange(
    snapshotId: string,
    callback: (snapshot: GenkitSnapshot<S>) => void,
    options: { context?: GenkitContext } = {},
  ): () => void {
    parseFunction(callback, "callback");
    const ending = new AbortController();
    void this.#watch(snapshotId, { callback, context: options.context, signal: ending.signal });
    return () => ending.abort();
  }

  async #save(
    snapshot: GenkitSnapshot<S>,
    { found, version }: Place,
    context: GenkitContext | undefined,
  ): Promise<void> {
    const { snapshotId } = snapshot;
    const user = this.#options.user?.(context);
    const names = this.#namesOf(snapshotId, snapshot, user);
    if (found !== undefined && ![names.chosen ?? names.own, idFor(names.name)].includes(found.session.id))
      throw invalidArgument("sessionId", names.own, { expected: "one_of", known: [found.session.id] });
    const { session, look } = await this.#ensured(names, user, found);
    const { id } = session;
    const problem = session.info.user === null ? ("no_user" as const) : undefined;
    if (!this.#isOwn(session, context))
      throw new SessionError("session_not_found", { sessionId: id, ...defined({ problem }) });
    const { parentId } = snapshot;
    const before = found?.stored ?? (isName(parentId) ? await storedIn(session, parentId, look) : undefined);
    const base = before && (this.#kept.of(id, before) ?? (await itemsOf(session.log(itemsLog), before)));
    const { stored, items, entries } = storedSnapshot(snapshot, base, look.info.logs[itemsLog]?.end ?? 0);
    const isChanged = found !== undefined && fieldsOf(found.stored).status !== snapshot.status;
    const key = keyPart(snapshotId);
    const documents = found === undefined ? [{ scope, key, value: id, if: version, ...defined({ user }) }] : [];
    const write = async (keepsAll: boolean): Promise<void> => {
      const saved = { snapshot, items, before, base };
      const { write: turns, turns: own } = await this.#projection(session, look, { found, saved, keepsAll });
      const value = { ...stored, ...defined({ turns: own }) } as unknown as Value;
      await session.write({
        logs: {
          [snapshotsLog]: { entries: [{ key, value, ifPresent: "replace" }] },
          ...(entries.length === 0 ? {} : { [itemsLog]: { entries } }),
          ...(isChanged ? { [changesLog]: { entries: [{ value: snapshotId }] } } : {}),
        },
        documents,
        onto: look,
        ...defined({ turns }),
      });
    };
    await write(false).catch(async (error: unknown) => {
      // The turns of the other branch must stay: those of this one follow them.
      if (!hasCode(error, "legal_hold")) throw error;
      await write(true);
    });
    this.#kept.keep(id, stored, items);
  }

  /** The turns of a snapshot. A later version of an earlier one than the newest changes none. */
  async #projection(
    session: Session,
    look: SessionLook,
    {
      found,
      saved,
      keepsAll,
    }: { readonly found: Found | undefined; readonly saved: SavedSnapshot; readonly keepsAll: boolean },
  ): Promise<Partial<SnapshotProjection>> {
    const isNewest = newestIn(look)?.key === keyPart(saved.snapshot.snapshotId);
    if (found !== undefined && !isNewest) return defined({ turns: found.stored.turns });
    return await projectionOf(session, look, { saved, turnsMax, keepsAll });
  }

  async #watch(
    snapshotId: string,
    {
      callback,
      context,
      signal,
    }: {
      readonly callback: (snapshot: GenkitSnapshot<S>) => void;
      readonly context: GenkitContext | undefined;
      readonly signal: AbortSignal;
    },
  ): Promise<void> {
    const tell = async (found: Found | undefined): Promise<void> => {
      const snapshot = found && (await assembled<S>(found.session, found.stored));
      if (snapshot !== undefined && !signal.aborted) callback(snapshot);
    };
    while (!signal.aborted) {
      try {
        const found = await this.#find(snapshotId, context);
        await tell(found);
        const after = found?.look.info.logs[changesLog]?.end ?? 0;
        for await (const { value } of found?.session.log(changesLog).follow({ after, signal }) ?? [])
          if (value === snapshotId) await tell(await this.#find(snapshotId, context));
      } catch (error) {
        if (hasCode(error, "closed")) return;
      }
      await pause(watchPauseMs, undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  /** The stored snapshot with this id, unless it belongs to the session of another user. */
  async #find(snapshotId: string, context: GenkitContext | undefined): Promise<Found | undefined> {
    try {
      return (await this.#placeOf(snapshotId, context)).found;
    } catch (error) {
      if (hasCode(error, "session_not_found")) return undefined;
      throw error;
    }
  }

  /** @throws SessionError `session_not_found` for a snapshot of another user */
  async #placeOf(snapshotId: string, context: GenkitContext | undefined): Promise<Place> {
    const document = await this.#documents.get(keyPart(snapshotId));
    if (document === null) return { found: undefined, version: "absent" };
    const { value, version } = document;
    const opened = await lookedAt(this.#sessions, value as string);
    if (opened === undefined) return { found: undefined, version };
    const { session, look } = opened;
    if (!this.#isOwn(session, context)) throw new SessionError("session_not_found", { sessionId: session.id });
    const stored = await storedIn(session, snapshotId, look);
    return { found: stored && { session, look, stored }, version };
  }

  async #openOwn(sessionId: string, context: GenkitContext | undefined): Promise<SessionWithLook | undefined> {
    const names = this.#namesOf("", { sessionId }, this.#options.user?.(context));
    const opened = await namedSession(names, (id) => lookedAt(this.#sessions, id));
    return opened !== undefined && this.#isOwn(opened.session, context) ? opened : undefined;
  }

  /**
   * The session, made where there is none. A session whose time to live has passed is revived.
   * @param found what the save is decided on
   */
  async #ensured(
    names: SessionNames,
    user: string | undefined,
    found: SessionWithLook | undefined,
  ): Promise<SessionWithLook> {
    const opened = found ?? (await namedSession(names, (id) => lookedAt(this.#sessions, id)));
    const state = opened?.look.info.state;
    if (opened !== undefined && (state === "active" || state === "inactive")) return opened;
    const id = opened?.session.id ?? names.chosen ?? names.own;
    const session = await this.#sessions.ensure(id, defined({ user, ttl: this.#options.ttl }));
    return { session, look: found?.look ?? (await lookAt(session)) };
  }

  /** The names of the session that a snapshot belongs to: that of its id, or one of its own. */
  #namesOf(
    snapshotId: string,
    { sessionId, state }: Pick<GenkitSnapshotInput, "sessionId" | "state">,
    user?: string,
  ): SessionNames {
    const name = [sessionId, state?.sessionId].find(isName);
    const alone = `genkit-snapshot/${keyPart(snapshotId)}`;
    if (name === undefined) return { name: alone, own: alone, mayHave: () => false };
    return {
      name,
      own: `genkit/${keyPart(name)}`,
      chosen: this.#options.sessionOf?.(name),
      // Without users, any client could name any session.
      mayHave: (info) => user !== undefined && info.user === user,
    };
  }

  #isOwn({ info }: Session, context: GenkitContext | undefined): boolean {
    const user = this.#options.user?.(context);
    return user === undefined || info.user === user;
  }
}

async function storedIn(session: Session, snapshotId: string, look: SessionLook): Promise<StoredSnapshot | undefined> {
  const key = keyPart(snapshotId);
  const newest = newestIn(look);
  const [entry] = newest?.key === key ? [newest] : await session.log(snapshotsLog).get([key]);
  return entry?.value as unknown as StoredSnapshot | undefined;
}

async function assembled<S>(session: Session, stored: StoredSnapshot): Promise<GenkitSnapshot<S>> {
  return snapshotOf<S>(stored, await itemsOf(session.log(itemsLog), stored));
}

/** A snapshot; the newest one with the messages that others have added since. */
async function shown<S>({ session, look, stored }: Found): Promise<GenkitSnapshot<S>> {
  const items = await itemsOf(session.log(itemsLog), stored);
  const snapshot = snapshotOf<S>(stored, items);
  if (newestIn(look)?.key !== keyPart(snapshot.snapshotId)) return snapshot;
  const own = valuesIn(items);
  const { messages } = await shownMessagesOf(session, look, own);
  if (messages.length === own.length && messages.every((message, index) => message === own[index])) return snapshot;
  const state = { ...snapshot.state, messages: [...messages] };
  if (snapshot.status !== "failed" && snapshot.status !== "aborted") return { ...snapshot, state };
  // The conversation went on from it: Genkit goes on from completed snapshots alone.
  const { error: _, finishReason: __, ...others } = snapshot;
  return { ...others, status: "completed", state };
}

/** The first turns of a session as a snapshot. */
async function ofTurns<S>(session: Session, sessionId: string, turn: number): Promise<GenkitSnapshot<S>> {
  return {
    snapshotId: idOfTurns(sessionId, turn),
    sessionId,
    createdAt: session.info.lastActivityAt.toISOString(),
    status: "completed",
    state: { sessionId, messages: [...(await messagesOfTurns(session, turn))] },
  };
}

/** An empty id stands for none, as in genkit. */
function isName(id: string | undefined): id is string {
  return id !== undefined && id !== "";
}
