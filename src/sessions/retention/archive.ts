/** Put a session's logs away, and bring them back. */
import {
  archiveSession,
  isArchivable,
  logsOf,
  unarchiveSession,
  type PackedLogs,
  type PackedPart,
} from "../../domain/copies/archive.ts";
import { headOf, isSame } from "../../domain/record/change.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import type { Logs } from "../../domain/record/lifecycle.ts";
import type { Identity, SessionRecord } from "../../domain/record/record.ts";
import { CutTally } from "../../domain/turns/truncated-usage.ts";
import { turnOf } from "../../domain/turns/turn.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import { readPart } from "../archive/archive-reader.ts";
import { packPart, type ArchivedEntries } from "../archive/archive-text.ts";
import type { Core } from "../core/core.ts";
import { markShared } from "../core/fork-references.ts";
import type { Handle } from "../core/handle.ts";
import { eachEntry } from "../core/log-reader.ts";

/** What is compressed together at most, unless one entry is larger: as much as a reader has in memory for it. */
const partBytes = 4 * 1024 * 1024;
/** So often may the session change under who puts it away. */
const attemptsMax = 20;

/**
 * False where it was archived already; with `expected`, also where another record stands.
 * @throws SessionError `busy`, `turn_open`, `contended`, `snapshot_too_large`
 */
export async function archiveOn(handle: Handle, expected?: Identity): Promise<boolean> {
  return await onUnmoved(handle, async (record) => {
    if (record.archive !== null || (expected !== undefined && !isSame(record, expected))) return false;
    if (record.parent !== null) await markShared(handle.core, record);
    const logs = await packedLogs(handle.core, record);
    return (draft, context, { fence }) => archiveSession(draft, { logs, fence }, context);
  });
}

/** False where it was not archived. @throws SessionError `store_invalid` for an archive that is damaged, `contended` */
export async function unarchiveOn(handle: Handle): Promise<boolean> {
  return await onUnmoved(handle, async (record) => {
    if (record.state !== "archived") return false;
    const logs = await unpackedLogs(handle.core, record);
    if (logs === undefined) return undefined;
    return (draft, context) => unarchiveSession(draft, logs, context);
  });
}

/**
 * Prepare a rule on the newest record and apply it to that very record; where the session moved on meanwhile, again.
 * `prepare` gives back false where there is nothing to do, undefined where it saw that the session moved on.
 */
async function onUnmoved(
  handle: Handle,
  prepare: (record: SessionRecord) => Promise<Parameters<Handle["write"]>[0] | false | undefined>,
): Promise<boolean> {
  for (let attempt = 1; attempt <= attemptsMax; attempt++) {
    await handle.peek();
    await handle.recoverAbandoned();
    const { record } = handle;
    const rule = await prepare(record);
    if (rule === false) return false;
    if (rule === undefined) continue;
    const written = await handle.write((draft, context, writer) =>
      isSame(draft.base, record) ? rule(draft, context, writer) : null,
    );
    if (written.status === "ok") return true;
  }
  throw new SessionError("contended", { ...sessionIds(handle.record), attempts: attemptsMax });
}

/** The logs of a session, compressed part by part. */
async function packedLogs(core: Core, record: SessionRecord): Promise<PackedLogs> {
  const parts: PackedPart[] = [];
  const heads: Record<string, number> = {};
  let bytes = 0;
  const cut = new CutTally();
  for await (const sections of sectionsOf(core, record)) {
    for (const { log, entries } of sections)
      if (log === "turns") for (const entry of entries) cut.add(turnOf(entry), record.inherited);
    const { bytes: more, ...part } = await packPart(sections);
    parts.push(part);
    bytes += more;
    guardSize(core, record, bytes);
  }
  for (const log of logsOf(record).filter(isArchivable)) heads[log] = headOf(record, log);
  return { parts, heads, spent: cut.cut.spent, bytes };
}

/** The logs are written in one commit, which is in memory as a whole. @throws SessionError `snapshot_too_large` */
function guardSize(core: Core, { id }: SessionRecord, bytes: number): void {
  const { snapshotBytesMax: bytesMax } = core.options.limits;
  if (bytes > bytesMax) throw new SessionError("snapshot_too_large", { source: `of session ${id}`, bytes, bytesMax });
}

/** The entries of all logs, log by log, in groups of about the size of a part. */
async function* sectionsOf(core: Core, record: SessionRecord): AsyncGenerator<readonly ArchivedEntries[], void, void> {
  let sections: ArchivedEntries[] = [];
  let length = 0;
  for (const log of logsOf(record).filter(isArchivable).toSorted()) {
    let entries: Entry[] = [];
    for await (const entry of eachEntry(core, record, log)) {
      if (length > 0 && length + entry.data.length > partBytes) {
        yield [...sections, ...sectionOf(log, entries)];
        sections = [];
        entries = [];
        length = 0;
      }
      entries.push(entry);
      length += entry.data.length;
    }
    sections.push(...sectionOf(log, entries));
  }
  if (sections.length > 0) yield sections;
}

function sectionOf(log: LogName, entries: readonly Entry[]): readonly ArchivedEntries[] {
  const [first] = entries;
  return first === undefined ? [] : [{ log, from: first.seq, to: first.seq + entries.length - 1, entries }];
}

/** All that was put away; undefined where it is not there any more. */
async function unpackedLogs(core: Core, record: SessionRecord): Promise<Logs | undefined> {
  const logs = new Map<LogName, Entry[]>();
  const { archive } = record;
  if (archive === null) return logs;
  guardSize(core, record, archive.bytes);
  for (const log of Object.keys(archive.heads)) logs.set(log, []);
  for (const index of archive.parts.keys()) {
    const sections = await readPart(core.store, record, archive, index);
    if (sections === undefined) return undefined;
    // One by one: a part may hold more entries than a call takes arguments.
    for (const { log, entries } of sections) for (const entry of entries) logs.get(log)?.push(entry);
  }
  return logs;
}
