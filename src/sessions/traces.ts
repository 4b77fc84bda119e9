/** Where a user is found: sessions, the devices that speak for them, what waits for the store. */
import type { SessionKey } from "../domain/entry.ts";
import type { SessionRecord } from "../domain/record.ts";
import { innerScope } from "../domain/scope.ts";
import type { Core } from "./core.ts";
import { innerKey } from "./device-pointer.ts";
import { isDeviceName, userName } from "./device-way.ts";

/** How much there is of a user. */
export interface Traces {
  /** Sessions in any state, forks and archives included. */
  readonly sessions: number;
  /** Those of them that are under hold. */
  readonly held: number;
  /** Devices that speak for the user. */
  readonly devices: number;
  /** 1 where a record leads from the user to their session. */
  readonly ways: number;
  /** Sessions that wait on this machine for the store to be told of them. */
  readonly outbox: number;
}

/** A user of a tenant, in a store and in what stands in for it. */
export interface Subject {
  readonly core: Core;
  readonly fallback: Core | undefined;
  readonly tenant: string;
  readonly user: string;
}

const pageSize = 50;

export async function tracesOf(subject: Subject): Promise<Traces> {
  const traces = { sessions: 0, held: 0, devices: 0, ways: 0, outbox: 0 };
  for await (const page of sessionPages(subject)) {
    traces.sessions += page.length;
    traces.held += page.filter(({ hold }) => hold !== null).length;
  }
  for await (const { pointers, guests } of devicePages(subject)) {
    const devices = pointers.filter(({ id }) => isDeviceName(id)).length;
    traces.devices += devices;
    traces.ways += pointers.length - devices;
    traces.sessions += guests.length;
    traces.held += guests.filter(({ hold }) => hold !== null).length;
    traces.outbox += (await waitingOf(subject, pointers)).length;
  }
  for await (const page of waitingPages(subject)) traces.outbox += page.length;
  return traces;
}

/** The user's sessions, page by page; more may be removed on the way. */
export async function* sessionPages({ core, tenant, user }: Subject): AsyncGenerator<readonly SessionRecord[]> {
  yield* pagesOf(core, tenant, user);
}

/** The user's sessions that wait for the store. */
export async function* waitingPages({ fallback, tenant, user }: Subject): AsyncGenerator<readonly SessionRecord[]> {
  if (fallback !== undefined) yield* pagesOf(fallback, tenant, user);
}

/**
 * What leads from devices to the user, the user's own way included, and the sessions that the devices had as guests and that
 * are nobody's since.
 */
export async function* devicePages({ core, tenant, user }: Subject): AsyncGenerator<{
  readonly pointers: readonly SessionRecord[];
  readonly guests: readonly SessionRecord[];
}> {
  for await (const pointers of pagesOf(core, innerScope(tenant, "devices"), user)) {
    const found = await core.findAll(pointers.map(({ id }): SessionKey => ({ tenant, id })));
    yield { pointers, guests: found.filter((record) => record !== undefined).filter((one) => one.user === null) };
  }
  const own = (await core.find(innerKey(tenant, userName(core, tenant, user))))?.record;
  if (own !== undefined) yield { pointers: [own], guests: [] };
}

/** What these devices said while the store was away: then nobody knows whom they speak for. */
export async function waitingOf(
  { fallback, tenant }: Subject,
  pointers: readonly SessionRecord[],
): Promise<readonly SessionRecord[]> {
  if (fallback === undefined) return [];
  const found = await fallback.findAll(pointers.map(({ id }): SessionKey => ({ tenant, id })));
  return found.filter((record) => record !== undefined);
}

async function* pagesOf(core: Core, tenant: string, user: string): AsyncGenerator<readonly SessionRecord[]> {
  const query = { order: "recent", tenant, user, now: 0, limit: pageSize } as const;
  for (let after: { after?: string } = {}; ;) {
    const { records, next } = await core.store.find({ ...query, ...after });
    if (records.length > 0) yield records;
    if (next === undefined) return;
    after = { after: next };
  }
}
