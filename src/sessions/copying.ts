/** A store into another: each session as one change, checked where it arrived, while writers go on in the first. */
import { innerScope } from "../domain/scope.ts";
import type { SessionKey } from "../domain/entry.ts";
import type { Portable } from "../domain/snapshot.ts";
import { SessionError } from "../errors.ts";
import type { Core } from "./core.ts";
import { portableSessions, type FoundPortable } from "./exporting.ts";
import { arrive, hasChecksum, isBehind, isOfItem, windowMax, type Arrived, type SkippedItem } from "./importing.ts";
import { portableSession } from "./snapshots.ts";
import { snapshotText } from "./snapshot-text.ts";
import { inWindows } from "./windows.ts";

/** How to copy. */
export interface CopyOptions {
  /** All tenants, with their devices, and the keys of operators. @default this tenant, with its devices */
  readonly everything?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (report: CopyReport) => void;
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
const reasonsMax = 100;

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
  const counts = { restored: 0, present: 0, replaced: 0, bytes: 0, skipped: 0 };
  const reasons: SkippedItem[] = [];
  const scopes: readonly [found: string | undefined, into: string | undefined][] = everything
    ? [[undefined, undefined]]
    : [
        [tenant, into],
        [innerScope(tenant, "devices"), innerScope(into, "devices")],
      ];
  const copyOne = async (found: FoundPortable, target: string | undefined, isAgain: boolean): Promise<Arrived> => {
    try {
      if ("error" in found) throw found.error;
      const { arrived, bytes } = await copySession(to, found.portable, {
        tenant: target ?? found.record.tenant,
        id: found.record.id,
      });
      if (isAgain && arrived === "present") return arrived;
      counts[arrived]++;
      counts.bytes += bytes;
      return arrived;
    } catch (error) {
      if (!(error instanceof SessionError) || !("error" in found || isOfItem(error))) throw error;
      const { code, message } = error;
      if (isAgain) return "present"; // it was told of already
      counts.skipped++;
      if (reasons.length < reasonsMax) reasons.push({ source: found.record.id, code, message });
      return "present";
    }
  };
  const isStopped = (): boolean => signal?.aborted === true;
  let since: number | undefined;
  let complete = false;
  for (let pass = 1; pass <= passesMax && !complete && !isStopped(); pass++) {
    const { now } = await from.store.instances([]);
    let changed = 0;
    for (const [scope, target] of scopes) {
      const query = { now, tenant: scope, ...(since === undefined ? {} : { activeSince: since }) };
      const found = until(signal, portableSessions(from, query));
      await inWindows(found, { max: windowMax, sizeOf }, async (window) => {
        const all = await Promise.all(window.map((one) => copyOne(one, target, pass > 1)));
        changed += all.filter((arrived) => arrived !== "present").length;
        onProgress?.({ ...counts, reasons: [...reasons], complete: false });
      });
    }
    complete = changed === 0 && !isStopped();
    since = now;
  }
  return { ...counts, reasons, complete };
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

function sizeOf(found: FoundPortable): number {
  if ("error" in found) return 0;
  let size = 0;
  for (const entries of found.portable.logs.values()) for (const { data } of entries) size += data.length;
  return size;
}

async function* until<Item>(
  signal: AbortSignal | undefined,
  items: AsyncIterable<Item>,
): AsyncGenerator<Item, void, undefined> {
  for await (const item of items) {
    if (signal?.aborted === true) return;
    yield item;
  }
}
