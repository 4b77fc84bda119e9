/** Sessions as documents: taken from the store as they are at one moment, and put back whole. */
import { logsOf } from "../../domain/copies/archive.ts";
import { firstOwn, headOf, isSame, type Change } from "../../domain/record/change.ts";
import type { Entry, LogName, SessionKey } from "../../domain/record/entry.ts";
import { mayLackItsBeginning } from "../../domain/record/event.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { guardHold } from "../../domain/record/retention.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import { portableOf, restoreSession, type Portable, type RestoredPlace } from "../../domain/copies/snapshot.ts";
import { guardLease, sessionIds } from "../../domain/record/guards.ts";
import { SessionError } from "../../errors.ts";
import type { Loaded, LoadRequest, Settled } from "../../store/store.ts";
import { entryBytes } from "../../store/within-bytes.ts";
import type { Core } from "../core/core.ts";
import { formerUserMarks, markChange, markShared, saidInCopy, sharedBy } from "../core/fork-references.ts";
import { detachForks } from "../core/detach-forks.ts";
import { Handle } from "../core/handle.ts";
import { eachEntry, readLog } from "../core/log-reader.ts";
import { isLarge, StagedLogs } from "../core/staged-logs.ts";
import { agentId } from "../session/opening.ts";
import { readSnapshot, textOf, type ReadSnapshot } from "./snapshot-reader.ts";
import { snapshotText, type SessionSnapshot } from "./snapshot-text.ts";
import { parseOneOf } from "../options/arguments.ts";

/** How a snapshot is put back. */
export interface RestoreOptions {
  /** The id to be. @default that of the snapshot */
  readonly as?: string;
  /** Where a session of this id exists: fail, put this one in its place, or give this one a fresh id. @default "fail" */
  readonly onExists?: "fail" | "replace" | "new-id";
}

/** The logs that every session may have; an adapter's own show in the record. */
const usualLogs = ["turns", "events", "instructions", "chunks"];

/** So many bytes of each log are loaded before its size is known. */
const logBytesMax = 1024 * 1024;

/**
 * One session at one moment. A session over the limit is refused by a walk over its logs, which holds a page in memory.
 * @throws SessionError `session_not_found`, `snapshot_too_large`
 */
export async function portableSession(core: Core, key: SessionKey): Promise<Portable> {
  const { snapshotBytesMax } = core.options.limits;
  let logs = usualLogs;
  let bytesMax = Math.min(logBytesMax, snapshotBytesMax);
  for (;;) {
    const loaded = await core.load(key, tailsOf(logs, bytesMax));
    const missing = logsOf(loaded.record).filter((log) => !logs.includes(log));
    if (missing.length > 0) logs = [...logs, ...missing];
    else if (await areCut(core, loaded, logs)) {
      await guardBytes(core, loaded.record);
      bytesMax = snapshotBytesMax;
    } else return portableFrom(loaded, logs, snapshotBytesMax);
  }
}

/** The whole of these logs, each within these bytes. */
export function tailsOf(logs: readonly string[], bytesMax: number = logBytesMax): LoadRequest["tails"] {
  return logs.map((log) => ({ log, last: Number.MAX_SAFE_INTEGER, bytesMax }));
}

/**
 * True where a tail ends at its bytes, and more of its log stands before it. A log that is damaged, and events that lost their
 * beginning, have nothing there.
 */
export async function areCut(core: Core, { record, tails }: Loaded, logs: readonly string[]): Promise<boolean> {
  for (const [index, log] of logs.entries()) {
    const first = tails[index]?.[0]?.seq ?? 1;
    if (first === 1) continue;
    const range = { log, from: 1, to: first - 1, order: "descending", limit: 1, bytesMax: 1 } as const;
    if ((await readLog(core, record, range)).length > 0) return true;
    // Written to meanwhile, it may have been cut before it was truncated: what is loaded next tells.
    if (!mayLackItsBeginning(log) && !isSame((await core.load(record)).record, record)) return true;
  }
  return false;
}

/** @throws SessionError `snapshot_too_large` */
async function guardBytes(core: Core, record: SessionRecord): Promise<void> {
  const { snapshotBytesMax: bytesMax } = core.options.limits;
  let bytes = 0;
  for (const log of logsOf(record))
    for await (const entry of eachEntry(core, record, log)) {
      bytes += entryBytes(entry);
      if (bytes > bytesMax) throw tooLarge(record, bytes, bytesMax);
    }
}

function tooLarge({ id }: SessionRecord, bytes: number, bytesMax: number): SessionError {
  return new SessionError("snapshot_too_large", { source: `of ${id}`, bytes, bytesMax });
}

