/**
 * The words of a device are found through its pointer, which leads from the device to its user. A change of the pointer lands in
 * one commit with marks that take its place. They lead to the sessions that the device had as a guest, and to turns that it wrote
 * in a session shared by a link code.
 */
import { countTurns } from "../../domain/branches/segments.ts";
import type { Change } from "../../domain/record/change.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Core } from "../core/core.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import { pointerOf } from "./device-pointer.ts";
import { guestSessions } from "./guest-sessions.ts";
import { contentOf, isMarked, markChange, marksScope, type UserContent } from "../marks/mark.ts";
import { containsTurn } from "../marks/marked-turns.ts";
import { sharedByPointer } from "../marks/sharing-devices.ts";
import { untilNow } from "../marks/turn-owners.ts";
import { recordPages } from "../core/record-pages.ts";

/** A device, and the record of its pointer. */
interface Speaker {
  readonly name: string;
  /** Its pointer, also one that has expired. */
  readonly found: SessionRecord | undefined;
}

/** The destination of a changed pointer. */
export interface NextSpeaker {
  /** The user that the device speaks for; undefined: none. */
  readonly user?: string;
  /** Changes of sessions that land in the same commit and name the user by themselves. */
  readonly beside?: readonly Change[];
}

/** The marks to be committed with a change of the device's pointer. */
export async function deviceMarks(
  core: Core,
  tenant: string,
  { name, found }: Speaker,
  { user, beside = [] }: NextSpeaker = {},
): Promise<readonly Change[]> {
  if (core.isFallback || !isDeviceName(name)) return [];
  const contents = new UserContents();
  const left = found && (await sharedByPointer(core, found));
  if (left !== undefined) contents.add(user ?? name, left);
  const pointer = pointerOf(core, found);
  // The words of a guest belong to the first user that the device speaks for.
  const first = pointer?.kind === "user" && pointer.user !== user ? pointer.user : user;
  if (first === undefined) return await contents.changes(core);
  const named = new Set(beside.filter(({ key }) => key.tenant === tenant).map(({ key }) => key.id));
  for await (const record of guestSessions(core, tenant, name)) {
    if (named.has(record.id) || countTurns(record) === 0 || (await isMarked(core, record))) continue;
    contents.add(first, { record, from: 1, until: untilNow(core, record), isTheirs: true });
  }
  const moved: Change[] = [];
  for await (const marks of recordPages(core, marksScope(tenant), name)) {
    for (const mark of marks) {
      const { session, born, ...turns } = contentOf(mark);
      const record = (await core.find({ tenant, id: session }))?.record;
      if (record?.createdAt === born && (await containsTurn(core, record, turns)))
        contents.add(first, { record, ...turns });
      moved.push(removeSession(mark));
    }
  }
  return [...moved, ...(await contents.changes(core))];
}

/** Marks to be made, one for each session and name. */
class UserContents {
  readonly #all = new Map<string, { readonly name: string; readonly content: UserContent }>();

  add(name: string, content: UserContent): void {
    const { record, from, until = 0, isTheirs } = content;
    const key = JSON.stringify([name, record.id]);
    const known = this.#all.get(key)?.content;
    const later = Math.max(until, known?.until ?? 0);
    const merged = {
      record,
      from: Math.min(from, known?.from ?? from),
      ...(later > 0 && { until: later }),
      isTheirs: isTheirs || known?.isTheirs === true,
    };
    this.#all.set(key, { name, content: merged });
  }

  async changes(core: Core): Promise<readonly Change[]> {
    const all = [...this.#all.values()];
    const changes = await Promise.all(all.map(({ name, content }) => markChange(core, name, content)));
    return changes.filter((change) => change !== null);
  }
}
