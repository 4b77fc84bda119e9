/**
 * The sessions that a device or a user has as conversations: the live ones that name the user, or, for a device without a user,
 * those that it began as a guest, and the one that it shares by a link code.
 */
import type { SessionRecord } from "../../domain/record/record.ts";
import type { SessionFilter } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { deviceNames, userNames } from "../core/keyed-hash.ts";
import { keepName, knownName } from "../devices/device-names.ts";
import { findRoute, ownSession, prolong, type DeviceRoute } from "../devices/device-route.ts";
import { guardSecret } from "../devices/secret-check.ts";
import { stateAt } from "../../domain/record/states.ts";

/** The device or the user that the conversations are of. */
export type ConversationOwner =
  | { readonly device: string; readonly user?: never }
  | { readonly user: string; readonly device?: never };

/** The sessions that an owner reaches. */
export type Reach = UserReach | GuestReach;

interface UserReach {
  readonly user: string;
  /** The route of the device; undefined: the owner is the user itself. */
  readonly route?: DeviceRoute;
}

export interface GuestReach {
  readonly user: null;
  /** The name of the device, with which the ids of its sessions begin. */
  readonly name: string;
  readonly route: DeviceRoute;
  /** The session of another device that this one shares. */
  readonly shared?: SessionRecord;
}

/** @throws SessionError `secret_missing` for a device */
export async function reachOf(core: Core, tenant: string, owner: ConversationOwner): Promise<Reach> {
  if (owner.user !== undefined) return { user: owner.user };
  await guardSecret(core);
  const name = await knownName(core, tenant, deviceNames(core, tenant, owner.device));
  const route = await findRoute(core, tenant, name);
  if (route.user !== null) return { user: route.user, route };
  const shared = route.pointer?.kind === "linked" ? ownSession(core, route) : undefined;
  return { user: null, name, route, ...(shared !== undefined && !shared.id.startsWith(name) && { shared }) };
}

/** Prolong the pointers of the device, and keep it and its user known under the current secret, as `devices.open` does. */
export async function keepReach(core: Core, tenant: string, owner: ConversationOwner, reach: Reach): Promise<void> {
  if (owner.device === undefined || reach.route === undefined) return;
  const { name, last, user } = reach.route;
  await prolong(core, reach.route);
  await keepName(core, tenant, deviceNames(core, tenant, owner.device), name);
  if (user !== null) await keepName(core, tenant, userNames(core, tenant, user), last.name);
}

/** The filter of the store for the sessions of an owner, without the shared one. */
export function filterOfReach(reach: Reach): Pick<SessionFilter, "user" | "guest"> {
  return reach.user === null ? { guest: reach.name } : { user: reach.user };
}

/** True for a session that the owner reaches, the shared one included, in any state. */
export function reaches(reach: Reach, record: SessionRecord): boolean {
  if (record.user !== reach.user) return false;
  return reach.user !== null || record.id.startsWith(reach.name) || isShared(reach, record);
}

/** True for the session of another device. */
export function isShared(reach: Reach, { id }: Pick<SessionRecord, "id">): boolean {
  return reach.user === null && reach.shared?.id === id;
}

/** True for a session that is active or inactive. */
export function isLive(core: Core, record: SessionRecord): boolean {
  const state = stateAt(record, core.now());
  return state === "active" || state === "inactive";
}

/** The name of the device or user whose pointer leads to the current conversation, and the record of that pointer. */
export async function lastStep(core: Core, tenant: string, reach: Reach): Promise<DeviceRoute["last"]> {
  if (reach.user === null) return reach.route.last;
  if (reach.route !== undefined) return reach.route.last;
  await guardSecret(core);
  const name = await knownName(core, tenant, userNames(core, tenant, reach.user));
  return (await findRoute(core, tenant, name)).last;
}
