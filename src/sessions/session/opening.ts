/** Opens sessions: creates, finds, revives or resets them. */
import { parseBudget } from "../../domain/record/budget.ts";
import type { Change } from "../../domain/record/change.ts";
import { parseDuration, parseLifetime, type Duration, type Lifetime } from "../../domain/values/duration.ts";
import { parseId, parseNewId, sortableId } from "../../domain/values/ids.ts";
import { parseLabels, parseTitle, type Labels } from "../../domain/values/labels.ts";
import { createSession, restartSession, reviveSession, type NewSession } from "../../domain/record/lifecycle.ts";
import type { Metadata, SessionRecord, Budget } from "../../domain/record/record.ts";
import { stateAt } from "../../domain/record/states.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import { shareAttachments } from "../attachments/put.ts";
import { removalChanges } from "../attachments/removal.ts";
import type { Core } from "../core/core.ts";
import { eachOnce } from "../marks/mark.ts";
import { keptPrefix } from "../marks/restored-marks.ts";
import { markShared, sharedMarks } from "../marks/shared-marks.ts";
import { detachForks, ownSharedTurns } from "../handle/detach-forks.ts";
import { Handle } from "../handle/handle.ts";
import { parseMetadata, parseOneOf } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";

/** Options of a new session. */
export interface NewSessionOptions {
  /**
   * The session's agent, which answers while no other agent is active.
   * @default the agent with `default: true`, else the only agent, else "assistant"
   */
  readonly agent?: string;
  readonly user?: string;
  /** A text for people, at most 256 characters; null: none. */
  readonly title?: string | null;
  /** At most 16 names of up to 64 characters with values of up to 256, which lists filter by. */
  readonly labels?: Labels;
  readonly metadata?: Metadata;
  /** The startup context, stored with the session. @default the agent's */
  readonly instructions?: string;
  /**
   * The time to live after the last activity.
   * @default that of the user, the agent, or `openSessions`, in this order
   */
  readonly ttl?: Lifetime;
  /** The time to live after creation, independent of activity. @default that of `openSessions` */
  readonly maxAge?: Duration;
  /** The budget. @default that of the agent, or `openSessions`, in this order */
  readonly budget?: Budget;
}

export const newSessionNames: OptionNames<NewSessionOptions> = {
  agent: true,
  user: true,
  title: true,
  labels: true,
  metadata: true,
  instructions: true,
  ttl: true,
  maxAge: true,
  budget: true,
};

/** Options of `create`. */
export interface CreateOptions extends NewSessionOptions {
  /** 1 to 256 characters without control characters. @default the agent's name and a sortable id */
  readonly id?: string;
}

/** Options of `ensure`. */
export interface EnsureOptions extends NewSessionOptions {
  /**
   * How to open an expired session: `fail` with `session_expired`, `revive` it, or `reset` it: a new session begins
   * under the id, and the old one is archived under another id.
   * @default "revive"
   */
  readonly onExpired?: "fail" | "revive" | "reset";
}

/** The tenant and the id of a new session; undefined: a new id. */
interface Place {
  readonly tenant: string;
  readonly id: string | undefined;
}

/** @throws SessionError `agent_unknown`, `argument_invalid`, `id_invalid`, `duration_invalid` */
export function newSession(core: Core, { tenant, id }: Place, options: NewSessionOptions): NewSession {
  core.guardOpen();
  guardNames(options, "options", newSessionNames);
  const agent = parseNewId(options.agent ?? core.defaultAgent(), "agent");
  const profile = core.agent(agent);
  const user = options.user === undefined ? null : parseNewId(options.user, "user");
  const budget = options.budget ?? profile.budget;
  const ttl = options.ttl ?? (user === null ? undefined : core.options.ttlOfUser(user)) ?? profile.ttl;
  return {
    key: { tenant, id: parseNewId(id ?? agentId(core, agent), "sessionId") },
    agent,
    user,
    title: parseTitle(options.title ?? null),
    labels: parseLabels(options.labels ?? {}),
    metadata: parseMetadata(options.metadata ?? {}),
    ttlMs: ttl === undefined ? core.options.ttlMs : parseLifetime(ttl, "ttl"),
    maxAgeMs: options.maxAge === undefined ? core.options.maxAgeMs : parseDuration(options.maxAge, "maxAge"),
    budget: budget === undefined ? core.options.budget : parseBudget(budget),
    instructions: options.instructions ?? profile.instructions ?? null,
  };
}

