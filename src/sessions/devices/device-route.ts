/**
 * The way from a device to its session: device → user (optional) → session.
 *
 * A device, and likewise a user, whom no pointer leads elsewhere has the session that bears its own hashed name. A device
 * comes to a session that belongs to a user only through that user; what it meets otherwise (its first session after a
 * claim, a shared one that was claimed) is not its own any more, and it gets a fresh one. A session begins in one commit with
 * the pointer to it: who leads the way elsewhere in that moment meets it, and no session is left to which no way leads.
 */
import type { Change } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { touchSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { stateAt } from "../../domain/record/states.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { internalKey, pointerChange, pointerOf, pointerTtlMs, type Pointer } from "./device-pointer.ts";
import { userName } from "../core/keyed-hash.ts";
import { deviceMarks } from "./device-traces.ts";
import { Handle } from "../core/handle.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { ensureFound, freshId, newSession, type NewSessionOptions } from "../session/opening.ts";

/** What a device's session begins with, where it has none. Whose it is, the device says. */
export type DeviceOptions = Omit<NewSessionOptions, "user">;

/** One step: a name, and the pointer that was found under it. */
interface Step {
  readonly name: string;
  readonly found: SessionRecord | undefined;
  readonly pointer: Pointer | undefined;
}

/** Where a device's, or a user's, way leads. */
export interface Way extends Step {
  /** The user on the way. */
  readonly user: string | null;
  /** The last step, which leads to the session. */
  readonly last: Step;
  readonly session: string;
  /** The session as it was found, whoever's it is. */
  readonly record: SessionRecord | undefined;
}

/** The ways of many, in order, in at most three round trips. */
export async function waysOf(core: Core, tenant: string, names: readonly string[]): Promise<readonly Way[]> {
  const found = await core.findAll(names.flatMap((name) => [internalKey(tenant, name), { tenant, id: name }]));
  const steps = names.map((name, index): Step => {
    const record = found[2 * index];
    return { name, found: record, pointer: pointerOf(core, record) };
  });
  const users = steps.flatMap(({ pointer }) => (pointer?.kind === "user" ? [pointer.user] : []));
  const sessions = steps.flatMap(({ pointer }) => (pointer === undefined || pointer.kind === "user" ? [] : [pointer]));
  const keys = sessions.map(({ session }): SessionKey => ({ tenant, id: session }));
  const [userWays, records] = await Promise.all([
    users.length === 0
      ? []
      : waysOf(
          core,
          tenant,
          users.map((user) => userName(core, tenant, user)),
        ),
    core.findAll(keys),
  ]);
  const nextUser = userWays.values();
  const nextRecord = records.values();
  return steps.map((step, index): Way => {
    const { pointer } = step;
    if (pointer === undefined) {
      return { ...step, user: null, last: step, session: step.name, record: found[2 * index + 1] };
    }
    if (pointer.kind !== "user") {
      return { ...step, user: null, last: step, session: pointer.session, record: nextRecord.next().value };
    }
    const way = nextUser.next().value;
    if (way === undefined) throw new Error("each user has a way");
    return { ...way, ...step, user: pointer.user };
  });
}

/** The session found, if it is live and belongs to whoever came this way; as `owner` where somebody else is meant. */
export function ownSession(core: Core, { record, user }: Way, owner: string | null = user): SessionRecord | undefined {
  if (record === undefined || record.user !== owner) return undefined;
  const state = stateAt(record, core.now());
  return state === "active" || state === "inactive" ? record : undefined;
}

/** The session found whose time is up while its last answer still runs; only readers come to it until that turn ends. */
export function answeringSession({ record, user }: Way): SessionRecord | undefined {
  return record?.user === user && record.openTurn !== null ? record : undefined;
}

/** The session at the end of the way, created or begun afresh where there is none to go on with. */
export async function openWay(core: Core, tenant: string, known: Way, options: DeviceOptions): Promise<Handle> {
  let way = known;
  return await retryOnConflict({ sessionId: way.session, tenant }, async () => {
    const { record, last, user } = way;
    const isFree = record === undefined || (record.user === user && record.state !== "archived");
    const lead = (session: string, kind: "own" | "linked"): Change =>
      pointerChange(core, internalKey(tenant, last.name), last.found, { kind, session });
    if (isFree) {
      await prolong(core, way);
      const whose = user === null ? {} : { user };
      const fresh = newSession(core, { tenant, id: way.session }, { ...options, ...whose });
      // In the fallback nobody leads a way elsewhere, and what stands there beside the sessions is never told and never swept.
      const kind = last.pointer?.kind === "linked" ? "linked" : "own";
      const lapsed = last.pointer === undefined ? await deviceMarks(core, tenant, last) : [];
      const beside = core.isFallback ? [] : [lead(way.session, kind), ...lapsed];
      const handle = await ensureFound(core, { fresh, record, beside }, { onExpired: "reset", onEnded: "reset" });
      if (handle?.record.user === user) return handle;
    } else {
      const marks = await deviceMarks(core, tenant, last);
      await core.commit([lead(`${last.name}_${freshId(core)}`, "own"), ...marks]);
    }
    way = await wayOf(core, tenant, way.name);
    return undefined;
  });
}

export async function wayOf(core: Core, tenant: string, name: string): Promise<Way> {
  const [way] = await waysOf(core, tenant, [name]);
  if (way === undefined) throw new Error("each name has a way");
  return way;
}

/** Pointers in use live on, at the cost of a write twice a year. */
async function prolong(core: Core, { found, last }: Way): Promise<void> {
  for (const record of new Set([found, last.found])) {
    if (record === undefined || pointerOf(core, record) === undefined) continue;
    if (record.expiresAt - core.now() > pointerTtlMs / 2) continue;
    try {
      await new Handle(core, record).write((draft, context) => touchSession(draft.base, context));
    } catch (error) {
      // Unlinked or swept in this moment: what was found a moment ago still counts.
      if (!hasCode(error, "session_not_found") && !hasCode(error, "session_expired")) throw error;
    }
  }
}
