/**
 * The Claude Agent SDK: its transcripts as sessions, in one store for all machines. Pass a store as the option `sessionStore` of
 * `query` and of the SDK's functions for sessions. The program brings the package `@anthropic-ai/claude-agent-sdk`.
 *
 * @module perdure/claude
 */
import { parseLifetime } from "../domain/values/duration.ts";
import { parseNewId } from "../domain/values/ids.ts";
import { encode } from "../domain/values/codec.ts";
import { defined } from "../domain/values/defined.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { guardNames, guardObject, type OptionNames } from "../domain/values/option-names.ts";
import {
  hasCode,
  idFor,
  SessionError,
  type Lifetime,
  type LogEntry,
  type LogEntryInput,
  type Session,
  type SessionInfo,
  type SessionLog,
  type SessionPatch,
  Sessions,
  type Value,
} from "../index.ts";
import { groupsOf, linesOf, mainLog, piecesOf, subpathOf, type ClaudeEntry, type Piece } from "./claude/entries.ts";
import { behind, prefixOf, projectLabel, projectOf, sessionIdOf, type ClaudeSessionKey } from "./claude/keys.ts";
import { packageClaude, type ClaudeSummary } from "./claude/package-claude.ts";
import { namedSession } from "./keys/named-session.ts";
import type { ProjectedWrite } from "./projection/projected-turns.ts";

export type { ClaudeEntry } from "./claude/entries.ts";
export type { ClaudeSessionKey } from "./claude/keys.ts";
export type { ClaudeSummary } from "./claude/package-claude.ts";

/** Options of a store of transcripts. */
export interface ClaudeStoreOptions {
  /** The user of new sessions; sessions of others are not found, listed or written to. @default not compared */
  readonly user?: string;
  /** The time to live of new sessions after their last line. @default that of the user, or `openSessions` */
  readonly ttl?: Lifetime;
}

const optionNames: OptionNames<ClaudeStoreOptions> = { user: true, ttl: true };

/** The log of the transcripts of all subagents. */
const subagentsLog = "claude-subagents";

/** Attempts of one write while other writers change the same transcript. */
const attemptsMax = 100;

/**
 * A store of transcripts: the `SessionStore` of the Claude Agent SDK. A transcript is the session `claude/PROJECT/SESSION`.
 * @throws SessionError `argument_invalid`, `id_invalid`, `duration_invalid`
 */
export function claudeStore(sessions: Sessions, options: ClaudeStoreOptions = {}): ClaudeStore {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  guardNames(options, "options", optionNames);
  if (options.user !== undefined) parseNewId(options.user, "user");
  if (options.ttl !== undefined) parseLifetime(options.ttl, "ttl");
  return new ClaudeStore(sessions, options);
}

/** Transcripts of the Claude Agent SDK, stored as sessions: the main transcript and those of its subagents in one session. */
export class ClaudeStore {
  readonly #sessions: Sessions;
  readonly #options: ClaudeStoreOptions;
  /** The last append of this process to each session that has one. */
  readonly #appends = new Map<string, Promise<void>>();

  /** Made by `claudeStore`. @internal */
  constructor(sessions: Sessions, options: ClaudeStoreOptions) {
    this.#sessions = sessions;
    this.#options = options;
  }

