import { unchanged, type Change } from "../../domain/record/change.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import type { Core } from "../core/core.ts";
import { guestDeviceOf } from "../../domain/values/device.ts";
import { isDeviceName } from "../core/keyed-hash.ts";
import { type SpeakerTurns, marksFor, markChange, contentOf, marksScope, laterOf, eachOnce } from "./mark.ts";
import { type SessionOwner, ownerOf, lineOf } from "./turn-owners.ts";
import { sharersOf } from "./sharing-devices.ts";
import { containsTurn } from "./marked-turns.ts";

/**
 * Users and devices with turns in a session. A device comes with the record that names it, its pointer or a mark: the marks of
 * these speakers land only if that record is still the stored one.
 */
export class Speakers {
  readonly #turns = new Map<string, SpeakerTurns>();
  readonly #sources = new Map<string, SessionRecord[]>();
  readonly #marked = new Set<string>();

  get turns(): ReadonlyMap<string, SpeakerTurns> {
    return this.#turns;
  }

  /** Add a speaker. A second call for the same speaker keeps the earlier first turn and the later end. */
  add(
    name: string,
    { from, until, isTheirs }: Omit<SpeakerTurns, "until"> & { until?: number | undefined },
    source?: SessionRecord,
  ): void {
    const known = this.#turns.get(name) ?? { from, isTheirs };
    this.#turns.set(name, {
      from: Math.min(known.from, from),
      ...laterOf(known.until, until),
      isTheirs: known.isTheirs || isTheirs,
    });
    if (source?.tenant.endsWith(marksScope("")) === true) this.#marked.add(name);
    if (source !== undefined && isDeviceName(name))
      this.#sources.set(name, [...(this.#sources.get(name) ?? []), source]);
  }

  /** True if the session names this speaker by its user or by its id, as a guest's session does, and needs no mark. */
  isNamedBy({ user, id }: Pick<SessionRecord, "user" | "id">, name: string): boolean {
    return !this.#marked.has(name) && name === (user ?? guestDeviceOf(id));
  }

  /** Keep the speakers for which `judge` returns turns. */
  async judge(judge: (name: string, turns: SpeakerTurns) => Promise<SpeakerTurns | undefined>): Promise<void> {
    for (const [name, turns] of this.#turns) {
      const kept = await judge(name, turns);
      if (kept === undefined) this.#turns.delete(name);
      else this.#turns.set(name, kept);
    }
  }

  /** The marks from the speakers to this session, with the records that must not change meanwhile. */
  async changes(core: Core, record: SessionRecord): Promise<readonly Change[]> {
    const changes: Change[] = [];
    for (const [name, turns] of this.#turns) {
      const mark = await markChange(core, name, { ...turns, record });
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
  // Sessions that name no user belong to the nearest owner above them.
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
      const turns = contentOf(mark);
      if (mark.user === null || turns.from > reach || !(await containsTurn(core, above, turns))) continue;
      const until = isBottom ? turns.until : undefined;
      speakers.add(mark.user, { ...turns, until, isTheirs: isTheirs && turns.isTheirs }, mark);
    }
    for (const { name, turns, pointer } of await sharersOf(core, above)) {
      if (turns.from <= reach) speakers.add(name, { ...turns, until: isBottom ? turns.until : undefined }, pointer);
    }
  }
}