/** @throws SessionError `snapshot_too_large`; `store_invalid` where the record speaks of more than the logs hold */
export function portableFrom({ record, tails }: Loaded, names: readonly string[], bytesMax: number): Portable {
  let bytes = 0;
  const logs = new Map<LogName, readonly Entry[]>();
  names.forEach((log, index) => {
    // Behind these, an archive keeps what its turns took.
    const entries = (tails[index] ?? []).slice(0, log === "spent" ? headOf(record, log) : undefined);
    const isWhole = entries.length === headOf(record, log);
    // Old events are forgotten, also all of them.
    if (!isWhole && (!mayLackItsBeginning(log) || entries.length > headOf(record, log)))
      throw damaged(record, log, entries.length);
    for (const entry of entries) bytes += entryBytes(entry);
    // In a snapshot every log begins with 1.
    logs.set(log, isWhole ? entries : entries.map((entry, at) => ({ ...entry, seq: at + 1 })));
  });
  if (bytes > bytesMax) throw tooLarge(record, bytes, bytesMax);
  return { record: portableOf(record), logs };
}

function damaged(record: SessionRecord, log: string, found: number): SessionError {
  return new SessionError("store_invalid", {
    store: `of session ${record.id}`,
    reason: `its record speaks of ${headOf(record, log)} entries in the log ${log}, there are ${found}`,
  });
}

/** A snapshot of one session. @throws SessionError as {@link portableSession} */
export async function takeSnapshot(core: Core, key: SessionKey): Promise<SessionSnapshot> {
  return JSON.parse(snapshotText(await portableSession(core, key)).text) as SessionSnapshot;
}

/** What a caller may pass for a snapshot. @throws SessionError as `readSnapshot` */
export function parseSnapshot(
  core: Core,
  snapshot: SessionSnapshot | string | Uint8Array,
  source = "the snapshot",
): ReadSnapshot {
  return readSnapshot(snapshotSource(snapshot, source), { source, limits: core.options.limits });
}

function snapshotSource(snapshot: SessionSnapshot | string | Uint8Array, source: string): string {
  if (typeof snapshot === "string") return snapshot;
  if (snapshot instanceof Uint8Array) return textOf(snapshot, source);
  try {
    const text: string | undefined = JSON.stringify(snapshot);
    return text ?? "null"; // of undefined and the like JSON says nothing
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new SessionError("snapshot_invalid", { source, path: "the document", reason }, { cause: error });
  }
}

/**
 * Put a session back: readers see it whole or not at all. Logs of more than one commit are staged first.
 * @throws SessionError `session_exists`, `busy` where it would take the place of one that is written to
 */
export async function restoreOn(
  core: Core,
  portable: Portable,
  { tenant, as, onExists = "fail" }: RestoreOptions & { readonly tenant: string },
): Promise<Handle> {
  core.guardOpen();
  await core.learnTime();
  let key: SessionKey = { tenant, id: parseNewId(as ?? portable.record.id, "session id") };
  let found: SessionRecord | undefined;
  return await withStaged(core, portable, async (stage) => {
    for (;;) {
      // What stands is found before a large session is staged in vain.
      let current = stage.isNeeded && found === undefined ? (await core.find(key))?.record : undefined;
      if (current === undefined) {
        const outcome = await core.commit(await restoredSession(core, portable, { key, found, stage }));
        const record = outcome.status === "ok" ? outcome.changes[0]?.record : undefined;
        if (record != null) return new Handle(core, record);
        current = await standing(core, key, outcome);
      }
      found = undefined;
      if (current === undefined) continue; // it was removed meanwhile
      if (onExists === "fail") throw new SessionError("session_exists", sessionIds(current));
      if (onExists === "replace") found = await replaceable(core, current);
      else key = { tenant, id: agentId(core, portable.record.agent) };
    }
  });
}

/** Logs that are staged at most once, when they are needed, and discarded where no session took them over. */
export class Stage {
  readonly isNeeded: boolean;
  readonly #core: Core;
  readonly #portable: Portable;
  #logs: StagedLogs | undefined;

  constructor(core: Core, portable: Portable) {
    this.#core = core;
    this.#portable = portable;
    this.isNeeded = isLarge(portable.logs.values(), core.options.limits);
  }