  /**
   * Store lines of a transcript behind those that it has, in the order of the calls. A line whose uuid is stored is left out. The
   * turns of the lines, and the summary of the session, change in the same commit. A batch of more than `limits.writeBytesMax` takes several commits.
   * @throws SessionError `value_unstorable`, `session_not_found` for the session of another user, `busy` under the lease of another
   *   writer, `session_ended`, `session_archived`, `store_unavailable`
   */
  async append(key: ClaudeSessionKey, entries: readonly ClaudeEntry[]): Promise<void> {
    const id = sessionIdOf(key);
    const pieces = piecesOf(entries, placeOf(key), this.#sessions.limits);
    const before = this.#appends.get(id) ?? Promise.resolve();
    const work = before.catch(() => undefined).then(() => this.#append(key, pieces));
    this.#appends.set(id, work);
    try {
      await work;
    } finally {
      if (this.#appends.get(id) === work) this.#appends.delete(id);
    }
  }

  /**
   * All lines of a transcript, as they were appended, and behind them a line for each message that another framework has added since;
   * null where there are none.
   * @throws SessionError `store_invalid`
   */
  async load(key: ClaudeSessionKey): Promise<ClaudeEntry[] | null> {
    const place = placeOf(key);
    const session = await this.#find(key);
    if (session === undefined) return null;
    if (place !== undefined) {
      const entries = await entriesOf(session, place.prefix);
      return entries.length === 0 ? null : linesOf(entries);
    }
    const lines = linesOf(await Array.fromAsync(session.log(mainLog).entries()));
    const { foreignLines } = await import("./claude/turns.ts");
    const foreign = await foreignLines(session, key.sessionId, this.#sessions.limits);
    const grown = new Map(foreign.flatMap((one) => one.grown.map((line) => [line.uuid, line])));
    const all = [
      ...lines.map((line) => (line.uuid === undefined ? line : (grown.get(line.uuid) ?? line))),
      ...foreign.flatMap(({ lines: added }) => added),
    ];
    return all.length === 0 && summaryOf(session.info) === undefined ? null : all;
  }

  /** The sessions of a project with a main transcript, and when each was last written to, epoch ms. */
  async listSessions(projectKey: string): Promise<{ sessionId: string; mtime: number }[]> {
    const summaries = await this.#summaries(projectKey);
    return summaries.map(({ sessionId, mtime }) => ({ sessionId, mtime }));
  }

  /** The summaries of the sessions of a project, which the SDK lists without their transcripts. */
  async listSessionSummaries(projectKey: string): Promise<ClaudeSummary[]> {
    const summaries = await this.#summaries(projectKey);
    return summaries.flatMap(({ data, ...summary }) => (data === undefined ? [] : [{ ...summary, data }]));
  }

  /**
   * Delete a session with its subagents, or the transcript of one subagent.
   * @throws SessionError `legal_hold`, `busy`; `write_too_large` for a subagent whose later entries do not fit one write
   */
  async delete(key: ClaudeSessionKey): Promise<void> {
    const place = placeOf(key);
    await retried(async () => {
      const session = await this.#find(key);
      if (session === undefined) return;
      if (place === undefined) await remove(session);
      else await deleteEntries(session, place.prefix);
    });
  }

  /** The subpaths of the subagents of a session. */
  async listSubkeys(key: Pick<ClaudeSessionKey, "projectKey" | "sessionId">): Promise<string[]> {
    const session = await this.#find(key);
    if (session === undefined) return [];
    const subpaths: string[] = [];
    const log = session.log(subagentsLog);
    // One read of the index of keys finds the next subpath, however many entries each has.
    for (let from: string | undefined; ;) {
      const [first] = await Array.fromAsync(log.between(defined({ from }), { limit: 1 }));
      if (first === undefined) return subpaths;
      const subpath = subpathOf(first);
      subpaths.push(subpath);
      from = behind(prefixOf(subpath));
    }
  }

  async #append(key: ClaudeSessionKey, pieces: readonly Piece[]): Promise<void> {
    const { adoptions, projectedTurns } = await import("./claude/turns.ts");
    const { isFailureOfTurns } = await import("./projection/projected-turns.ts");
    const isMain = key.subpath === undefined;
    const { limits } = this.#sessions;
    for (const group of groupsOf(pieces, limits)) {
      await retried(async () => {
        const session = await this.#ensure(key);
        // Another append since this version is a conflict, so what is read now and is new stays new.
        if (!isMain)
          return await this.#write(session, key, { pieces: await freshOf(session.log(subagentsLog), group) });
        for (const adoption of await adoptions(session, key.sessionId, limits))
          await this.#write(session, key, adoption);
        const fresh = await freshOf(session.log(mainLog), group);
        if (fresh.length === 0 && summaryOf(session.info) !== undefined) return;
        const projected = await projectedTurns(
          session,
          fresh.flatMap(({ line }) => line ?? []),
        );
        try {
          await this.#write(session, key, { pieces: fresh, projected });
        } catch (error) {
          if (projected.turns === undefined || !isFailureOfTurns(error)) throw error;
          await this.#write(session, key, { pieces: fresh });
        }
      });
    }
  }

  /** One commit: lines, their turns, and the summary of the session with them, all decided on the session as it was read. */
  async #write(session: Session, key: ClaudeSessionKey, { pieces, projected = {} }: LinesWrite): Promise<void> {
    const isMain = key.subpath === undefined;
    if (pieces.length === 0 && !isMain) return;
    const log = isMain ? mainLog : subagentsLog;
    const entries = pieces.map(({ input }) => input);
    const set = isMain ? await this.#patch(session.info, key, { pieces, projected }) : undefined;
    const written = await session.write({
      onto: session.info.version,
      ...defined({ turns: projected.turns, logs: entries.length === 0 ? undefined : { [log]: { entries } }, set }),
    });
    if (written.status === "duplicate") throw new SessionError("conflict", { sessionId: session.id, log });
  }

  /** The summary with more lines, the label of a session that another framework has begun, and the end of the known turns. */
  async #patch(
    info: SessionInfo,
    { projectKey, sessionId }: ClaudeSessionKey,
    { pieces, projected = {} }: LinesWrite,
  ): Promise<SessionPatch> {
    const { foldSessionSummary: fold } = await packageClaude();
    const before = summaryOf(info);
    const mtime = Math.max(Date.now(), before?.mtime ?? 0);
    const lines = pieces.flatMap(({ line }) => line ?? []);
    const summary: StoredSummary = isWhole(before)
      ? fold(before, { projectKey, sessionId }, lines, { mtime })
      : { ...before, mtime };
    return {
      metadata: { ...projected.set?.metadata, claude: this.#bounded(summary) as unknown as Value },
      labels: { [projectLabel]: projectOf(projectKey) },
    };
  }

  /** The session of a transcript, made where there is none. A session whose time to live has passed is revived. */
  async #ensure(key: ClaudeSessionKey): Promise<Session> {
    const found = await this.#stored(key);
    const labels = { [projectLabel]: projectOf(key.projectKey) };
    const session =
      found?.info.state === "active" || found?.info.state === "inactive"
        ? found
        : await this.#sessions.ensure(found?.id ?? sessionIdOf(key), { ...this.#options, labels, onExpired: "revive" });
    const problem = session.info.user === null ? ("no_user" as const) : undefined;
    if (!this.#isOwn(session.info))
      throw new SessionError("session_not_found", { sessionId: session.id, ...defined({ problem }) });
    return session;
  }

  async #find(key: ClaudeSessionKey): Promise<Session | undefined> {
    const session = await this.#stored(key);
    return session !== undefined && this.#isOwn(session.info) ? session : undefined;
  }

  /** The session of the transcript, else one of another framework whose id is that of the SDK's session. */
  async #stored(key: ClaudeSessionKey): Promise<Session | undefined> {
    const own = sessionIdOf(key);
    const project = projectOf(key.projectKey);
    const names = {
      name: key.sessionId,
      own,
      mayHave: (info: SessionInfo) =>
        this.#isOwn(info) &&
        (info.labels[projectLabel] ?? project) === project &&
        // A fork has the metadata of its parent.
        (summaryOf(info)?.sessionId ?? key.sessionId) === key.sessionId,
    };
    return (await namedSession(names, (id) => get(this.#sessions, id)))?.session;
  }

  #isOwn({ user }: SessionInfo): boolean {
    return this.#options.user === undefined || user === this.#options.user;
  }

  async #summaries(projectKey: string): Promise<StoredSummary[]> {
    const { user } = this.#options;
    const found: StoredSummary[] = [];
    for await (const info of this.#sessions.each(
      defined({ user, labels: { [projectLabel]: projectOf(projectKey) } }),
    )) {
      const summary = summaryOf(info);
      // A fork has the metadata of its parent, and is no session of the SDK.
      if (summary === undefined) continue;
      const { sessionId } = summary;
      if ([sessionIdOf({ projectKey, sessionId }), idFor(sessionId)].includes(info.id)) found.push(summary);
    }
    return found;
  }

