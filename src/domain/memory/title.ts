/**
 * Titles that a model makes. A log of the session has an entry for each attempt: all processes together make so many at most, also
 * where one is killed between its attempt and the title. A title that is removed by hand takes the attempts that are left.
 *
 * An entry has an estimate of the cost of its call until the true cost is counted. Where the call fails, or its process is killed, the
 * next exchange of the session counts the estimate. One more entry closes the log once the last attempt has been counted.
 */
import { changeOf, headOf, set, splice, type Change, type Draft } from "../record/change.ts";
import { titlesLog, type Entry } from "../record/entry.ts";
import type { Context } from "../record/guards.ts";
import type { SessionRecord } from "../record/record.ts";
import { titleAttemptsMax } from "../record/pin.ts";
import { stateAt } from "../record/states.ts";
import { guardNoneReplaced, hasReplaced } from "../turns/replaced-turns.ts";
import { estimateUsage, isModelName, parseUsage } from "../turns/usage.ts";
import { decode, encode } from "../values/codec.ts";
import { defined } from "../values/defined.ts";
import { labelTextMax as lengthMax } from "../values/labels.ts";
import { countModelCall, type ModelCall } from "./model-call.ts";
import { guardMemory } from "./summary.ts";

/** True for a session without a title that has an attempt left. */
export function lacksTitle(record: SessionRecord): boolean {
  return record.title === null && record.archive === null && headOf(record, titlesLog) < titleAttemptsMax;
}

/** True for a session without a title whose last attempt may not be counted. */
export function mayOwe(record: SessionRecord): boolean {
  return record.title === null && record.archive === null && headOf(record, titlesLog) === titleAttemptsMax;
}

/** A call whose cost is not known yet: an estimate of it. */
export type EstimatedCall = Required<Pick<ModelCall, "agent" | "usage">> & Pick<ModelCall, "model">;

/** The call of an attempt that is not counted; undefined for one that is, or that cannot be read. */
export function owedCall({ data }: Pick<Entry, "data">): EstimatedCall | undefined {
  try {
    const { agent, model, usage } = decode(data) as { readonly [field: string]: unknown };
    if (typeof agent !== "string" || usage === undefined) return undefined;
    const read = parseUsage(usage, () => estimateUsage([], []));
    return { agent, usage: read, ...defined({ model: isModelName(model) ? model : undefined }) };
  } catch {
    return undefined;
  }
}

/** The attempts that the caller of a rule knows, and what it adds to them. */
export interface Attempts {
  readonly count: number;
  /** The last one, where it is not counted. */
  readonly owed: EstimatedCall | undefined;
  /** The call that the next one makes; undefined for one whose cost cannot be estimated. */
  readonly next: EstimatedCall | undefined;
}

/**
 * Note an attempt, or close the log after the last one, and count the one before it where that is owed. Null where the session has a
 * title, another process was faster, or a question replaces turns, whose end would take the usage back.
 */
export function claimTitle(draft: Draft, { count, owed, next }: Attempts, context: Context): Change | null {
  const { record } = draft;
  const { now } = context;
  if (!(lacksTitle(record) || mayOwe(record)) || !isLive(record, now) || headOf(record, titlesLog) !== count)
    return null;
  if (owed !== undefined) {
    if (hasReplaced(record)) return null;
    settle(draft, count, now);
    countModelCall(draft, { ...owed, durationMs: 0 }, context);
  }
  const seq = count + 1;
  const data = encode(defined({ ...(count < titleAttemptsMax ? next : undefined) }));
  splice(draft, titlesLog, seq, [{ seq, key: null, at: now, data }]);
  return changeOf(draft);
}

/** Note that the cost of the last attempt is counted, in the draft. */
function settle(draft: Draft, seq: number, now: number): void {
  splice(draft, titlesLog, seq, [{ seq, key: null, at: now, data: encode({}) }]);
}

/** A title that was made, undefined for none, its call, and the number of its attempt. */
export interface GivenTitle {
  readonly title: string | undefined;
  readonly call: ModelCall;
  readonly attempt: number;
  /** The entry of the attempt has an estimate, which a later attempt may have counted. */
  readonly isEstimated: boolean;
}

/**
 * Set the title where the session has none, and count the usage of its call, unless a later attempt has counted its estimate. It is no
 * activity.
 * @throws SessionError `turn_open` while a question replaces turns, whose end would take the usage back; `session_archived`
 */
export function giveTitle(
  draft: Draft,
  { title, call, attempt, isEstimated }: GivenTitle,
  context: Context,
): Change | null {
  const { record } = draft;
  guardMemory(record);
  guardNoneReplaced(record);
  const isSet = title !== undefined && record.title === null && isLive(record, context.now);
  const isCounted = call.usage !== undefined && (!isEstimated || headOf(record, titlesLog) === attempt);
  if (!isSet && !isCounted) return null;
  if (isCounted) countModelCall(draft, call, context);
  if (isCounted && isEstimated) settle(draft, attempt, context.now);
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
