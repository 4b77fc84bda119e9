/** The idempotency keys that a change claims, compared where the store does not compare them. */
import { headOf, type Change } from "../../domain/record/change.ts";
import type { Entry } from "../../domain/record/entry.ts";
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
  const isElsewhere = record.parent !== null || headOf(record, replacedKeysLog) > 0 || record.resets.length > 0;
  return isElsewhere && turnKeys(change).length > 0;
}

/** The entry with a claimed key among the shared turns of a fork: the store compares only the rows of the fork. */
export async function inheritedEntry(core: Core, record: SessionRecord, change: Change): Promise<Entry | undefined> {
  const keys = turnKeys(change);
  const [entry] = keys.length === 0 ? [] : await readLog(core, record, { log: "turns", keys });
  return entry;
}

/**
 * Refuse a claimed key that a replaced turn had, or a turn from before a reset: a retry would write that turn a second time.
 * @throws SessionError `key_reused` for a key of a replaced turn, `key_archived` for a key of an archived turn
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