/** A new id that begins with the name of the agent, truncated if it is long. */
export function agentId(core: Core, agent: string): string {
  return `${agent.slice(0, 200).toWellFormed()}_${freshId(core)}`;
}

/** A new id that sorts by time. */
export function freshId(core: Core): string {
  return sortableId(core.now(), core.options.clock.random(16));
}

/** Undefined if a session with this id exists, or a change in `beside` conflicts. */
export async function createOn(
  core: Core,
  session: NewSession,
  beside: readonly Change[] = [],
): Promise<Handle | undefined> {
  await core.learnTime();
  const outcome = await core.commit([createSession(session, core.context()), ...beside]);
  const record = outcome.status === "ok" ? outcome.changes[0]?.record : undefined;
  return record == null ? undefined : new Handle(core, record);
}

/** How to open an expired or ended session. */
interface Closed {
  readonly onExpired: "fail" | "revive" | "reset";
  readonly onEnded: "fail" | "reset";
}

/**
 * Find the session or create it. `known`: its record, if the caller has just loaded it.
 * @throws SessionError `session_expired`, `session_ended`, `session_archived`
 */
export async function ensureOn(core: Core, fresh: NewSession, closed: Closed, known?: SessionRecord): Promise<Handle> {
  for (let record = known; ; record = undefined) {
    record ??= (await core.find(fresh.key))?.record;
    const handle = await ensureFound(core, { fresh, record }, closed);
    if (handle !== undefined) return handle;
  }
}

/** A new session, and the record that was found under its id. */
interface Beginning {
  readonly fresh: NewSession;
  readonly record: SessionRecord | undefined;
  /** Changes in the same commit. */
  readonly beside?: readonly Change[];
}

/** As {@link ensureOn}, in one attempt: undefined if another writer changed the session meanwhile. */
export async function ensureFound(
  core: Core,
  { fresh, record, beside = [] }: Beginning,
  { onExpired, onEnded }: Closed,
): Promise<Handle | undefined> {
  if (record === undefined) return await createOn(core, fresh, beside);
  const handle = new Handle(core, record);
  const state = stateAt(record, core.now());
  if (state === "active" || state === "inactive") return handle;
  if (state === "archived") throw new SessionError("session_archived", sessionIds(record));
  if (state === "ended" && onEnded === "fail") throw new SessionError("session_ended", sessionIds(record));
  if (state === "expired" && onExpired === "fail") {
    throw new SessionError("session_expired", { ...sessionIds(record), expiresAt: record.expiresAt });
  }
  // The fallback resets no session: the replay would not archive it.
  if (state === "expired" && (onExpired === "revive" || core.isFallback)) {
    await handle.write((draft, context) => reviveSession(draft, context), { recovers: "dead" });
    return handle;
  }
  if (!(await reset(handle, fresh, beside))) return undefined;
  await handle.refresh();
  return handle;
}

/** False if the session changed meanwhile, so that the caller must load it again. */
async function reset(handle: Handle, session: NewSession, beside: readonly Change[]): Promise<boolean> {
  const { core } = handle;
  // A turn that a dead writer left open is sealed first. A session with a live writer is not reset.
  await handle.recoverAbandoned();
  if (handle.record.forkedAt > 0) await detachForks(handle);
  if (handle.record.parent !== null) {
    await markShared(core, handle.record);
    await ownSharedTurns(core, handle.record);
    await handle.peek();
    if (handle.record.parent !== null) return false;
  }
  const { record } = handle;
  const archiveId = parseId(keptPrefix(record.id) + freshId(core), "archiveId");
  const changes = restartSession(record, { session, archiveId }, core.context());
  await shareAttachments(core, record, { ...record, id: archiveId });
  // The old turns get an id that no mark, and no device that shares the session, leads to.
  const marks = await sharedMarks(core, record, { as: { ...record, id: archiveId } });
  const removed = await removalChanges(core, record);
  return (await core.commit(eachOnce([...changes, ...beside, ...marks, ...removed]))).status === "ok";
}

/** @throws SessionError `argument_invalid` */
export function parseOnExpired(value: Closed["onExpired"]): Closed["onExpired"] {
  return parseOneOf(value, "onExpired", ["fail", "revive", "reset"]);
}
