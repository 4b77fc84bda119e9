import {
  decodeNewsCursor,
  documentNoted,
  encodeNewsCursor,
  newsDeletedMax,
  sessionNoted,
  type NotedKey,
} from "../../news.ts";
import type { FoundChange, FoundNews, NewsQuery } from "../../store.ts";
import { readRecord, type RecordRow } from "../../row.ts";
import type { Database } from "../connection/database.ts";
import { nowMs } from "../schema/functions/load-sessions.ts";
import { isFollowed } from "../schema/functions/news.ts";

/** The transaction and the number of a row of news. */
type Place = readonly [xid: string, no: number];

/** The answer of `read_news`. */
interface Answer {
  readonly id: string;
  /** The snapshot within which the page is. */
  readonly until: string;
  /** The time of the read, epoch ms. */
  readonly now: number;
  /** False if the page is a reset. */
  readonly fits: boolean;
  /** The number of rows that the page is read from, and the last one. */
  readonly count: number;
  readonly last: Place | null;
  readonly changes: readonly Changed[] | null;
}

/** A change at the place of its first row. */
interface Changed extends Omit<NotedKey, "tenant"> {
  readonly place: Place;
  readonly version: number | null;
  /** The bytes of the page end before it. */
  readonly isBehind: boolean;
  readonly record: RecordRow | null;
}

/** A reader has the news that are visible in `from`, and those in `until` up to a place. */
interface Bounds {
  readonly from: string;
  /** The time of the snapshot `from`, epoch ms. */
  readonly madeAt: number;
  readonly until?: string;
  readonly place: Place;
}

const start: Place = ["0", 0];

/** Begins or renews the subscription, and returns a page of news, in one statement. */
export async function findNews(call: Database["call"], schema: string, query: NewsQuery): Promise<FoundNews> {
  const { tenant, after, limit, bytesMax = Number.MAX_SAFE_INTEGER } = query;
  const cursor = after === undefined ? undefined : decodeNewsCursor(after);
  const bounds = cursor && boundsOf(cursor.place);
  const [xid, no] = bounds?.place ?? start;
  const values = [tenant, cursor?.id, bounds?.from, bounds?.madeAt, bounds?.until, xid, no, limit, bytesMax];
  const [row] = await call(
    `select ${schema}.read_news($1, $2, $3, $4, $5, $6, $7, $8, $9)::text as answer`,
    values.map((value) => value ?? null),
  );
  const text = row?.["answer"];
  if (typeof text !== "string") return { isReset: false, changes: [], next: undefined, hasMore: false };
  return foundNews(JSON.parse(text) as Answer, { tenant, limit, bounds });
}

function foundNews(
  { id, until, now, fits, count, last, changes }: Answer,
  { tenant, limit, bounds }: { readonly tenant: string; readonly limit: number; readonly bounds: Bounds | undefined },
): FoundNews {
  const cursorAt = (place: string): string => encodeNewsCursor({ id, place });
  const wholeAt = (madeAt: number): string => cursorAt(placeText({ from: until, madeAt, place: start }));
  if (!fits || bounds === undefined) return { isReset: true, changes: [], next: wholeAt(now), hasMore: false };
  const all = changes ?? [];
  const end = all.findIndex(({ isBehind }) => isBehind);
  const page = (end === -1 ? all : all.slice(0, end)).map((changed) => foundChange(tenant, changed));
  const reached = end === -1 ? (count < limit ? undefined : last) : before(all[end]?.place ?? start);
  if (reached === undefined || reached === null) {
    if (bounds.until === undefined) return { isReset: false, changes: page, next: wholeAt(now), hasMore: false };
    // The second snapshot is older than this read: later changes may be behind it.
    return { isReset: false, changes: page, next: wholeAt(bounds.madeAt), hasMore: true };
  }
  const next = cursorAt(placeText({ ...bounds, until, place: reached }));
  return { isReset: false, changes: page, next, hasMore: true };
}

function foundChange(tenant: string, { record, version, kind, scope, id }: Changed): FoundChange {
  const noted = { tenant, kind, scope, id };
  if (kind === "document") return { document: documentNoted(noted), version: version ?? undefined };
  return { session: sessionNoted(noted), record: record === null ? undefined : readRecord(record) };
}

