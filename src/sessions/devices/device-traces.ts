/**
 * What a device said is found through the pointer from the device to its user. Where that pointer changes, these marks
 * take its place, and land in the same commit. Two things would be lost otherwise: the sessions that the device had as
 * a guest, and turns that it said in a session shared by a link code.
 */
import { headOf, type Change } from "../../domain/record/change.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Core } from "../core/core.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import type { Pointer } from "./device-pointer.ts";
import { guestSessions } from "./guest-sessions.ts";
import {
  contentOf,
  holds,
  isMarked,
  markChange,
  marksScope,
  turnsOfGuest,
  type Holding,
} from "../core/fork-references.ts";
import { recordPages } from "../core/record-pages.ts";

/** A device, its pointer, and the session that this one leads to. */
interface Speaker {
  readonly name: string;
  readonly pointer: Pointer | undefined;
  readonly record: SessionRecord | undefined;
}

/** Where a device's pointer leads from here on. */
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
  device: Speaker,
  { user, beside = [] }: NextSpeaker = {},
): Promise<readonly Change[]> {
  const { name, pointer } = device;
  if (core.isFallback || !isDeviceName(name)) return [];
  const holdings = new Holdings();
  const moved: Change[] = [];
  const { record } = device;
  const left = pointer?.kind === "linked" && record !== undefined ? turnsOfGuest(core, pointer, record) : undefined;
  if (left !== undefined) holdings.add(user ?? name, left);
  const isLeaving = pointer?.kind === "user" && pointer.user !== user;
  // A device that changes users had its guest sessions before it came to the first of them.
  const guestsOf = isLeaving ? pointer.user : user;
  if (guestsOf !== undefined) {
    const named = new Set(beside.filter(({ key }) => key.tenant === tenant).map(({ key }) => key.id));
    for await (const record of guestSessions(core, tenant, name)) {
      if (named.has(record.id) || headOf(record, "turns") === 0 || (await isMarked(core, record))) continue;
      holdings.add(guestsOf, { record, from: 1, until: core.now(), isTheirs: true });
    }
  }
  if (user !== undefined) {
    for await (const marks of recordPages(core, marksScope(tenant), name)) {
      for (const mark of marks) {
        const { session, born, ...said } = contentOf(mark);
        const record = (await core.find({ tenant, id: session }))?.record;
        if (record?.createdAt === born && (await holds(core, record, said))) holdings.add(user, { record, ...said });
        moved.push(removeSession(mark));
      }
    }
  }
  return [...moved, ...(await holdings.changes(core))];
}

/** Marks to be made, one for each session and name. */
class Holdings {
  readonly #all = new Map<string, { readonly name: string; readonly holding: Holding }>();

  add(name: string, holding: Holding): void {
    const { record, from, until = record.createdAt, isTheirs } = holding;
    const key = JSON.stringify([name, record.id]);
    const known = this.#all.get(key)?.holding;
    const merged = {
      record,
      from: Math.min(from, known?.from ?? from),
      until: Math.max(until, known?.until ?? until),
      isTheirs: isTheirs && (known?.isTheirs ?? true),
    };
    this.#all.set(key, { name, holding: merged });
  }

  async changes(core: Core): Promise<readonly Change[]> {
    const all = [...this.#all.values()].filter(({ name, holding }) => holding.record.user !== name);
    const changes = await Promise.all(all.map(({ name, holding }) => markChange(core, name, holding)));
    return changes.filter((change) => change !== null);
  }
}
