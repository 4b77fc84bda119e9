import { unchanged, type Change } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Core } from "../core/core.ts";
import { guestDeviceOf } from "../../domain/values/device.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import { type Said, marksFor, markChange, contentOf, marksScope, laterOf, eachOnce } from "./mark.ts";
import { type SessionOwner, ownerOf, lineOf } from "./turn-owners.ts";
import { sharersOf } from "./sharing-devices.ts";
import { containsTurn } from "./marked-turns.ts";

/**
 * Users and devices whose turns a session holds. A device is named with the record that says so, its pointer or a mark: the marks
 * of these speakers land only where that record is still the stored one.
 */
export class Speakers {
  readonly #said = new Map<string, Said>();
  readonly #sources = new Map<string, SessionRecord[]>();
  readonly #marked = new Set<string>();

  get said(): ReadonlyMap<string, Said> {
    return this.#said;
  }

  /** Two findings of one speaker are one: the earlier first turn, and the later end. */
  add(
    name: string,
    { from, until, isTheirs }: Omit<Said, "until"> & { until?: number | undefined },
    source?: SessionRecord,
  ): void {
    const known = this.#said.get(name) ?? { from, isTheirs };
    this.#said.set(name, {
      from: Math.min(known.from, from),
      ...laterOf(known.until, until),
      isTheirs: known.isTheirs || isTheirs,
    });
    if (source?.tenant.endsWith(marksScope("")) === true) this.#marked.add(name);
    if (source !== undefined && isDeviceName(name))
      this.#sources.set(name, [...(this.#sources.get(name) ?? []), source]);
  }

  /** True where the session leads to this speaker by its user or by the id of a guest's session, and no mark is to be kept. */
  isNamedBy({ user, id }: Pick<SessionRecord, "user" | "id">, name: string): boolean {
    return !this.#marked.has(name) && name === (user ?? guestDeviceOf(id));
  }

  /** Keep the speakers for which `judge` returns what they said. */
  async judge(judge: (name: string, said: Said) => Promise<Said | undefined>): Promise<void> {
    for (const [name, said] of this.#said) {
      const kept = await judge(name, said);
      if (kept === undefined) this.#said.delete(name);
      else this.#said.set(name, kept);
    }
  }

  /** The marks that lead from the speakers to this session, with the records that must not change meanwhile. */
  async changes(core: Core, record: SessionRecord): Promise<readonly Change[]> {
    const changes: Change[] = [];
    for (const [name, said] of this.#said) {
      const mark = await markChange(core, name, { ...said, record });
      if (mark !== null) changes.push(mark, ...(this.#sources.get(name) ?? []).map(unchanged));
    }
    return eachOnce(changes);
  }
}

export async function speakersIn(core: Core, record: SessionRecord): Promise<Speakers> {
  const speakers = new Speakers();
  await addSpeakers(core, speakers, { record, owner: await ownerOf(core, record) });
  return speakers;
}

/** Add the speakers in a session of this owner, also those in the sessions above it. */
export async function addSpeakers(
  core: Core,
  speakers: Speakers,
  { record, owner: bottomOwner }: { readonly record: SessionRecord; readonly owner: SessionOwner | undefined },
): Promise<void> {
  // The first owner on the way up has the sessions below that name no user.
  let isTheirs = true;
  for await (const { record: above, from, reach } of lineOf(core, record)) {
    const isBottom = above === record;
    const owner = isBottom ? bottomOwner : await ownerOf(core, above);
    if (owner !== undefined) {
      if (from <= reach) speakers.add(owner.name, { from, isTheirs }, owner.pointer);
      isTheirs = false;
    }
    // Turns of a session above were written before the session at the bottom was created.
    for await (const mark of marksFor(core, above)) {
      const said = contentOf(mark);
      if (mark.user === null || said.from > reach || !(await containsTurn(core, above, said))) continue;
      const until = isBottom ? said.until : undefined;
      speakers.add(mark.user, { ...said, until, isTheirs: isTheirs && said.isTheirs }, mark);
    }
    for (const { name, said, pointer } of await sharersOf(core, above)) {
      if (said.from <= reach) speakers.add(name, { ...said, until: isBottom ? said.until : undefined }, pointer);
    }
  }
}
