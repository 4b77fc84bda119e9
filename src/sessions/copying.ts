/** A store into another: each session as one change, checked where it arrived, while writers go on in the first. */
import { innerScope } from "../domain/scope.ts";
import type { SessionKey } from "../domain/entry.ts";
import type { Portable } from "../domain/snapshot.ts";
import { SessionError } from "../errors.ts";
import type { Core } from "./core.ts";
import { markShared, marksScope } from "./fork-marks.ts";
import { portableSessions, type FoundPortable } from "./exporting.ts";
import { arrive, hasChecksum, isBehind, Skipped, windowMax, type Arrived, type SkippedItem } from "./importing.ts";
import { endsPass } from "./pass-failures.ts";
import { portableSession } from "./snapshots.ts";
import { snapshotText } from "./snapshot-text.ts";
import { inWindows } from "./windows.ts";

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
  /** Bytes of the snapshots of all these. Each was read back from the target and has the checksum it had in the source. */
  readonly bytes: number;
  readonly skipped: number;
  /** Why, the first hundred of them. */
  readonly reasons: readonly SkippedItem[];
  /** False where the signal stopped it, or where the source changed faster than it was copied: then copy again. */
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
 * Copy, look again for what changed meanwhile, and so on until nothing did. What was copied earlier is passed over, or
 * brought up to date where the source went on; another session of the same id is left alone.
 * @throws SessionError a store's, where it fails; what was copied by then stays, and copying again goes on
 */
export async function copyAll(
  from: Core,
  to: Core,
  { tenant, into, everything = false, signal, onProgress }: CopyOptions & CopyScope,
): Promise<CopyReport> {
  from.guardOpen();
  to.guardOpen();
  const scopes: readonly [found: string | undefined, into: string | undefined][] = everything
    ? [[undefined, undefined]]
    : [
        [tenant, into],
        [innerScope(tenant, "devices"), innerScope(into, "devices")],
        [marksScope(tenant), marksScope(into)],
      ];
  const total =
    onProgress === undefined
      ? 0
      : await countAll(
          from,
          scopes.map(([found]) => found),
        );
  const copying = new Copying(to, { signal, onProgress: onProgress && ((report) => onProgress({ ...report, total })) });
  let since: number | undefined;
  let complete = false;
  for (let pass = 1; pass <= passesMax && !complete && !copying.isStopped; pass++) {
    const { now } = await from.store.instances([]);
    let changed = 0;
    for (const [scope, target] of scopes) {
      const query = { now, tenant: scope, ...(since === undefined ? {} : { activeSince: since }) };
      const found = arriving(portableSessions(from, query), { from, to, target });
      changed += await copying.take(found, { isAgain: pass > 1 });
    }
    complete = changed === 0 && !copying.isStopped;
    since = now;
  }
  return copying.report(complete);
}

async function countAll(core: Core, scopes: readonly (string | undefined)[]): Promise<number> {
  const now = core.now();
  const counts = scopes.map((tenant) => core.store.count({ now, ...(tenant === undefined ? {} : { tenant }) }));
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

async function* arriving(
  found: AsyncIterable<FoundPortable>,
  { from, to, target }: { from: Core; to: Core; target: string | undefined },
): AsyncGenerator<Arriving, void, undefined> {
  for await (const { record, ...rest } of found) {
    const key = { tenant: target ?? record.tenant, id: record.id };
    // What was forked is whole there: nothing leads to it any more from those whose words it holds.
    const copy = { core: to, record: { ...record, ...key } };
    yield { key, ...rest, ...(record.parent === null ? {} : { onArrived: () => markShared(from, record, { copy }) }) };
  }
}

/** A session on its way, or why it could not be read. */
export type Arriving = {
  readonly key: SessionKey;
  /** What is to be done once it is there. */
  readonly onArrived?: () => Promise<void>;
} & ({ readonly portable: Portable } | { readonly error: SessionError });

/** Sessions that are put into a store and checked there, and what became of them. */
export class Copying {
  readonly #to: Core;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ((report: CopyReport) => void) | undefined;
  readonly #counts = { restored: 0, present: 0, replaced: 0, bytes: 0 };
  readonly #skipped = new Skipped();

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

  report(complete: boolean): CopyReport {
    return { ...this.#counts, ...this.#skipped.report, complete };
  }

  /** Take what comes, until the signal; says how many were new or changed. What comes again is counted where it changed. */
  async take(sessions: AsyncIterable<Arriving>, { isAgain }: { readonly isAgain: boolean }): Promise<number> {
    let changed = 0;
    await inWindows(this.#untilStopped(sessions), { max: windowMax, sizeOf }, async (window) => {
      const all = await Promise.all(window.map((one) => this.#takeOne(one, isAgain)));
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

  async #takeOne(session: Arriving, isAgain: boolean): Promise<Arrived> {
    try {
      if ("error" in session) throw session.error;
      const { arrived, bytes } = await copySession(this.#to, session.portable, session.key);
      await session.onArrived?.();
      if (isAgain && arrived === "present") return arrived;
      this.#counts[arrived]++;
      this.#counts.bytes += bytes;
      return arrived;
    } catch (error) {
      if (endsPass(error)) throw error;
      // One that comes again was told of already.
      if (!isAgain) this.#skipped.add(session.key.id, error);
      return "present";
    }
  }
}

/** @throws SessionError `session_exists`, `conflict` where it changed in the target before it could be checked */
async function copySession(
  to: Core,
  portable: Portable,
  key: SessionKey,
): Promise<{ readonly arrived: Arrived; readonly bytes: number }> {
  const { text, checksum } = snapshotText(portable);
  const arrived = await arrive(
    to,
    { key, portable },
    { isSame: hasChecksum(checksum), mayReplace: isBehind, dryRun: false },
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
