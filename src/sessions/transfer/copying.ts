/** A store into another: each session as one change, checked where it arrived, while writers go on in the first. */
import { identityOf, type Change } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { internalScope, isInternalScope } from "../../domain/values/internal-scope.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { Portable } from "../../domain/copies/snapshot.ts";
import { defined } from "../../domain/values/defined.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { copyMark, copyRun, isCopy, isCopyOf, isCurrent } from "./copy-mark.ts";
import type { Core } from "../core/core.ts";
import { markShared, marksScope } from "../core/fork-references.ts";
import { portableSessions, recordPages } from "./exporting.ts";
import {
  arrive,
  hasChecksum,
  isBehind,
  Skipped,
  windowMax,
  type ArrivalPolicy,
  type Arrived,
  type SkippedItem,
} from "./importing.ts";
import { endsPass } from "../core/pass-failures.ts";
import { portableSession } from "./snapshots.ts";
import { snapshotText } from "./snapshot-text.ts";
import { isLinkCode } from "../devices/link-code.ts";
import { inWindows } from "./batches.ts";

/** How to copy. */
export interface CopyOptions {
  /** All tenants, with their devices, and the keys of operators. @default this tenant, with its devices */
  readonly everything?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CopyProgress) => void;
}

/** How far a copy is. */
export interface CopyProgress extends CopyReport {
  /** How many sessions there were to copy when it began, with what else is kept for them. */
  readonly total: number;
}

/** What a copy did. */
export interface CopyReport {
  /** New in the target. */
  readonly restored: number;
  /** Stood there already, the very same. */
  readonly present: number;
  /** Stood there as they were earlier, and were brought up to date. */
  readonly replaced: number;
  /** Removed in the source while it was copied, and so in the target. */
  readonly removed: number;
  /** Bytes of the snapshots of those written. Each was read back from the target and has the checksum it had in the source. */
  readonly bytes: number;
  readonly skipped: number;
  /** Why, the first hundred of them. */
  readonly reasons: readonly SkippedItem[];
  /**
   * Sessions that an earlier run copied and that the source does not have: removed there since, or of another source. They stay
   * in the target.
   */
  readonly orphaned: number;
  /** The ids of the first hundred of them. */
  readonly orphans: readonly string[];
  /** The ids of the sessions that still changed when they were looked at last, a hundred at most. */
  readonly unsettled: readonly string[];
  /**
   * True where the last look at each session of the source found the same in the target, and in the target nothing that was
   * removed in the source. False where the signal stopped it, where something was skipped or orphaned, or where the source
   * changed faster than it was copied: then copy again.
   */
  readonly complete: boolean;
}

/** The source is looked through again for what changed meanwhile, so many times at most. */
const passesMax = 5;

/** What is copied, and into which tenant. */
export interface CopyScope {
  readonly tenant: string;
  readonly into: string;
}

/**
 * Copy, compare every session of both stores, copy what differs, and so on until nothing does. What was copied earlier is passed
 * over, or brought up to date where the source went on; another session of the same id is left alone.
 * @throws SessionError a store's, where it fails; what was copied by then stays, and copying again goes on
 */
export async function copyAll(
  from: Core,
  to: Core,
  { tenant, into, everything = false, signal, onProgress }: CopyOptions & CopyScope,
): Promise<CopyReport> {
  from.guardOpen();
  to.guardOpen();
  const scopes: readonly Scope[] = everything
    ? [{ found: undefined, into: undefined }]
    : [
        { found: tenant, into },
        { found: internalScope(tenant, "devices"), into: internalScope(into, "devices") },
        { found: marksScope(tenant), into: marksScope(into) },
      ];
  const total = onProgress === undefined ? 0 : await countAll(from, scopes);
  const copying = new Copying(to, { signal, onProgress: onProgress && ((report) => onProgress({ ...report, total })) });
  const run = copyRun(to);
  let changed = 1;
  for (let pass = 1; pass <= passesMax && changed > 0 && !copying.isStopped; pass++) {
    copying.beginPass();
    changed = 0;
    for (const scope of scopes) changed += await copying.take(differing({ from, to, scope, copying, run }));
    for (const scope of scopes) changed += await clear({ from, to, scope, copying, run });
  }
  return copying.report(changed === 0);
}