  /** The logs, staged for the session of this key; undefined where they go with its change. */
  async logsFor(key: SessionKey): Promise<StagedLogs | undefined> {
    if (!this.isNeeded || this.#logs !== undefined) return this.#logs;
    this.#logs = await StagedLogs.begin(this.#core, key, this.#portable.record.user);
    for (const [log, entries] of this.#portable.logs) for (const entry of entries) await this.#logs.add(log, entry);
    await this.#logs.flush();
    return this.#logs;
  }

  async discard(): Promise<void> {
    await this.#logs?.discard();
  }
}

/** Put a session where it belongs, with a stage for its logs. What no session took over is discarded. */
export async function withStaged<T>(core: Core, portable: Portable, work: (stage: Stage) => Promise<T>): Promise<T> {
  const stage = new Stage(core, portable);
  try {
    return await work(stage);
  } finally {
    await stage.discard();
  }
}

/**
 * The change that puts a session back, and with it the mark of the user whose session it takes from, where the turns stay.
 * @throws SessionError `legal_hold`, `session_forked`
 */
export async function restoredSession(
  core: Core,
  portable: Portable,
  { stage, ...place }: Omit<RestoredPlace, "staged"> & { readonly stage: Pick<Stage, "logsFor"> },
  arrivingTurn: (seq: number) => Promise<Entry | undefined> = async (seq) => portable.logs.get("turns")?.[seq - 1],
): Promise<readonly [Change, ...Change[]]> {
  const logs = await stage.logsFor(place.key);
  const change = restoreSession(portable, { ...place, staged: logs?.staged }, core.context());
  const given = logs === undefined ? [] : [logs.removal];
  const carried = place.key.id === portable.record.id ? [] : await carriedMarks(core, change, portable, arrivingTurn);
  if (place.found === undefined) return [change, ...carried, ...given];
  const { user, createdAt } = portable.record;
  const staying = await sharesTurn(core, place.found, arrivingTurn);
  const marks = staying ? await formerUserMarks(core, place.found, { user, createdAt }) : [];
  return [change, ...carried, ...marks, ...given];
}

/** The marks of a session that is put back under another id: to the one that it was taken from others lead. */
async function carriedMarks(
  core: Core,
  { record, key: { tenant } }: Change,
  portable: Portable,
  arrivingTurn: (seq: number) => Promise<Entry | undefined>,
): Promise<readonly Change[]> {
  if (record === null || isInternalScope(tenant)) return [];
  const said = new Map(await saidInCopy(core, tenant, portable.record, arrivingTurn));
  const source = (await core.find({ tenant, id: portable.record.id }))?.record;
  const sharing = source?.createdAt === portable.record.createdAt ? await sharedBy(core, source) : [];
  const copied = headOf(record, "turns");
  for (const [name, holding] of sharing) if (holding.from <= copied) said.set(name, holding);
  const marks = await Promise.all([...said].map(([name, one]) => markChange(core, name, { ...one, record })));
  return marks.filter((mark) => mark !== null);
}

/** True where the first turn that is the session's own arrives as it stands. */
async function sharesTurn(
  core: Core,
  record: SessionRecord,
  arrivingTurn: (seq: number) => Promise<Entry | undefined>,
): Promise<boolean> {
  const from = firstOwn(record, "turns");
  const [entry] = await readLog(core, record, { log: "turns", from, to: from, order: "ascending", limit: 1 });
  const other = await arrivingTurn(from);
  return entry !== undefined && other !== undefined && entry.at === other.at && entry.data === other.data;
}

/** The session that stands after a commit that did not land, which may have met a mark that moved. */
export async function standing(core: Core, key: SessionKey, outcome: Settled): Promise<SessionRecord | undefined> {
  const current = outcome.status === "conflict" ? outcome.current : undefined;
  return current === undefined || current.tenant === key.tenant ? current : (await core.find(key))?.record;
}

/** The record of a session that nobody is at work in, and that may go. @throws SessionError `busy`, `legal_hold` */
export async function replaceable(
  core: Core,
  record: SessionRecord,
  { isLater = false }: Pick<RestoredPlace, "isLater"> = {},
): Promise<SessionRecord | undefined> {
  const handle = new Handle(core, record);
  // What a dead writer left open is sealed first; a living writer's session is not replaced under it.
  await handle.recoverAbandoned();
  guardLease(handle.record, null, core.context());
  if (!isLater) guardHold(handle.record);
  if (handle.record.forkedAt > 0) await detachForks(handle);
  if (handle.record.parent !== null) await markShared(core, handle.record);
  return handle.record;
}

/** @throws SessionError `argument_invalid` */
export function parseOnExists(value: RestoreOptions["onExists"]): NonNullable<RestoreOptions["onExists"]> {
  return parseOneOf(value ?? "fail", "onExists", ["fail", "replace", "new-id"]);
}