/** A place that only this row is behind, of the rows from it on. */
function before([xid, no]: Place): Place {
  return [xid, no - 1];
}

function placeText({ from, madeAt, until, place }: Bounds): string {
  return [from, madeAt, ...(until === undefined ? [] : [until, ...place])].join(" ");
}

/** Undefined for the place of another store. */
function boundsOf(text: string): Bounds | undefined {
  const [from = "", time, until, xid = "", no = "", ...others] = text.split(" ");
  const [madeAt, number] = [Number(time), Number(no)];
  if (!isSnapshot(from) || !Number.isSafeInteger(madeAt) || others.length > 0) return undefined;
  if (until === undefined) return { from, madeAt, place: start };
  const isPlace = isSnapshot(until) && isXid(xid) && Number.isSafeInteger(number);
  return isPlace ? { from, madeAt, until, place: [xid, number] } : undefined;
}

const xidMax = 2n ** 63n;

function isXid(text: string): boolean {
  return /^\d{1,19}$/.test(text) && BigInt(text) < xidMax;
}

/** True for a text that the server takes as a snapshot: the transactions under way are in order and within the bounds. */
function isSnapshot(text: string): boolean {
  const [min = "", max = "", running = "", ...others] = text.split(":");
  const xids = running === "" ? [] : running.split(",");
  if (!/^.*:.*:/.test(text) || others.length > 0 || ![min, max, ...xids].every(isXid)) return false;
  const [low, high] = [BigInt(min), BigInt(max)];
  const numbers = xids.map(BigInt);
  return (
    isValid(low) &&
    isValid(high) &&
    low <= high &&
    numbers.every((xid, index) => low <= xid && xid < high && (index === 0 || (numbers[index - 1] ?? xid) < xid))
  );
}

/** False for an id that the server gives to no transaction: the lower half is 0. */
function isValid(xid: bigint): boolean {
  return (xid & 0xffff_ffffn) !== 0n;
}

/** The part of a statement that notes the documents in `deleted`, apart from those that were removed before. */
export function notingDeleted(schema: string): string {
  return `insert into ${schema}.news (tenant, kind, scope, id)
       select deleted.tenant, 'document', deleted.scope, deleted.key from deleted
       where deleted.expires_at is distinct from 0 and ${isFollowed(schema, "subscription.tenant = deleted.tenant")}`;
}

/** The parts of a statement that delete some news of the tenants whose subscription has expired, and then the subscription. */
export function deletingExpired(schema: string): string {
  return `expired_news as (
         delete from ${schema}.news news where (news.tenant, news.xid, news.no) in (
           select old.tenant, old.xid, old.no from ${schema}.news_subscriptions subscription
           join ${schema}.news old on old.tenant = subscription.tenant
           where subscription.expires_at <= ${nowMs} limit ${newsDeletedMax} for update of old skip locked
         )
         returning 1
       ), expired_subscriptions as (
         delete from ${schema}.news_subscriptions subscription
         where subscription.expires_at <= ${nowMs}
           and not exists (select from ${schema}.news old where old.tenant = subscription.tenant)
       )`;
}

/**
 * Ends all subscriptions, and deletes their news in steps; readers begin again. A reader may begin a subscription meanwhile: its
 * news are not in the snapshot, and all earlier news are deleted.
 */
export async function deleteNews(ask: Database["ask"], schema: string): Promise<void> {
  const [row] = await ask(
    `with ended as (update ${schema}.news_subscriptions set expires_at = 0)
     select pg_current_snapshot()::text as ended_at`,
  );
  for (let deleted = newsDeletedMax; deleted >= newsDeletedMax;) {
    const rows = await ask(
      `delete from ${schema}.news news where (news.tenant, news.xid, news.no) in (
         select old.tenant, old.xid, old.no from ${schema}.news old
         where pg_visible_in_snapshot(old.xid, $1::pg_snapshot) limit ${newsDeletedMax} for update
       ) returning 1`,
      [row?.["ended_at"]],
    );
    deleted = rows.length;
  }
}