/** A scope of the source, and the one that takes it; undefined: all, each into its own. */
interface Scope {
  readonly found: string | undefined;
  readonly into: string | undefined;
}

interface Pass {
  readonly from: Core;
  readonly to: Core;
  readonly scope: Scope;
  readonly copying: Copying;
  readonly run: string;
}

/** Sessions of the source that the target does not have as they stand. */
async function* differing({ from, to, scope, copying, run }: Pass): AsyncGenerator<Arriving, void, undefined> {
  const keyOf = ({ tenant, id }: SessionKey): SessionKey => ({ tenant: scope.into ?? tenant, id });
  const query = { now: 0, tenant: scope.found };
  const sessions = portableSessions(from, query, async (page) => {
    const moving = page.filter((record) => !isLinkCode(record));
    const standing = await found(to, moving.map(keyOf));
    const others = moving.filter((record, index) => {
      const copy = standing[index];
      return copy === undefined || copy === "unreadable" || !isCurrent(copy, record);
    });
    copying.pass(moving.length - others.length);
    return others;
  });
  for await (const one of sessions) {
    const key = keyOf(one.record);
    if ("error" in one) {
      yield { key, error: one.error };
      continue;
    }
    const { record, ...rest } = one;
    // What was forked is whole there: nothing leads to it any more from those whose words it holds.
    const marks = () => markShared(from, record, { into: to, as: { ...record, ...key } });
    const before = record.parent === null ? {} : { before: marks };
    yield { key, ...rest, ...before, mark: copyMark(run, record), isEarlier: isEarlierOf(record, run) };
  }
}

/** A copy of this session, or of whatever had its id when this run copied it. */
function isEarlierOf({ createdAt }: SessionRecord, run: string): (standing: SessionRecord) => boolean {
  return (standing) => isCopyOf(standing, run) || (isCopy(standing) && standing.createdAt === createdAt);
}

/** The records under these keys; `unreadable` where one is damaged, undefined where there is none. */
async function found(
  core: Core,
  keys: readonly SessionKey[],
): Promise<readonly (SessionRecord | "unreadable" | undefined)[]> {
  try {
    return await core.findAll(keys);
  } catch (error) {
    if (!hasCode(error, "session_unreadable")) throw error;
    if (keys.length === 1) return ["unreadable"];
    return (await Promise.all(keys.map((key) => found(core, [key])))).flat();
  }
}

/** Remove from the target what this run copied and the source has no more; how many there were. */
async function clear({ from, to, scope, copying, run }: Pass): Promise<number> {
  let removed = 0;
  for await (const { records } of recordPages(to, { now: 0, tenant: scope.into })) {
    if (copying.isStopped) return removed;
    // What is no session is removed by any store once its time is up.
    const copies = records.filter(
      (record) => isCopy(record) && !(isInternalScope(record.tenant) && record.expiresAt <= to.now()),
    );
    const sources = copies.map(({ tenant, id }) => ({ tenant: scope.found ?? tenant, id }));
    const originals = await found(from, sources);
    for (const copy of copies.filter((_, index) => originals[index] === undefined)) {
      if (isCopyOf(copy, run) && copy.forkedAt === 0 && (await removeCopy(to, copy))) removed++;
      else copying.orphan(copy.id);
    }
  }
  copying.removed(removed);
  return removed;
}

/** The source's hold was lifted there, or it could not have been removed. */
async function removeCopy(to: Core, copy: SessionRecord): Promise<boolean> {
  const key = { tenant: copy.tenant, id: copy.id };
  const change: Change = { key, expected: identityOf(copy), record: null, splices: [], claims: [] };
  return (await to.commit([change])).status === "ok";
}

