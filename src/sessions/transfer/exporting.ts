/** Sessions by the many, one after another, with no more of them in memory than a few. */
import { logsOf } from "../../domain/copies/archive.ts";
import { isStaged } from "../../domain/copies/staged.ts";
import { headOf } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Portable } from "../../domain/copies/snapshot.ts";
import { defined } from "../../domain/values/defined.ts";
import { eachPage } from "../../domain/values/pages.ts";
import { hasCode, type SessionError } from "../../errors.ts";
import { encodeCursor } from "../../store/cursor.ts";
import { keyOf } from "../../store/row.ts";
import type { Loaded, Page, SessionFilter } from "../../store/store.ts";
import type { Core } from "../core/core.ts";
import { hasEntriesElsewhere } from "../core/log-reader.ts";
import { endsPass, typedFailure } from "../core/pass-failures.ts";
import { areCut, portableFrom, portableSession, tailsOf } from "./snapshots.ts";

/** Which sessions, and from where on. */
export interface PortableQuery extends SessionFilter {
  /** Undefined: all tenants, with what else is kept for them. */
  readonly tenant: string | undefined;
  /** Go on behind this session. */
  readonly after?: { readonly tenant: string; readonly id: string } | undefined;
}

/** A session as it was found, or why it could not be read. */
export type FoundPortable =
  | { readonly record: SessionRecord; readonly portable: Portable }
  | { readonly record: SessionKey; readonly error: SessionError };

/** So many sessions, or so many entries of theirs, are loaded in one go; a log of more bytes is loaded with its session alone. */
const loadMax = { sessions: 32, entries: 500 } as const;

/**
 * Each session at a moment of its own, by tenant and id. What stands throughout comes once, whatever is written
 * meanwhile; what is created or removed meanwhile may come or not.
 */
export async function* portableSessions(
  core: Core,
  query: PortableQuery,
  /** Which records of a page to load. @default all */
  chosen: (page: readonly SessionRecord[]) => Promise<readonly SessionRecord[]> = (page) => Promise.resolve(page),
): AsyncGenerator<FoundPortable, void, undefined> {
  for await (const { records: all, unreadable } of recordPages(core, query)) {
    const records = all.filter((record) => !isStaged(record));
    for (const group of groupsOf(await chosen(records))) yield* await loadGroup(core, group);
    for (const error of unreadable) yield { record: keyOf(error), error };
  }
}

/** The records of these sessions, by tenant and id, page by page. */
export async function* recordPages(
  core: Core,
  { tenant, after, ...filter }: PortableQuery,
  limit = 200,
): AsyncGenerator<Pick<Page, "records" | "unreadable">, void, undefined> {
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

async function loadGroup(core: Core, records: readonly SessionRecord[]): Promise<readonly FoundPortable[]> {
  const found: FoundPortable[] = [];
  let loaded: readonly (Loaded | undefined)[];
  try {
    const requests = records.map((record) => ({ key: record, tails: tailsOf(logsOf(record)) }));
    loaded = (await core.store.load(requests)).sessions;
  } catch (error) {
    // One of them is damaged: which one, each must tell by itself.
    if (endsPass(error)) throw error;
    if (records.length > 1) return (await Promise.all(records.map((one) => loadGroup(core, [one])))).flat();
    return records.map((record) => ({ record, error: typedFailure(record, error) }));
  }
  for (const [index, record] of records.entries()) {
    const one = loaded[index];
    if (one === undefined) continue; // it was removed meanwhile
    try {
      const logs = logsOf(record);
      const isWhole =
        !hasEntriesElsewhere(one.record) &&
        logsOf(one.record).every((log) => logs.includes(log)) &&
        !(await areCut(core, one, logs));
      const { snapshotBytesMax } = core.options.limits;
      const portable = isWhole ? portableFrom(one, logs, snapshotBytesMax) : await portableSession(core, record);
      found.push({ record: one.record, portable });
    } catch (error) {
      if (hasCode(error, "session_not_found")) continue;
      if (endsPass(error)) throw error;
      found.push({ record, error: typedFailure(record, error) });
    }
  }
  return found;
}
