/** Sessions as documents: taken from the store as they are at one moment, and restored whole. */
import { namedLogs, type Change } from "../../domain/record/change.ts";
import type { Entry, LogName, SessionKey } from "../../domain/record/entry.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { guardLegalHold } from "../../domain/record/retention.ts";
import { restoreSession, type PortableRecord, type RestoredPlace } from "../../domain/copies/snapshot.ts";
import { hasReplaced, inheritedBefore, replacedLog, replacedPlace } from "../../domain/turns/replaced-turns.ts";
import { guardLease, sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import type { Settled } from "../../store/store.ts";
import { takingAttachments, withAttachments } from "../attachments/carried.ts";
import { shareAttachments } from "../attachments/put.ts";
import { referenceKey, usedReference, type Referrer } from "../attachments/records.ts";
import { removalChanges } from "../attachments/removal.ts";
import type { Core } from "../core/core.ts";
import { markShared } from "../marks/shared-marks.ts";
import { restoredReferences } from "../marks/restored-marks.ts";
import { detachForks } from "../handle/detach-forks.ts";
import { Handle } from "../handle/handle.ts";
import { ArrivingLogs, type ArrivedLogs } from "../core/staged-logs.ts";
import { agentId } from "../session/opening.ts";
import { parseOneOf } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import type { Pauses } from "../snapshots/pauses.ts";
import { snapshotOf, type LoggedEntry, type SessionSource } from "../snapshots/session-source.ts";
import { entryText, SnapshotWriter, type SessionSnapshot } from "../snapshots/snapshot-text.ts";
import { atOneMoment } from "./stored-session.ts";

/** How a snapshot is restored. */
export interface RestoreOptions {
  /** The id of the restored session. @default that of the snapshot */
  readonly as?: string;
  /** How to treat a session that exists: fail, replace it, or restore under a new id. @default "fail" */
  readonly onExists?: "fail" | "replace" | "new-id";
}

const optionNames: OptionNames<RestoreOptions> = { as: true, onExists: true };

/** @throws SessionError `argument_invalid` for an option that does not exist */
export function guardRestoreOptions(options: RestoreOptions): void {
  guardNames(options, "options", optionNames);
}

/** A snapshot of one session. @throws SessionError `session_not_found`, `snapshot_too_large` */
export async function takeSnapshot(core: Core, key: SessionKey, pauses?: Pauses): Promise<SessionSnapshot> {
  return await atOneMoment(core, key, async (source) => snapshotOf(await withAttachments(core, key, source), pauses));
}

/**
 * Restore a session: readers see it whole or not at all. Logs of more than one commit are staged first.
 * @throws SessionError `session_exists`, `busy` where it would replace a session that is written to
 */
export async function restoreOn(
  core: Core,
  source: SessionSource,
  { tenant, as, onExists = "fail" }: RestoreOptions & { readonly tenant: string },
): Promise<Handle> {
  core.guardOpen();
  await core.learnTime();
  let key: SessionKey = { tenant, id: parseNewId(as ?? source.record.id, "sessionId") };
  const first = key;
  const { createdAt } = source.record;
  let found: SessionRecord | undefined;
  await using arriving = new ArrivingLogs(core, key, source.record.user);
  let session: ArrivedSession | undefined;
  for (;;) {
    // An existing session is found before a large one is staged in vain.
    const isLarge = source.inMemory === undefined;
    let current = isLarge && found === undefined ? (await core.find(key))?.record : undefined;
    if (current === undefined) {
      session ??= await arrived(core, key, { arriving, source });
      const outcome = await core.commit(await restoredSession(core, session, { key, found }));
      const record = outcome.status === "ok" ? outcome.changes[0]?.record : undefined;
      if (record != null) {
        arriving.taken();
        return new Handle(core, record);
      }
      current = await standing(core, key, outcome);
    }
    found = undefined;
    if (current === undefined) continue; // it was removed meanwhile
    if (onExists === "fail") throw new SessionError("session_exists", sessionIds(current));
    if (onExists === "replace") found = await replaceable(core, current);
    else key = { tenant, id: agentId(core, source.record.agent) };
    if (session !== undefined) await shareAttachments(core, { ...first, createdAt }, { ...key, createdAt });
  }
}

/** A session whose logs are in memory or staged, for a rule that restores it. */
export interface ArrivedSession extends ArrivedLogs {
  readonly record: PortableRecord;
  /** The checksum of a snapshot with these logs, and the characters of its text. */
  readonly checksum: string;
  readonly length: number;
  /** The hashes of its attachments, which were put before. */
  readonly attachments: ReadonlySet<string>;
}

/** Read all entries of a source, put its attachments, and stage its logs where they are more than one commit takes. */
export async function arrived(
  core: Core,
  key: SessionKey,
  { arriving, source }: { readonly arriving: ArrivingLogs; readonly source: SessionSource },
): Promise<ArrivedSession> {
  const { record } = source;
  const writer = new SnapshotWriter(record);
  let { length } = writer.beginning;
  const seen = ({ log, entry }: LoggedEntry): void => {
    length += writer.entry(log, entryText(entry)).length;
  };
  const attachments = new Set<string>();
  for await (const { log, entry } of takingAttachments(core, key, source, seen, attachments))
    await arriving.add(log, entry);
  const { ending, checksum } = writer.end();
  return { ...(await arriving.arrived()), record, checksum, length: length + ending.length, attachments };
}

/**
 * The changes that restore a session, with the references to other users whose words it holds.
 * @throws SessionError `legal_hold`, `session_forked`; `contended` where an attachment that was put for it was removed meanwhile
 */
export async function restoredSession(
  core: Core,
  { record, logs, staged, beside, attachments }: Pick<ArrivedSession, "record" | "attachments" | keyof ArrivedLogs>,
  place: Omit<RestoredPlace, "staged">,
): Promise<readonly [Change, ...Change[]]> {
  const change = restoreSession({ record, logs }, { ...place, staged }, core.context());
  const entryOf = async (log: LogName, seq: number): Promise<Entry | undefined> => {
    if (staged === undefined) return logs.get(log)?.[seq - 1];
    const range = { log, from: seq, to: seq, order: "ascending", limit: 1 } as const;
    return (await core.store.read(staged.key, range))[0];
  };
  const { record: written } = change;
  if (written === null) throw new Error("a session that is restored has a record");
  // The end of an open turn may put back the turns that it replaced.
  const turnOf = async (seq: number): Promise<Entry | undefined> => {
    const place = replacedPlace(written, seq);
    return await (place === undefined ? entryOf("turns", seq) : entryOf(replacedLog, place));
  };
  const inherited = hasReplaced(written) ? inheritedBefore(written, await entryOf(replacedLog, 1)) : written.inherited;
  const beginnings = async (): Promise<readonly Entry[]> => {
    const firsts = await Promise.all(namedLogs(written).map((log) => entryOf(log, 1)));
    return firsts.filter((first) => first !== undefined);
  };
  const restored = { record: written, snapshot: { ...record, inherited }, turnOf, beginnings, found: place.found };
  const { found } = place;
  // A reference belongs to one session of an id, by its creation.
  const removed = found === undefined || found.createdAt === record.createdAt ? [] : await removalChanges(core, found);
  const used = await usedBy(core, { ...place.key, createdAt: record.createdAt }, attachments);
  return [change, ...(await restoredReferences(core, restored)), ...beside, ...removed, ...used];
}

/**
 * The references that were put for a session, used by the commit that writes it: a removal may have taken them meanwhile.
 * @throws SessionError `contended` where it has
 */
async function usedBy(core: Core, session: Referrer, hashes: ReadonlySet<string>): Promise<readonly Change[]> {
  const found = await core.findAll([...hashes].map((hash) => referenceKey(session, hash)));
  return found.map((reference) => {
    if (reference !== undefined) return usedReference(core, reference);
    throw new SessionError("contended", { sessionId: session.id, tenant: session.tenant, attempts: 1 });
  });
}

/** The stored session after a commit that did not land, which may have met a mark that moved. */
export async function standing(core: Core, key: SessionKey, outcome: Settled): Promise<SessionRecord | undefined> {
  const current = outcome.status === "conflict" ? outcome.current : undefined;
  return current === undefined || current.tenant === key.tenant ? current : (await core.find(key))?.record;
}

/** The record of a session that no writer uses, and that may be removed. @throws SessionError `busy`, `legal_hold` */
export async function replaceable(
  core: Core,
  record: SessionRecord,
  { isLater = false }: Pick<RestoredPlace, "isLater"> = {},
): Promise<SessionRecord | undefined> {
  const handle = new Handle(core, record);
  // The open turn of a dead writer is sealed first; the session of a living writer is not replaced.
  await handle.recoverAbandoned();
  guardLease(handle.record, null, core.context());
  if (!isLater) guardLegalHold(handle.record);
  if (handle.record.forkedAt > 0) await detachForks(handle);
  if (handle.record.parent !== null) await markShared(core, handle.record);
  return handle.record;
}

/** @throws SessionError `argument_invalid` */
export function parseOnExists(value: RestoreOptions["onExists"]): NonNullable<RestoreOptions["onExists"]> {
  return parseOneOf(value ?? "fail", "onExists", ["fail", "replace", "new-id"]);
}
