/** The idempotency keys that a change claims, compared where the store does not compare them. */
import { keptNumbers } from "../../domain/branches/segments.ts";
import { headOf, type Change } from "../../domain/record/change.ts";
import { keptLog, type Entry } from "../../domain/record/entry.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { recentResets } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { replacedKeysLog, replacedTurnOf } from "../../domain/turns/replaced-turns.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { readLog } from "../core/log-reader.ts";

/** The keys of turns that a change claims. The entries of named logs are rows of the session, where the store compares keys. */
function turnKeys({ claims }: Change): readonly string[] {
  return claims.filter(({ log }) => log === "turns").map(({ key }) => key);
}

/** True where the change writes two turns with a key that it claims. */
export function claimsTwice(change: Change): boolean {
  if (change.claims.length === 0) return false;
  const keys = turnKeys(change);
  const turns = keys.length === 0 ? [] : (change.splices.find(({ log }) => log === "turns")?.entries ?? []);
  return keys.some((key) => turns.filter((entry) => entry.key === key).length > 1);
}

/** True where a key that the change claims may be a key of turns that the store does not compare. */
export function claimsKeysElsewhere(record: SessionRecord, change: Change): boolean {
  if (change.claims.length === 0) return false;
  const isElsewhere =
    record.parent !== null ||
    record.branches !== null ||
    headOf(record, replacedKeysLog) > 0 ||
    record.resets.length > 0;
  return isElsewhere && turnKeys(change).length > 0;
}

/**
 * The entry with a claimed key among the shared turns of a fork, and in all segments of the current branch: the store compares only
 * the rows of one segment of the session.
 */
export async function inheritedEntry(core: Core, record: SessionRecord, change: Change): Promise<Entry | undefined> {
  const keys = turnKeys(change);
  const [entry] = keys.length === 0 ? [] : await readLog(core, record, { log: "turns", keys });
  return entry;
}

/** The turns with these keys that other branches have, each with its number among the own turns of its branch. */
async function keptEntries(core: Core, record: SessionRecord, keys: readonly string[]): Promise<readonly Entry[]> {
  const logs = keptNumbers(record).map(keptLog);
  return (await Promise.all(logs.map((log) => readLog(core, record, { log, keys })))).flat();
}

/**
 * Refuse a claimed key that a replaced turn had, a turn of another branch, or a turn from before a reset: a retry would write that
 * turn a second time.
 * @throws SessionError `key_reused` for a key of a replaced turn or of another branch, `key_archived` for a key of an archived turn
 */
export async function guardKeys(core: Core, record: SessionRecord, change: Change): Promise<void> {
  const keys = turnKeys(change);
  if (keys.length === 0) return;
  if (headOf(record, replacedKeysLog) > 0) {
    const [entry] = await readLog(core, record, { log: replacedKeysLog, keys });
    if (entry !== undefined) {
      throw new SessionError("key_reused", {
        ...sessionIds(record),
        key: entry.key ?? "",
        seq: replacedTurnOf(entry),
      });
    }
  }
  const [kept] = record.branches === null ? [] : await keptEntries(core, record, keys);
  if (kept !== undefined)
    throw new SessionError("key_reused", { ...sessionIds(record), key: kept.key ?? "", seq: kept.seq });
  if (record.resets.length === 0) return;
  const { tenant, id: sessionId } = record;
  const resets = recentResets(record, core.now());
  const archived = await core.findAll(resets.map(({ archive: id }) => ({ tenant, id })));
  for (const one of archived) {
    const [entry] = one === undefined ? [] : await readLog(core, one, { log: "turns", keys });
    if (entry === undefined || one === undefined) continue;
    throw new SessionError("key_archived", {
      sessionId,
      tenant,
      key: entry.key ?? "",
      archive: one.id,
      seq: entry.seq,
    });
  }
}
