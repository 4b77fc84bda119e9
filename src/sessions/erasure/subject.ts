/** The user or the guest of an erasure, and the places where the user is found: sessions, devices, staged logs, and the outbox. */
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { stagedScope } from "../../domain/copies/staged.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { parseDeviceId } from "../../domain/values/device.ts";
import { guardObject } from "../../domain/values/option-names.ts";
import { SessionError } from "../../errors.ts";
import { internalKey, pointerOf } from "../devices/device-pointer.ts";
import { deviceNames as namesOfDevice, isDeviceName, keyedName, keyedNames, userNames } from "../core/keyed-hash.ts";
import { knownName, newerNames } from "../devices/device-names.ts";
import { isAbandoned } from "../core/staged-logs.ts";
import { readablePages, recordPages } from "../core/record-pages.ts";
import { guestSessions } from "../devices/guest-sessions.ts";
import { isMarked } from "../marks/mark.ts";

/** A user by the id, or the guest of a device by the UUID: the device speaks for no user. */
export type Erased = string | { readonly device: string };

/** A user or a guest of a tenant, in a store and in its fallback. */
export interface Subject {
  readonly core: Core;
  readonly fallback: Core | undefined;
  readonly tenant: string;
  /** The user; of a guest, the name of the device in the store. */
  readonly user: string;
  /** True for a guest: a device that speaks for no user. */
  readonly isGuest: boolean;
  /** The text whose keyed hash identifies it: the user; of a guest, a text of the device's id, which no secret changes. */
  readonly hashed: string;
}

/** The text of a user or a guest whose keyed hash identifies it in receipts and marks. @throws SessionError `id_invalid` */
export function hashedText(core: Core, erased: Erased): string {
  if (typeof erased === "string") return erased;
  guardObject(erased, "erased");
  return `device ${parseDeviceId(erased.device, core.options.deviceIds)}`;
}

/**
 * The name in the store of a device that speaks for no user.
 * @throws SessionError `id_invalid`, `secret_missing`, `argument_invalid` for a device that speaks for a user
 */
export async function guestOf(core: Core, tenant: string, device: string): Promise<string> {
  const name = await knownName(
    core,
    tenant,
    namesOfDevice(core, tenant, parseDeviceId(device, core.options.deviceIds)),
  );
  const pointer = pointerOf(core, (await core.find(internalKey(tenant, name)))?.record);
  if (pointer?.kind === "user") throw new SessionError("argument_invalid", { name: "device", expected: "guest" });
  return name;
}

/** The keyed hash that identifies a user or a guest in receipts and references. @throws SessionError `secret_missing` */
export function subjectOf({ core, tenant, hashed }: Pick<Subject, "core" | "tenant" | "hashed">): string {
  return keyedName(core, tenant, "erased", hashed);
}

/** As {@link subjectOf}, under each secret, the current one first. */
export function subjectsOf(core: Core, tenant: string, hashed: string): readonly string[] {
  return keyedNames(core, tenant, "erased", hashed);
}

/** The user's sessions, page by page; more may be removed on the way. */
export async function* sessionPages({ core, tenant, user }: Subject): AsyncGenerator<readonly SessionRecord[]> {
  yield* recordPages(core, tenant, user);
}

/**
 * Staged logs with the user's words that no session has taken over. Those of a process that has ended count whatever user they
 * name: a copy of a fork holds words of other users.
 */
export async function* stagedPages({ core, tenant, user }: Subject): AsyncGenerator<readonly SessionRecord[]> {
  const query = { order: "key", tenant: stagedScope(tenant), now: 0, limit: 50 } as const;
  for await (const page of readablePages(core, query)) {
    const theirs: SessionRecord[] = [];
    for (const record of page) if (record.user === user || (await isAbandoned(core, record))) theirs.push(record);
    if (theirs.length > 0) yield theirs;
  }
}

/** The sessions in the outbox: those of the user, or the one of the guest. */
export async function* waitingPages({
  fallback,
  tenant,
  user,
  isGuest,
}: Subject): AsyncGenerator<readonly SessionRecord[]> {
  if (fallback === undefined) return;
  if (!isGuest) return yield* recordPages(fallback, tenant, user);
  const found = (await fallback.find({ tenant, id: user }))?.record;
  if (found !== undefined) yield [found];
}

/**
 * Pointers from devices to the user, the user's own pointer included, and the sessions that the devices had as guests, unless they
 * name a user since or a mark leads to them. Of a guest: the pointer and the sessions of the one device.
 */
export async function* devicePages({ core, tenant, user, isGuest }: Subject): AsyncGenerator<DevicePage> {
  if (isGuest) {
    const own = (await core.find(internalKey(tenant, user)))?.record;
    const pointers = [...(await newerNames(core, tenant, user)), ...(own?.user === null ? [own] : [])];
    yield { pointers, guests: await unmarkedGuests(core, tenant, [user]) };
    return;
  }
  for await (const pointers of recordPages(core, internalScope(tenant, "devices"), user)) {
    const guests = await unmarkedGuests(
      core,
      tenant,
      pointers.map(({ id }) => id),
    );
    // The records under newer names are found by the pointers, so they are deleted before them.
    const newer = (await Promise.all(pointers.map(({ id }) => newerNames(core, tenant, id)))).flat();
    yield { pointers: [...newer, ...pointers], guests };
  }
  const name = await knownName(core, tenant, userNames(core, tenant, user));
  const own = (await core.find(internalKey(tenant, name)))?.record;
  const pointers = [...(await newerNames(core, tenant, name)), ...(own === undefined ? [] : [own])];
  if (pointers.length > 0) yield { pointers, guests: [] };
}

interface DevicePage {
  readonly pointers: readonly SessionRecord[];
  readonly guests: readonly SessionRecord[];
}

/** The sessions that devices had as guests, and that no mark leads to. */
async function unmarkedGuests(
  core: Core,
  tenant: string,
  devices: readonly string[],
): Promise<readonly SessionRecord[]> {
  const guests: SessionRecord[] = [];
  for (const name of devices) {
    for await (const record of guestSessions(core, tenant, name))
      if (!(await isMarked(core, record))) guests.push(record);
  }
  return guests;
}

/** The names of the devices that speak for the user. */
export async function deviceNames({ core, tenant, user }: Subject): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const pointers of recordPages(core, internalScope(tenant, "devices"), user))
    for (const { id } of pointers) if (isDeviceName(id)) names.push(id);
  return names;
}

/**
 * Sessions that these devices of a user had while the store was away: the fallback does not know that they speak for the user.
 * That of a guest is found by itself.
 */
export async function waitingOf(
  { fallback, tenant, isGuest }: Subject,
  pointers: readonly SessionRecord[],
): Promise<readonly SessionRecord[]> {
  if (fallback === undefined || isGuest) return [];
  const found = await fallback.findAll(pointers.map(({ id }): SessionKey => ({ tenant, id })));
  return found.filter((record) => record !== undefined);
}
