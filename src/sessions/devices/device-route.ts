/**
 * The route from a device to its session: device → user (optional) → session.
 *
 * A device or a user without a pointer has the session whose id is its keyed name. A device reaches a session of a user only
 * through that user. Any other session that names a user (the device's first one after a claim, a shared one that was claimed)
 * is not the device's any more, and the device gets a new one. A session is created in one commit with the pointer to it: a
 * concurrent change of the pointer finds the session, and each session has a pointer to it.
 */
import { unchanged, type Change } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import { touchSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { stateAt } from "../../domain/record/states.ts";
import { guestDeviceOf } from "../../domain/values/device.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { internalKey, pointerChange, pointerOf, pointerTtlMs, type Pointer } from "./device-pointer.ts";
import { guardGuestSessions } from "./guest-sessions.ts";
import { userNames } from "../core/keyed-hash.ts";
import { knownNames } from "./device-names.ts";
import { deviceMarks } from "./device-traces.ts";
import { Handle } from "../handle/handle.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { ensureFound, freshId, newSession, newSessionNames, type NewSessionOptions } from "../session/opening.ts";

/** The options of a new session of a device. The device determines its user. */
export type DeviceOptions = Omit<NewSessionOptions, "user">;

const { user: _, ...optionNames } = newSessionNames;

/** @throws SessionError `argument_invalid` also for a `user` */
export function guardDeviceOptions(options: DeviceOptions): void {
  guardNames(options, "options", optionNames satisfies OptionNames<DeviceOptions>);
}

/** One step of a route: a name, and its pointer. */
interface Step {
  readonly name: string;
  readonly found: SessionRecord | undefined;
  readonly pointer: Pointer | undefined;
}

/** The route of a device or of a user. */
export interface DeviceRoute extends Step {
  /** The user on the route. */
  readonly user: string | null;
  /** The last step, whose pointer names the session. */
  readonly last: Step;
  readonly session: string;
  /** The session as it was found, whatever user it names. */
  readonly record: SessionRecord | undefined;
}

/** Many routes, in order, in at most three round trips. */
export async function findRoutes(
  core: Core,
  tenant: string,
  names: readonly string[],
): Promise<readonly DeviceRoute[]> {
  const found = await core.findAll(names.flatMap((name) => [internalKey(tenant, name), { tenant, id: name }]));
  const steps = names.map((name, index): Step => {
    const record = found[2 * index];
    return { name, found: record, pointer: pointerOf(core, record) };
  });
  const users = steps.flatMap(({ pointer }) => (pointer?.kind === "user" ? [pointer.user] : []));
  const sessions = steps.flatMap(({ pointer }) => (pointer === undefined || pointer.kind === "user" ? [] : [pointer]));
  const keys = sessions.map(({ session }): SessionKey => ({ tenant, id: session }));
  const [userRoutes, records] = await Promise.all([
    users.length === 0
      ? []
      : knownNames(
          core,
          tenant,
          users.map((user) => userNames(core, tenant, user)),
        ).then((names) => findRoutes(core, tenant, names)),
    core.findAll(keys),
  ]);
  const nextUser = userRoutes.values();
  const nextRecord = records.values();
  return steps.map((step, index): DeviceRoute => {
    const { pointer } = step;
    if (pointer === undefined) {
      return { ...step, user: null, last: step, session: step.name, record: found[2 * index + 1] };
    }
    if (pointer.kind !== "user") {
      return { ...step, user: null, last: step, session: pointer.session, record: nextRecord.next().value };
    }
    const route = nextUser.next().value;
    if (route === undefined) throw new Error("each user has a route");
    return { ...route, ...step, user: pointer.user };
  });
}

/** The session that was found, if it is live and names the user of the route, or `owner`. */
export function ownSession(
  core: Core,
  { record, user }: DeviceRoute,
  owner: string | null = user,
): SessionRecord | undefined {
  if (record === undefined || record.user !== owner) return undefined;
  const state = stateAt(record, core.now());
  return state === "active" || state === "inactive" ? record : undefined;
}

/** The session that was found, if it has expired and its last answer still runs: only readers get it until that turn ends. */
export function answeringSession({ record, user }: DeviceRoute): SessionRecord | undefined {
  return record?.user === user && record.openTurn !== null && record.waiting === null ? record : undefined;
}

/**
 * Refuses a new session of a guest that has as many conversations as it may. Returns what the commit with the session needs for
 * that: the pointer of the device that owns the session, where this device shares it.
 * @throws SessionError `conversations_exceeded`
 */
async function guestRoom(core: Core, tenant: string, route: DeviceRoute): Promise<readonly Change[]> {
  const { last, user, session } = route;
  const guest = guestDeviceOf(session);
  if (user !== null || guest === undefined || ownSession(core, route) !== undefined) return [];
  if (guest === last.name) {
    // Each session of a guest is created with a pointer: a new device has none, and its first visit counts nothing.
    if (last.found !== undefined) await guardGuestSessions(core, tenant, guest);
    return [];
  }
  const owner = await core.find(internalKey(tenant, guest));
  await guardGuestSessions(core, tenant, guest);
  return owner === undefined ? [] : [unchanged(owner.record)];
}

/**
 * The session at the end of the route. It is created if there is none, and reset if it has expired or ended.
 * @throws SessionError `conversations_exceeded`
 */
export async function openRoute(
  core: Core,
  tenant: string,
  known: DeviceRoute,
  options: DeviceOptions,
): Promise<Handle> {
  let route = known;
  return await retryOnConflict({ sessionId: route.session, tenant }, async () => {
    const { record, last, user } = route;
    const isFree = record === undefined || (record.user === user && record.state !== "archived");
    const pointTo = (session: string, kind: "own" | "linked"): Change =>
      pointerChange(core, internalKey(tenant, last.name), last.found, { kind, session });
    if (isFree) {
      await prolong(core, route);
      const whose = user === null ? {} : { user };
      const fresh = newSession(core, { tenant, id: route.session }, { ...options, ...whose });
      // Pointers in the fallback would never change, and would neither be replayed nor swept.
      const kind = last.pointer?.kind === "linked" ? "linked" : "own";
      const lapsed = last.pointer === undefined ? await deviceMarks(core, tenant, last) : [];
      const beside = core.isFallback
        ? []
        : [pointTo(route.session, kind), ...lapsed, ...(await guestRoom(core, tenant, route))];
      const handle = await ensureFound(core, { fresh, record, beside }, { onExpired: "reset", onEnded: "reset" });
      if (handle?.record.user === user) return handle;
    } else {
      const marks = await deviceMarks(core, tenant, last);
      await core.commit([pointTo(`${last.name}_${freshId(core)}`, "own"), ...marks]);
    }
    route = await findRoute(core, tenant, route.name);
    return undefined;
  });
}

export async function findRoute(core: Core, tenant: string, name: string): Promise<DeviceRoute> {
  const [route] = await findRoutes(core, tenant, [name]);
  if (route === undefined) throw new Error("each name has a route");
  return route;
}

/** Prolong pointers in use, which costs a write twice a year. */
export async function prolong(core: Core, { found, last }: DeviceRoute): Promise<void> {
  for (const record of new Set([found, last.found])) {
    if (record === undefined || pointerOf(core, record) === undefined) continue;
    if (record.expiresAt - core.now() > pointerTtlMs / 2) continue;
    try {
      await new Handle(core, record).write((draft, context) => touchSession(draft.base, context));
    } catch (error) {
      // The pointer was unlinked or swept just now: the route that was found still counts.
      if (!hasCode(error, "session_not_found") && !hasCode(error, "session_expired")) throw error;
    }
  }
}