  /** The summary without its data if that is too large for the metadata of a session: the SDK then reads the transcript. */
  #bounded(summary: StoredSummary): StoredSummary {
    const isSmall = Buffer.byteLength(encode(summary)) <= this.#sessions.limits.metadataBytesMax / 2;
    return isSmall ? summary : { sessionId: summary.sessionId, mtime: summary.mtime };
  }
}

/** Lines to write. */
interface LinesWrite {
  readonly pieces: readonly Piece[];
  readonly projected?: ProjectedWrite;
}

/** A summary as the metadata of its session has it, without `data` where that was too large. */
type StoredSummary = Omit<ClaudeSummary, "data"> & Partial<Pick<ClaudeSummary, "data">>;

function summaryOf({ metadata }: SessionInfo): StoredSummary | undefined {
  return metadata["claude"] as unknown as StoredSummary | undefined;
}

function placeOf(key: ClaudeSessionKey): { readonly subpath: string; readonly prefix: string } | undefined {
  guardObject(key, "key");
  const { subpath } = key;
  return subpath === undefined ? undefined : { subpath, prefix: prefixOf(subpath) };
}

/** The session with this id; undefined where there is none. */
async function get(sessions: Sessions, id: string): Promise<{ readonly session: Session } | undefined> {
  try {
    return { session: await sessions.get(id) };
  } catch (error) {
    if (hasCode(error, "session_not_found")) return undefined;
    throw error;
  }
}

