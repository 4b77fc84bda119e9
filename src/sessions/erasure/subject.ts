/** The user of an erasure, and the places where the user is found: sessions, devices, staged logs, and the outbox. */
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { stagedScope } from "../../domain/copies/staged.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { internalKey } from "../devices/device-pointer.ts";
import { isDeviceName, keyedName, keyedNames, userNames } from "../core/keyed-hash.ts";
import { knownName, newerNames } from "../devices/device-names.ts";
import { isAbandoned } from "../core/staged-logs.ts";
import { readablePages, recordPages } from "../core/record-pages.ts";
import { guestSessions } from "../devices/guest-sessions.ts";
import { isMarked } from "../core/fork-references.ts";

/** A user of a tenant, in a store and in its fallback. */
export interface Subject {
  readonly core: Core;
  readonly fallback: Core | undefined;
  readonly tenant: string;
  readonly user: string;
}

/** The keyed hash that stands for the user in receipts and references. @throws SessionError `secret_missing` */
export function subjectOf(core: Core, tenant: string, user: string): string {
  return keyedName(core, tenant, "erased", user);
}

/** As {@link subjectOf}, under each secret, the current one first. */
export function subjectsOf(core: Core, tenant: string, user: string): readonly string[] {
  return keyedNames(core, tenant, "erased", user);
}

/** The user's sessions, page by page; more may be removed on the way. */
export async function* sessionPages({ core, tenant, user }: Subject): AsyncGenerator<readonly SessionRecord[]> {
  yield* recordPages(core, tenant, user);
}

/**
 * Staged logs with the user's words that no session has taken over. Those of a process that is gone count whatever user they
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

/** The user's sessions in the outbox. */
export async function* waitingPages({ fallback, tenant, user }: Subject): AsyncGenerator<readonly SessionRecord[]> {
  if (fallback !== undefined) yield* recordPages(fallback, tenant, user);
}

/**
 * Pointers from devices to the user, the user's own pointer included, and the sessions that the devices had as guests, unless they
 * name a user since or a mark leads to them.
 */
export async function* devicePages({ core, tenant, user }: Subject): AsyncGenerator<{
  readonly pointers: readonly SessionRecord[];
  readonly guests: readonly SessionRecord[];
}> {
  for await (const pointers of recordPages(core, internalScope(tenant, "devices"), user)) {
    const guests: SessionRecord[] = [];
    for (const { id } of pointers) {
      for await (const record of guestSessions(core, tenant, id)) {
        if (!(await isMarked(core, record))) guests.push(record);
      }
    }
    // The records under newer names are found by the pointers, so they are deleted before them.
    const newer = (await Promise.all(pointers.map(({ id }) => newerNames(core, tenant, id)))).flat();
    yield { pointers: [...newer, ...pointers], guests };
  }
  const name = await knownName(core, tenant, userNames(core, tenant, user));
  const own = (await core.find(internalKey(tenant, name)))?.record;
  const pointers = [...(await newerNames(core, tenant, name)), ...(own === undefined ? [] : [own])];
  if (pointers.length > 0) yield { pointers, guests: [] };
}

/** The names of the devices that speak for the user. */
export async function deviceNames({ core, tenant, user }: Subject): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const pointers of recordPages(core, internalScope(tenant, "devices"), user))
    for (const { id } of pointers) if (isDeviceName(id)) names.push(id);
  return names;
}

/** Sessions that these devices had while the store was away: the fallback does not know that they speak for the user. */
export async function waitingOf(
  { fallback, tenant }: Subject,
  pointers: readonly SessionRecord[],
): Promise<readonly SessionRecord[]> {
  if (fallback === undefined) return [];
  const found = await fallback.findAll(pointers.map(({ id }): SessionKey => ({ tenant, id })));
  return found.filter((record) => record !== undefined);
}
