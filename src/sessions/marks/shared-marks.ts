/** Writes the marks of the speakers in a session that is about to get copies of their turns. */
import type { Change } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Core } from "../core/core.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { putMark } from "./mark.ts";
import { containsTurn } from "./marked-turns.ts";
import { speakersIn } from "./speakers.ts";

/** How to mark a session. */
interface MarkOptions {
  /** No mark names this user: an erasure of the user is running. */
  readonly except?: string | undefined;
  /** The newest record of the session. @default the same */
  readonly now?: SessionRecord;
  /** The record that the marks name. @default as it is now */
  readonly as?: SessionRecord;
}

/** Commit the marks of a session that is about to get copies of turns. @throws SessionError `contended` */
export async function markShared(core: Core, record: SessionRecord, options: MarkOptions = {}): Promise<void> {
  const { id: sessionId, tenant } = record;
  await retryOnConflict({ sessionId, tenant }, async () => {
    const changes = await sharedMarks(core, record, options);
    return changes.length === 0 || (await core.commit(changes)).status === "ok" ? true : undefined;
  });
}

/**
 * The marks of all speakers in a session other than its user. Commit them before, or with, the change that removes the
 * other references from the speakers to the session. The marks name users in plain text until the user is erased.
 */
export async function sharedMarks(
  core: Core,
  record: SessionRecord,
  { except, now = record, as = now }: MarkOptions = {},
): Promise<readonly Change[]> {
  const speakers = await speakersIn(core, record);
  await speakers.judge(async (name, turns) => {
    if (name === except || speakers.isNamedBy(as, name) || !(await containsTurn(core, now, turns))) return undefined;
    return { ...turns, isTheirs: turns.isTheirs && record.user === null };
  });
  return await speakers.changes(core, as);
}

/** Write the marks in another store, to which the session is copied whole. */
export async function markCopied(from: Core, to: Core, record: SessionRecord, as: SessionRecord): Promise<void> {
  for (const [name, turns] of (await speakersIn(from, record)).turns) {
    if (name === record.user || !(await containsTurn(from, record, turns))) continue;
    await putMark(to, name, { ...turns, record: as, isTheirs: turns.isTheirs && record.user === null });
  }
}