async function countAll(core: Core, scopes: readonly Scope[]): Promise<number> {
  const now = core.now();
  const counts = scopes.map(({ found: tenant }) => core.store.count({ now, ...defined({ tenant }) }));
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

/** A session on its way, or why it could not be read. */
export type Arriving = {
  readonly key: SessionKey;
  /** What is to be done before it is there. */
  readonly before?: () => Promise<void>;
} & Pick<ArrivalPolicy, "mark" | "isEarlier"> &
  ({ readonly portable: Portable } | { readonly error: SessionError });

/** Sessions that are put into a store and checked there, and what became of them. */
export class Copying {
  readonly #to: Core;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ((report: CopyReport) => void) | undefined;
  readonly #counts = { restored: 0, present: 0, replaced: 0, removed: 0, bytes: 0 };
  #passes = 0;
  #skipped = new Skipped();
  #orphans = new Listed();
  #unsettled = new Listed();

  constructor(
    to: Core,
    { signal, onProgress }: { signal: AbortSignal | undefined; onProgress: ((report: CopyReport) => void) | undefined },
  ) {
    this.#to = to;
    this.#signal = signal;
    this.#onProgress = onProgress;
  }

  get isStopped(): boolean {
    return this.#signal?.aborted === true;
  }

  /** `isSettled`: the last pass changed nothing. */
  report(isSettled: boolean): CopyReport {
    const skipped = this.#skipped.report;
    return {
      ...this.#counts,
      ...skipped,
      orphaned: this.#orphans.count,
      orphans: this.#orphans.ids,
      unsettled: isSettled ? [] : this.#unsettled.ids,
      complete: isSettled && !this.isStopped && skipped.skipped === 0 && this.#orphans.count === 0,
    };
  }

  /** From here on all is looked at again. */
  beginPass(): void {
    this.#passes++;
    this.#skipped = new Skipped();
    this.#orphans = new Listed();
    this.#unsettled = new Listed();
  }

  /** So many stand in the target as they are in the source. */
  pass(count: number): void {
    if (this.#passes <= 1) this.#counts.present += count;
  }

  removed(count: number): void {
    this.#counts.removed += count;
  }

  orphan(id: string): void {
    this.#orphans.add(id);
  }

  /** Take what comes, until the signal; says how many were new or changed. */
  async take(sessions: AsyncIterable<Arriving>): Promise<number> {
    let changed = 0;
    await inWindows(this.#untilStopped(sessions), { max: windowMax, sizeOf }, async (window) => {
      const all = await Promise.all(window.map((one) => this.#takeOne(one)));
      changed += all.filter((arrived) => arrived !== "present").length;
      this.#onProgress?.(this.report(false));
    });
    return changed;
  }

  async *#untilStopped(sessions: AsyncIterable<Arriving>): AsyncGenerator<Arriving, void, undefined> {
    for await (const session of sessions) {
      if (this.isStopped) return;
      yield session;
    }
  }

  async #takeOne(session: Arriving): Promise<Arrived> {
    try {
      if ("error" in session) throw session.error;
      await session.before?.();
      const { arrived, bytes } = await copySession(this.#to, session);
      if (arrived === "present") {
        this.pass(1);
        return arrived;
      }
      this.#counts[arrived]++;
      this.#counts.bytes += bytes;
      this.#unsettled.add(session.key.id);
      return arrived;
    } catch (error) {
      if (endsPass(error)) throw error;
      this.#skipped.add(session.key.id, error);
      return "present";
    }
  }
}

/** Ids, of which the first hundred are kept. */
class Listed {
  count = 0;
  readonly ids: string[] = [];

  add(id: string): void {
    this.count++;
    if (this.ids.length < 100) this.ids.push(id);
  }
}

/** @throws SessionError `session_exists`, `conflict` where it changed in the target before it could be checked */
async function copySession(
  to: Core,
  { key, portable, mark, isEarlier }: Extract<Arriving, { portable: Portable }>,
): Promise<{ readonly arrived: Arrived; readonly bytes: number }> {
  const { text, checksum } = snapshotText(portable);
  const arrived = await arrive(
    to,
    { key, portable },
    {
      isSame: hasChecksum(checksum),
      mayReplace: isBehind,
      dryRun: false,
      ...defined({ isEarlier, mark }),
    },
  );
  if (arrived !== "present" && snapshotText(await portableSession(to, key)).checksum !== checksum) {
    const turns = portable.record.counters.turns;
    throw new SessionError("conflict", { sessionId: key.id, tenant: key.tenant, seenTurn: turns, storedTurn: turns });
  }
  return { arrived, bytes: text.length };
}

function sizeOf(session: Arriving): number {
  if ("error" in session) return 0;
  let size = 0;
  for (const entries of session.portable.logs.values()) for (const { data } of entries) size += data.length;
  return size;
}
