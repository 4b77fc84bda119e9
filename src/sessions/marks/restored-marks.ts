/** The marks and pointers that change with a session that is written from a snapshot. */
import { firstOwn, headOf, type Change } from "../../domain/record/change.ts";
import type { Entry } from "../../domain/record/entry.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import type { Core } from "../core/core.ts";
import { readLog } from "../core/log-reader.ts";
import { sessionsBeginningWith } from "../core/record-pages.ts";
import { type Marked, marksFor, contentOf, eachOnce } from "./mark.ts";
import { ownerOf, untilNow } from "./turn-owners.ts";
import { sharersOf } from "./sharing-devices.ts";
import { mayHaveBegun, mayBeBySpeaker } from "./marked-turns.ts";
import { Speakers, addSpeakers } from "./speakers.ts";
import { truncatedSharings, addFormer } from "./changed-marks.ts";

/** A session that is written from a snapshot. */
interface Restored {
  /** The session as it is written. */
  readonly record: SessionRecord;
  readonly snapshot: PortableRecord;
  /** Reads a turn of the snapshot. */
  readonly turnOf: (seq: number) => Promise<Entry | undefined>;
  /** Reads the first entry of each named log of the snapshot. */
  readonly beginnings: () => Promise<readonly Entry[]>;
  /** The session in whose place it is written. */
  readonly found: SessionRecord | undefined;
}

/** The references that change with a session that is written from a snapshot, to be committed with it. */
export async function restoredReferences(core: Core, restored: Restored): Promise<readonly Change[]> {
  const { record, snapshot, found, turnOf } = restored;
  if (isInternalScope(record.tenant)) return [];
  const speakers = new Speakers();
  // The marks of the snapshot's session do not apply to another id; a reset moved them to another id.
  const isElsewhere = record.id !== snapshot.id || (found !== undefined && found.createdAt !== snapshot.createdAt);
  if (isElsewhere) await addCopied(core, speakers, restored);
  const isSame = found?.createdAt === record.createdAt;
  const next = headOf(record, "turns") + 1;
  // The turns of a guest are of the user that the guest became, also where that session was truncated since.
  const hasGuestTurns = isSame && snapshot.user === null && next > 1;
  if (found !== undefined && (hasGuestTurns || (await sharesTurn(core, found, turnOf))))
    await addFormer(core, speakers, { before: found, user: record.user, getsWords: hasGuestTurns });
  const sharings = found !== undefined && isSame ? await truncatedSharings(core, { before: found, next }) : [];
  return eachOnce([...sharings, ...(await speakers.changes(core, record))]);
}

/** True if the first own turn of the session is a turn of the snapshot. */
async function sharesTurn(core: Core, record: SessionRecord, turnOf: Restored["turnOf"]): Promise<boolean> {
  const from = firstOwn(record, "turns");
  const [entry] = await readLog(core, record, { log: "turns", from, to: from, order: "ascending", limit: 1 });
  const other = await turnOf(from);
  return entry !== undefined && other !== undefined && entry.at === other.at && entry.data === other.data;
}

/**
 * Add the speakers of a copy under another id. A snapshot names its user alone. The other speakers come from the session of
 * the snapshot, and from the marks, the pointers and the id of that session.
 */
async function addCopied(core: Core, speakers: Speakers, restored: Restored): Promise<void> {
  const { record, snapshot, turnOf, beginnings } = restored;
  const { id, createdAt, user, inherited = 0 } = snapshot;
  const origin = { tenant: record.tenant, id, createdAt };
  const source = await storedOrigin(core, origin);
  const owner = user === null ? await ownerOf(core, source ?? { ...origin, user }) : { name: user };
  if (source !== undefined) await addSpeakers(core, speakers, { record: source, owner });
  const until = source === undefined ? core.now() : untilNow(core, source);
  if (owner !== undefined) speakers.add(owner.name, { from: 1, until, isTheirs: true }, owner.pointer);
  // A mark also counts if the source was truncated since: the snapshot has its turns.
  for await (const mark of marksFor(core, origin))
    if (mark.user !== null) speakers.add(mark.user, contentOf(mark), mark);
  if (source === undefined)
    for (const { name, turns, pointer } of await sharersOf(core, origin)) speakers.add(name, turns, pointer);
  await speakers.judge(async (name, turns) => {
    if (speakers.isNamedBy(record, name)) return undefined;
    const entry = await turnOf(turns.from);
    const isBySpeaker = entry !== undefined && mayBeBySpeaker(turns, entry, { createdAt, inherited });
    if (!isBySpeaker && !(await beginnings()).some((first) => mayHaveBegun(turns, first, { createdAt })))
      return undefined;
    return { ...turns, isTheirs: turns.isTheirs && user === null };
  });
}

/** The session of this id and creation, or the archive that a reset made of it under another id. */
async function storedOrigin(core: Core, { tenant, id, createdAt }: Marked): Promise<SessionRecord | undefined> {
  const found = (await core.find({ tenant, id }))?.record;
  if (found?.createdAt === createdAt) return found;
  for await (const kept of sessionsBeginningWith(core, tenant, keptPrefix(id)))
    if (kept.createdAt === createdAt) return kept;
  return undefined;
}

/** The beginning of the ids under which resets keep the former session. */
export function keptPrefix(id: string): string {
  return `${id.slice(0, 220)}.`;
}
