/** Reads many sessions, one after another, with a few small ones in memory. */
import { logsOf } from "../../domain/copies/archive.ts";
import { isObjectScope, markerScope } from "../../domain/attachments/attachment.ts";
import { isStaged } from "../../domain/copies/staged.ts";
import { headOf } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import { defined } from "../../domain/values/defined.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { encodeCursor } from "../../store/cursor.ts";
import { keyOf } from "../core/record-pages.ts";
import type { Loaded, FoundRecords, SessionFilter } from "../../store/store.ts";
import { withAttachments } from "../attachments/carried.ts";
import type { Core } from "../core/core.ts";
import { hasEntriesElsewhere } from "../core/log-reader.ts";
import { endsPass, typedFailure } from "../core/pass-failures.ts";
import { jsonOf, snapshotPieces, type SessionSource } from "../snapshots/session-source.ts";
import { atOneMoment, sourceIn, storedSession, tailsOf, type StoredSession } from "./stored-session.ts";

/** Which sessions, and from where on. */
export interface TransferQuery extends SessionFilter {
  /** Undefined: all tenants, with their internal records. */
  readonly tenant: string | undefined;
  /** Continue after this session. */
  readonly after?: { readonly tenant: string; readonly id: string } | undefined;
}

/** A session, or the error that prevented reading it. */
export type FoundSession =
  | { readonly key: SessionKey; readonly source: StoredSession }
  | { readonly key: SessionKey; readonly error: SessionError };

/** The sessions, or the entries of them, that one load takes. A session with a larger log is read by itself. */
const loadMax = { sessions: 32, entries: 500 } as const;

/**
 * Each session at a moment of its own, by tenant and id. A session that exists throughout comes once, whatever is written
 * meanwhile; one that is created or removed meanwhile may come or not.
 */
export async function* eachSession(
  core: Core,
  query: TransferQuery,
  /** Which records of a page to load. @default all */
  chosen: (page: readonly SessionRecord[]) => Promise<readonly SessionRecord[]> = (page) => Promise.resolve(page),
): AsyncGenerator<FoundSession, void, undefined> {
  for await (const { records: all, unreadable } of recordPages(core, query)) {
    const records = all.filter(
      (record) => !isStaged(record) && !isObjectScope(record.tenant) && record.tenant !== markerScope,
    );
    for (const group of groupsOf(await chosen(records))) yield* await loadGroup(core, group);
    for (const error of unreadable) yield { key: keyOf(error), error };
  }
}

/** The snapshot of a session as a text, or the error that prevented it. */
export type SnapshotOfSession =
  | { readonly key: SessionKey; readonly record: PortableRecord; readonly text: string }
  | { readonly key: SessionKey; readonly error: SessionError };

/** The snapshots of sessions, as {@link eachSession} finds them. */
export async function* snapshotTexts(
  core: Core,
  query: TransferQuery,
): AsyncGenerator<SnapshotOfSession, void, undefined> {
  const { snapshotBytesMax: bytesMax } = core.options.limits;
  for await (const found of eachSession(core, query)) {
    if ("error" in found) {
      yield found;
      continue;
    }
    const { key } = found;
    try {
      const text = async (source: SessionSource): ReturnType<typeof textOf> =>
        await textOf(await withAttachments(core, key, source), bytesMax);
      yield { key, ...(await atOneMoment(core, key, text, found.source)) };
    } catch (error) {
      if (hasCode(error, "session_not_found")) continue; // it was removed meanwhile
      if (endsPass(error)) throw error;
      yield { key, error: typedFailure(key, error) };
    }
  }
}

/**
 * @throws SessionError `store_invalid` for an entry that is not JSON: no reader could read the snapshot, `snapshot_too_large`
 */
async function textOf(
  source: SessionSource,
  bytesMax: number,
): Promise<{ readonly record: PortableRecord; readonly text: string }> {
  const { record } = source;
  const entries = async function* (): ReturnType<SessionSource["entries"]> {
    for await (const logged of source.entries()) {
      jsonOf(record, logged);
      yield logged;
    }
  };
  let text = "";
  let bytes = 0;
  for await (const piece of snapshotPieces({ ...source, entries })) {
    bytes += Buffer.byteLength(piece);
    // An import holds the text to the same limit.
    if (bytes > bytesMax) throw new SessionError("snapshot_too_large", { sessionId: record.id, bytes, bytesMax });
    text += piece;
  }
  return { record, text };
}

/** The records of these sessions, by tenant and id, page by page. */
export async function* recordPages(
  core: Core,
  { tenant, after, ...filter }: TransferQuery,
  limit = 200,
): AsyncGenerator<Pick<FoundRecords, "records" | "unreadable">, void, undefined> {
  const query = { order: "key", limit, ...filter, ...defined({ tenant }) } as const;
  const first = defined({ after: after && encodeCursor([after.tenant, after.id]) });
  yield* eachPage((cursor) => core.store.find({ ...query, ...cursor }), first);
}

function* groupsOf(records: readonly SessionRecord[]): Generator<readonly SessionRecord[], void, undefined> {
  let group: SessionRecord[] = [];
  let entries = 0;
  for (const record of records) {
    const own = logsOf(record).reduce((sum, log) => sum + headOf(record, log), 0);
    if (group.length > 0 && (group.length >= loadMax.sessions || entries + own > loadMax.entries)) {
      yield group;
      group = [];
      entries = 0;
    }
    group.push(record);
    entries += own;
  }
  if (group.length > 0) yield group;
}

async function loadGroup(core: Core, records: readonly SessionRecord[]): Promise<readonly FoundSession[]> {
  const found: FoundSession[] = [];
  let loaded: readonly (Loaded | undefined)[];
  try {
    const requests = records.map((record) => ({ key: record, tails: tailsOf(core, logsOf(record)) }));
    loaded = (await core.store.load(requests)).sessions;
  } catch (error) {
    // One of them is damaged; each is loaded alone to find which.
    if (endsPass(error)) throw error;
    if (records.length > 1) return (await Promise.all(records.map((one) => loadGroup(core, [one])))).flat();
    return records.map((record) => ({ key: ownKey(record), error: typedFailure(record, error) }));
  }
  for (const [index, record] of records.entries()) {
    const one = loaded[index];
    if (one === undefined) continue; // it was removed meanwhile
    const key = ownKey(record);
    try {
      const logs = logsOf(record);
      const isComplete = !hasEntriesElsewhere(one.record) && logsOf(one.record).every((log) => logs.includes(log));
      found.push({ key, source: isComplete ? await sourceIn(core, one, logs) : await storedSession(core, record) });
    } catch (error) {
      if (hasCode(error, "session_not_found")) continue;
      if (endsPass(error)) throw error;
      found.push({ key, error: typedFailure(record, error) });
    }
  }
  return found;
}

function ownKey({ tenant, id }: SessionRecord): SessionKey {
  return { tenant, id };
}
