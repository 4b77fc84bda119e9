/** Makes an agent the active one, and ends its handoff. */
import { endHandoff, handOff, handoffAt } from "../../domain/record/handoff.ts";
import type { Handoff } from "../../domain/record/record.ts";
import { parseDuration, type Duration } from "../../domain/values/duration.ts";
import type { Handle } from "../handle/handle.ts";
import { parseNote, parseOneOf } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { answeringAgent } from "./named-agent.ts";

/** Options of a handoff. */
export interface HandOffOptions {
  /** The time of the handoff. @default that of the user, the agent, or `openSessions`, in this order */
  readonly ttl?: Duration;
  /** Information for the agent. */
  readonly note?: string;
  /**
   * The author of the note. The next agent reads a note of the application as an instruction, and a note of a model as
   * reported speech, because a model may repeat what a user wrote.
   * @default "application"
   */
  readonly noteFrom?: "application" | "model";
}

const optionNames: OptionNames<HandOffOptions> = { ttl: true, note: true, noteFrom: true };

/** @throws SessionError as `Session.handOff` */
export async function handOffOn(handle: Handle, agent: string, options: HandOffOptions): Promise<Handoff> {
  guardNames(options, "options", optionNames);
  const { ttl, note, noteFrom = "application" } = options;
  const named = answeringAgent(handle, agent);
  const given = ttl === undefined ? undefined : parseDuration(ttl, "ttl");
  const parsedNote = note === undefined ? null : parseNote(note, "note", handle.core.options.limits.noteLengthMax);
  parseOneOf(noteFrom, "noteFrom", ["application", "model"]);
  const origin = noteFrom === "application" ? { noteFrom } : {};
  return await handle.inOrder(async () => {
    await handle.write(({ record }, context) => {
      const ttlMs = given ?? handle.core.handoffTtlMs(named, record.user);
      return handOff(record, { agent: named, ttlMs, note: parsedNote, ...origin }, context);
    });
    const { handoff } = handle.record;
    if (handoff === null) throw new Error("a handoff has an active agent");
    return handoff;
  });
}

/** False if there is no handoff. */
export async function endHandoffOn(handle: Handle): Promise<boolean> {
  await handle.peek();
  const had = handoffAt(handle.record, handle.core.now()) !== null;
  await handle.write(({ record }, context) => endHandoff(record, context));
  return had;
}
