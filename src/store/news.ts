/**
 * News of a tenant: which of its sessions and documents changed, in the order of the commits. A store notes the keys in the
 * commit that changes them, while a subscription of the tenant stands. A reader gets what the store has when it reads.
 */
import type { DocumentKey } from "../domain/documents/document.ts";
import { isDocumentChange, type Transaction } from "../domain/record/change.ts";
import type { SessionKey } from "../domain/record/entry.ts";
import { newsTenantOf } from "../domain/values/internal-scope.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { decodeCursor, encodeCursor } from "./cursor.ts";
import type { FoundChange } from "./store.ts";

/** The key of a change, as a store notes it. */
export interface NotedKey {
  readonly tenant: string;
  readonly kind: "session" | "document";
  /** The scope of a document; of a session the tenant of its record, where that is another one, else empty. */
  readonly scope: string;
  readonly id: string;
}

/** The lease of a subscription, ms. A cursor can be used for at least ten minutes after its reader has ended. */
export const subscriptionMs: number = 15 * 60_000;
/** A reader renews a subscription after this time, ms. */
export const renewedAfterMs = 60_000;
/** News are kept for this time, ms. */
export const newsKeptMs: number = 12 * 60_000;
/** The most news that one read deletes. */
export const newsDeletedMax = 2000;

/** The subscription of a tenant in a store that numbers its news. */
export interface Subscription {
  /** Other after each beginning: distinguishes its cursors from those of an earlier one and of other stores. */
  readonly id: string;
  /** Commits note news until this time, epoch ms; 0: a commit has found it expired. */
  readonly expiresAt: number;
  /** News up to this number may be deleted, and cursors before it are too old. */
  readonly deleted: number;
  /** The number of the last news at `markedAt`, up to which they may be deleted later. */
  readonly mark: number;
  readonly markedAt: number;
}

/** The subscription after a read at this time: begun, renewed or as it is. `last`: the number of the last news. */
export function subscribed(
  before: Subscription | undefined,
  { id, now, last }: { readonly id: () => string; readonly now: number; readonly last: number },
): Subscription {
  if (before === undefined || before.expiresAt <= now)
    return { id: id(), expiresAt: now + subscriptionMs, deleted: last, mark: last, markedAt: now };
  const isDue = before.expiresAt < now + subscriptionMs - renewedAfterMs;
  const isMarkOld = before.markedAt <= now - newsKeptMs;
  if (!isDue && !isMarkOld) return before;
  const renewed = isDue ? { ...before, expiresAt: now + subscriptionMs } : before;
  return isMarkOld ? { ...renewed, deleted: before.mark, mark: last, markedAt: now } : renewed;
}

/** The place of a reader in the news of a subscription. */
export interface NewsCursor {
  /** The subscription. */
  readonly id: string;
  /** The place, in a form of the store. */
  readonly place: string;
}

export function encodeNewsCursor({ id, place }: NewsCursor): string {
  return encodeCursor([id, place]);
}

/** @throws SessionError `argument_invalid` for a text that is no cursor of news */
export function decodeNewsCursor(cursor: string): NewsCursor {
  const [id = "", place = ""] = decodeCursor(cursor, ["string", "string"]);
  return { id: String(id), place: String(place) };
}

/** The number in a cursor of a numbered subscription; undefined for a cursor of another one, or one without its news. */
export function numberAfter(
  cursor: string | undefined,
  { id, deleted }: Subscription,
  last: number,
): number | undefined {
  if (cursor === undefined) return undefined;
  const given = decodeNewsCursor(cursor);
  if (given.id !== id) return undefined;
  const number = Number(given.place);
  if (!Number.isSafeInteger(number)) throw invalidArgument("after", cursor, { expected: "cursor" });
  return number >= deleted && number <= last ? number : undefined;
}

/** The tenant whose news have the change. */
export function newsTenant(change: Transaction[number]): string {
  return isDocumentChange(change) ? change.document.tenant : newsTenantOf(change.key.tenant);
}

/** The key by which a store is watched for all news of a tenant: no session has an empty id. */
export function newsKey(tenant: string): SessionKey {
  return { tenant, id: "" };
}

/** True for a key of {@link newsKey}. */
export function isNewsKey({ id }: SessionKey): boolean {
  return id === "";
}

/** The key of what is changed. Undefined for a document whose time of expiry is moved: it keeps its version. */
export function notedKey(change: Transaction[number]): NotedKey | undefined {
  if (!isDocumentChange(change)) return notedSession(change.key);
  return change.kind === "touch" ? undefined : notedDocument(change.document);
}

function notedSession({ tenant, id }: SessionKey): NotedKey {
  const owner = newsTenantOf(tenant);
  return { tenant: owner, kind: "session", scope: owner === tenant ? "" : tenant, id };
}

export function notedDocument({ tenant, scope, key }: DocumentKey): NotedKey {
  return { tenant, kind: "document", scope, id: key };
}

/** The key of a noted session. */
export function sessionNoted({ tenant, scope, id }: NotedKey): SessionKey {
  return { tenant: scope === "" ? tenant : scope, id };
}

/** The key of a noted document. */
export function documentNoted({ tenant, scope, id: key }: NotedKey): DocumentKey {
  return { tenant, scope, key };
}

/** A key as one text, to index maps by. */
function notedText({ kind, scope, id }: NotedKey): string {
  return `${kind}\u0000${scope}\u0000${id}`;
}

/** A noted key, with its number. */
export interface NotedRow extends NotedKey {
  readonly no: number;
}

/** What the store has under the noted keys. */
export interface NotedState {
  /** The session or stream, and the bytes of its record. */
  readonly session: (key: SessionKey) => { readonly change: FoundChange; readonly bytes: number };
  readonly document: (key: DocumentKey) => number | undefined;
}

/** The stored values under the keys of these rows, each once, within the bytes; `reached`: the number of the last row of the page. */
export function changesOf(
  rows: Iterable<NotedRow>,
  {
    from,
    bytesMax = Infinity,
    state,
  }: { readonly from: number; readonly bytesMax?: number | undefined; readonly state: NotedState },
): { readonly changes: readonly FoundChange[]; readonly reached: number } {
  const changes = new Map<string, FoundChange>();
  let bytes = 0;
  let reached = from;
  for (const row of rows) {
    const text = notedText(row);
    if (!changes.has(text)) {
      const { change, bytes: size } =
        row.kind === "session" ? state.session(sessionNoted(row)) : { change: documentChange(state, row), bytes: 0 };
      bytes += size;
      if (bytes > bytesMax && changes.size > 0) break;
      changes.set(text, change);
    }
    reached = row.no;
  }
  return { changes: [...changes.values()], reached };
}

function documentChange(state: NotedState, row: NotedRow): FoundChange {
  const document = documentNoted(row);
  return { document, version: state.document(document) };
}
