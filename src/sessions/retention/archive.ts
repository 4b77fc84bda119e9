/**
 * Archives and unarchives sessions of any size. A session that one commit can take is written in one; a larger one is staged in
 * bounded commits, and takes the staged logs over in a last small commit.
 */
import { hasTurns, inheritedIn } from "../../domain/branches/segments.ts";
import {
  copiedEntry,
  archiveEntry,
  archiveSession,
  guardArchivable,
  isArchivable,
  logsOf,
  unarchiveSession,
  type PackedLogs,
} from "../../domain/copies/archive.ts";
import { headOf, isSame } from "../../domain/record/change.ts";
import { truncatedUsageLog, type Entry, type LogName } from "../../domain/record/entry.ts";
import type { Archive, Identity, SessionRecord } from "../../domain/record/record.ts";
import { TruncatedSums, truncatedUsageEntries } from "../../domain/turns/truncated-usage.ts";
import { turnOf } from "../../domain/turns/turn.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { readPart } from "../archive/archive-reader.ts";
import { packPart, type ArchivedEntries } from "../archive/archive-text.ts";
import { markShared } from "../marks/shared-marks.ts";
import type { Handle } from "../handle/handle.ts";
import { eachEntry } from "../core/log-reader.ts";
import { ArrivingLogs, type ArrivedLogs } from "../core/staged-logs.ts";
import type { Rule } from "../core/writable-session.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";

/** The most that is compressed together, unless one entry is larger: a reader has one part in memory. */
const partBytes = 4 * 1024 * 1024;

/**
 * False where the session has an archive already; with `expected`, also where the stored record is another one.
 * @throws SessionError `busy`, `turn_open`, `contended`
 */
export async function archiveOn(handle: Handle, expected?: Identity): Promise<boolean> {
  return await onUnmoved(handle, async (record, arriving) => {
    if (record.archive !== null || (expected !== undefined && !isSame(record, expected))) return false;
    guardArchivable(record, handle.fence, handle.core.context());
    if (record.parent !== null) await markShared(handle.core, record);
    const { logs, beside } = await packedLogs(handle, record, arriving);
    return { rule: (draft, context, { fence }) => archiveSession(draft, { logs, fence }, context), beside };
  });
}

/** False where the session is not archived. @throws SessionError `store_invalid` for a damaged archive, `contended` */
export async function unarchiveOn(handle: Handle): Promise<boolean> {
  return await onUnmoved(handle, async (record, arriving) => {
    if (record.state !== "archived") return false;
    const logs = await unpackedLogs(handle, record, arriving);
    if (logs === undefined) return undefined;
    return { rule: (draft, context) => unarchiveSession(draft, logs, context), beside: logs.beside };
  });
}

/** A rule for the record that it was prepared on, and changes of other records in the same commit. */
interface Prepared extends Pick<ArrivedLogs, "beside"> {
  readonly rule: Rule;
}

/**
 * Prepare a rule on the newest record and apply it to that very record; where the session changed meanwhile, again. `prepare`
 * returns false where there is nothing to do, undefined where it found that the session changed.
 */
async function onUnmoved(
  handle: Handle,
  prepare: (record: SessionRecord, arriving: ArrivingLogs) => Promise<Prepared | false | undefined>,
): Promise<boolean> {
  return await retryOnConflict(sessionIds(handle.record), async () => {
    await handle.peek();
    await handle.recoverAbandoned();
    const { record } = handle;
    await using arriving = new ArrivingLogs(handle.core, record, record.user);
    const prepared = await prepare(record, arriving);
    if (prepared === false || prepared === undefined) return prepared;
    const { rule, beside } = prepared;
    const written = await handle.write(
      (draft, context, writer) => (isSame(draft.base, record) ? rule(draft, context, writer) : null),
      { beside },
    );
    if (written.status !== "ok") return undefined;
    arriving.taken();
    return true;
  });
}

/** The logs of a session, compressed part by part. */
async function packedLogs(
  { core }: Handle,
  record: SessionRecord,
  arriving: ArrivingLogs,
): Promise<{ readonly logs: PackedLogs } & Pick<ArrivedLogs, "beside">> {
  const parts: Archive["parts"][number][] = [];
  let [bytes, packedBytes] = [0, 0];
  const sums = new TruncatedSums();
  const at = core.now();
  const { readMax, readBytesMax } = core.options.limits;
  for await (const sections of sectionsOf({ core }, record, sums)) {
    const { ranges, sha256, packed, bytes: more } = await packPart(sections);
    parts.push({ ranges, sha256 });
    bytes += more;
    packedBytes += packed.length;
    // The size before compression counts: the commit that adds the part removes as many rows and bytes.
    const rows = ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);
    await arriving.add(
      "archive",
      archiveEntry(packed, parts.length, at),
      Math.max(more, (rows * readBytesMax) / readMax),
    );
  }
  const { usage } = sums.result;
  if (arriving.isStaged) {
    await stageStaying({ core }, record, arriving);
    for (const entry of truncatedUsageEntries(record, usage)) await arriving.add(truncatedUsageLog, entry);
  }
  const { logs, staged, beside } = await arriving.arrived();
  const heads = Object.fromEntries(
    logsOf(record)
      .filter(isArchivable)
      .map((log) => [log, headOf(record, log)]),
  );
  const entries = logs.get("archive") ?? [];
  return { logs: { entries, staged, parts, packedBytes, heads, usage, bytes }, beside };
}

/** Stage the rows that stay: a session that takes staged logs over loses all rows it had. */
async function stageStaying(
  { core }: Pick<Handle, "core">,
  record: SessionRecord,
  arriving: ArrivingLogs,
): Promise<void> {
  for (const log of Object.keys(record.heads)) {
    if (isArchivable(log) || log === "archive") continue;
    for await (const entry of eachEntry(core, record, log)) await arriving.add(log, entry);
  }
}

/** The entries of all logs, log by log, in groups of about the size of a part; `sums` counts the turns among them. */
async function* sectionsOf(
  { core }: Pick<Handle, "core">,
  record: SessionRecord,
  sums: TruncatedSums,
): AsyncGenerator<readonly ArchivedEntries[], void, void> {
  let sections: ArchivedEntries[] = [];
  let length = 0;
  for (const log of logsOf(record).filter(isArchivable).toSorted()) {
    let entries: Entry[] = [];
    const inherited = inheritedIn(record, log);
    for await (const stored of eachEntry(core, record, log)) {
      const entry = copiedEntry(stored, log, inherited);
      if (length > 0 && length + entry.data.length > partBytes) {
        yield [...sections, ...sectionOf(log, entries)];
        sections = [];
        entries = [];
        length = 0;
      }
      if (hasTurns(log)) sums.add(turnOf(entry), inherited);
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

/** All entries of the archive; undefined where the archive no longer exists. */
async function unpackedLogs(
  { core }: Handle,
  record: SessionRecord,
  arriving: ArrivingLogs,
): Promise<ArrivedLogs | undefined> {
  const { archive } = record;
  for (const index of archive?.parts.keys() ?? []) {
    const sections = archive && (await readPart(core.store, record, archive, index));
    if (sections == null) return undefined;
    for (const { log, entries } of sections) for (const entry of entries) await arriving.add(log, entry);
  }
  if (arriving.isStaged) await stageStaying({ core }, record, arriving);
  const arrived = await arriving.arrived();
  const empty = Object.keys(archive?.heads ?? {}).map((log): [LogName, readonly Entry[]] => [log, []]);
  return { ...arrived, logs: new Map([...empty, ...arrived.logs]) };
}
