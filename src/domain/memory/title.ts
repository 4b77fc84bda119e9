/**
 * Titles that a model makes. A log of the session has an entry for each attempt: all processes together make so many at most, also
 * where one is killed between its attempt and the title. A title that is removed by hand takes the attempts that are left.
 */
import { changeOf, headOf, set, splice, type Change, type Draft } from "../record/change.ts";
import { titlesLog } from "../record/entry.ts";
import type { Context } from "../record/guards.ts";
import type { SessionRecord } from "../record/record.ts";
import { titleAttemptsMax } from "../record/pin.ts";
import { stateAt } from "../record/states.ts";
import { guardNoneReplaced } from "../turns/replaced-turns.ts";
import { encode } from "../values/codec.ts";
import { labelTextMax as lengthMax } from "../values/labels.ts";
import { countModelCall, type ModelCall } from "./model-call.ts";
import { guardMemory } from "./summary.ts";

/** True for a session without a title that has an attempt left. */
export function lacksTitle(record: SessionRecord): boolean {
  return record.title === null && record.archive === null && headOf(record, titlesLog) < titleAttemptsMax;
}

/** Note an attempt. `attempts`: those that its caller knows. Null where the session has a title, or another process was faster. */
export function claimTitle(draft: Draft, attempts: number, { now }: Context): Change | null {
  const { record } = draft;
  if (!lacksTitle(record) || !isLive(record, now) || headOf(record, titlesLog) !== attempts) return null;
  const seq = attempts + 1;
  splice(draft, titlesLog, seq, [{ seq, key: null, at: now, data: encode({}) }]);
  return changeOf(draft);
}

/**
 * Set the title where the session has none, and count the usage of its call. It is no activity.
 * @throws SessionError `turn_open` while a question replaces turns, whose end would take the usage back; `session_archived`
 */
export function giveTitle(
  draft: Draft,
  { title, call }: { readonly title: string | undefined; readonly call: ModelCall },
  context: Context,
): Change | null {
  const { record } = draft;
  guardMemory(record);
  guardNoneReplaced(record);
  const isSet = title !== undefined && record.title === null && isLive(record, context.now);
  if (!isSet && call.usage === undefined) return null;
  countModelCall(draft, call, context);
  if (isSet) set(draft, { title });
  return changeOf(draft);
}

function isLive(record: SessionRecord, now: number): boolean {
  const state = stateAt(record, now);
  return state === "active" || state === "inactive";
}

// oxlint-disable-next-line no-control-regex -- control characters are breaks
const breaks = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/gu;
/** Characters that hide or reorder text, without the two joiners; and halves of characters. */
const steering = /(?![\u200c-\u200d])[\p{Cf}\ud800-\udfff]/gu;
/** A line that a model put into quotation marks, or into marks of Markdown. */
const quoted =
  /^(?:"([^"]*)"|'([^']*)'|`([^`]*)`|\*+([^*]*)\*+|_+([^_]*)_+|“([^“”]*)”|„([^„“”]*)[“”]|‘([^‘’]*)’|«([^«»]*)»|「([^「」]*)」)$/u;

/** The ends of a reasoning that a model wrote into its answer. */
const reasoningEnds = ["</think>", "</thinking>"];
/** A word before the title, also in marks of Markdown. */
const announcement = /^[#*_ ]*title[*_ ]*:[*_ ]*/iu;

/**
 * The title in a text of a model: one line without reasoning before it or quotation marks around it, cut to the length of titles;
 * undefined for none. Of several lines without quotation marks around them all it is the first one with words.
 */
export function cleanTitle(text: string): string | undefined {
  const answer = afterReasoning(text).slice(0, 10 * lengthMax);
  const lines = quoted.test(answer) ? [answer] : answer.split(/[\r\n\u2028\u2029]/u);
  const cleaned = lines.map(cleanLine);
  return cleaned.find((line) => /[\p{L}\p{N}]/u.test(line)) ?? cleaned.find((line) => line !== "");
}

function afterReasoning(text: string): string {
  const begins = reasoningEnds.map((end) => (text.includes(end) ? text.lastIndexOf(end) + end.length : 0));
  const answer = text.slice(Math.max(...begins)).trim();
  return /^<think(?:ing)?>/u.test(answer) ? "" : answer;
}

/** A line without breaks, marks and quotation marks, cut to the length of titles. */
function cleanLine(line: string): string {
  let title = line
    .replaceAll(breaks, " ")
    .replaceAll(steering, "")
    .replaceAll(/\s+/gu, " ")
    .trim()
    .replace(announcement, "")
    .replace(/^#+ /u, "");
  for (let within = quoted.exec(title); within !== null; within = quoted.exec(title))
    title = (within.slice(1).find((part) => part !== undefined) ?? "").trim();
  if (title.length > lengthMax) title = `${title.slice(0, lengthMax - 1).replace(/[\ud800-\udbff]$/, "")}…`;
  return title;
}