/** The pieces of lines that are not in the log. */
async function freshOf(log: SessionLog, pieces: readonly Piece[]): Promise<readonly Piece[]> {
  const keys = [...new Set(pieces.flatMap(({ lineKey }) => lineKey ?? []))];
  if (keys.length === 0) return pieces;
  const stored = new Set((await log.get(keys)).map(({ key }) => key));
  return pieces.filter(({ lineKey }) => lineKey === undefined || !stored.has(lineKey));
}

/** The entries of a subagent, in the order of the log. */
async function entriesOf(session: Session, prefix: string): Promise<LogEntry[]> {
  const entries = await Array.fromAsync(session.log(subagentsLog).between({ prefix }));
  return entries.sort((a, b) => a.seq - b.seq);
}

/** Deletes the entries of a subagent: those of the others behind the first one are written again, in one commit. */
async function deleteEntries(session: Session, prefix: string): Promise<void> {
  const { version } = session.info;
  const own = await entriesOf(session, prefix);
  const [first] = own;
  if (first === undefined) return;
  const gone = new Set(own.map(({ seq }) => seq));
  const rest: LogEntryInput[] = [];
  for await (const { seq, key, value } of session.log(subagentsLog).entries({ from: first.seq }))
    if (!gone.has(seq)) rest.push(defined({ key: key ?? undefined, value, ifPresent: "skip" as const }));
  await session.write({ logs: { [subagentsLog]: { from: first.seq, entries: rest } }, onto: version });
}

/** Repeats work that another writer of the same transcript was faster than. */
async function retried(work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await work();
      return;
    } catch (error) {
      if (attempt === attemptsMax || !hasCode(error, "conflict")) throw error;
    }
  }
}

/** Removes a session, unless another caller has removed it. */
async function remove(session: Session): Promise<void> {
  try {
    await session.remove();
  } catch (error) {
    if (!hasCode(error, "session_not_found")) throw error;
  }
}

function isWhole(summary: StoredSummary | undefined): summary is ClaudeSummary | undefined {
  return summary === undefined || summary.data !== undefined;
}
