/** The title and the labels of a session: short texts for people, and names with values that lists filter by. */
import { SessionError } from "../../errors.ts";
import { formatValue } from "./format-value.ts";
import { isPrintable } from "./ids.ts";
import { invalidArgument } from "./invalid-argument.ts";

/** Labels by name. */
export type Labels = { readonly [name: string]: string };

/** Changes of labels: a text sets the value of a label, null removes the label. */
export type LabelPatch = { readonly [name: string]: string | null };

/** The labels of the sessions to find, which must have all of them; true: any value. */
export type LabelFilter = { readonly [name: string]: string | true };

/** The most labels of a session. */
const labelsMax = 16;
const nameLengthMax = 64;
const textLengthMax = 256;

export const noLabels: Labels = Object.freeze({});

/** The longest text of a label, in characters. */
export const labelTextMax: number = textLengthMax;

/**
 * The name under which the store finds a session whose turn waits; the value is the reason. No label of a caller has it, for it
 * contains `=`.
 */
const waitingName = "=waiting";

/** The labels by which the store finds a session. */
export function storedLabels(labels: Labels, waiting: { readonly reason: string } | null): Labels {
  return waiting === null ? labels : { ...labels, [waitingName]: waiting.reason };
}

/** The labels of a session among those by which the store finds it. */
export function ownLabels(stored: Labels): Labels {
  if (!Object.hasOwn(stored, waitingName)) return stored;
  const { [waitingName]: _, ...labels } = stored;
  return labels;
}

/** The filter that finds sessions whose turn waits, for this reason or, for true, for any. */
export function waitingFilter(reason: string | true): LabelFilter {
  return { [waitingName]: reason };
}

/** A title that a caller sets. @throws SessionError `argument_invalid` */
export function parseTitle(title: string | null, path: string = "title"): string | null {
  const parsed = parseStoredTitle(title, path);
  if (parsed === null || parsed.trim() !== "") return parsed;
  throw invalidArgument(path, title, { expected: "not_blank" });
}

/** A title in a snapshot: earlier versions took one of spaces only. @throws SessionError `argument_invalid` */
export function parseStoredTitle(title: string | null, path: string): string | null {
  if (title === null || (isText(title, textLengthMax) && title !== "")) return title;
  throw invalidText(path, title, { min: 1, max: textLengthMax });
}

/** The labels, sorted by name. @throws SessionError `argument_invalid` */
export function parseLabels(labels: Labels, path: string = "labels"): Labels {
  for (const [name, value] of entriesOf(labels, { path })) parseValue(value, `${path}.${name}`);
  return sorted(labels);
}

/** @throws SessionError `argument_invalid` */
export function parseLabelPatch(patch: LabelPatch): LabelPatch {
  for (const [name, value] of entriesOf(patch, { countMax: 2 * labelsMax })) {
    if (value !== null) parseValue(value, `labels.${name}`);
  }
  return { ...patch };
}

/** @throws SessionError `argument_invalid` */
export function parseLabelFilter(filter: LabelFilter): LabelFilter {
  for (const [name, value] of entriesOf(filter)) if (value !== true) parseValue(value, `labels.${name}`);
  return sorted(filter);
}

/** The filter in texts such as `name=value`, or `name` for any value. */
export function labelFilterOf(texts: readonly string[]): LabelFilter {
  return Object.fromEntries(texts.map(labelOf));
}

/** The texts of {@link labelFilterOf}. */
export function labelTexts(filter: LabelFilter): readonly string[] {
  return Object.entries(filter).map(([name, value]) => (value === true ? name : `${name}=${value}`));
}

/** The name and the value in a text such as `name=value`; true without a value. */
export function labelOf(text: string): readonly [name: string, value: string | true] {
  const end = text.indexOf("=");
  return end < 0 ? [text, true] : [text.slice(0, end), text.slice(end + 1)];
}

/** The labels after the patch, sorted by name. @throws SessionError `argument_invalid` if they are too many */
export function patchLabels(labels: Labels, patch: LabelPatch): Labels {
  const patched = new Map<string, string>(Object.entries(labels));
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) patched.delete(name);
    else patched.set(name, value);
  }
  guardCount(patched.size, labelsMax, "labels");
  return sorted(Object.fromEntries(patched));
}

/** True if a session with these labels has all that the filter names. */
export function hasLabels(labels: Labels, filter: LabelFilter): boolean {
  return Object.entries(filter).every(
    ([name, value]) => Object.hasOwn(labels, name) && (value === true || labels[name] === value),
  );
}

/** The names and values of a plain object; each name is valid. */
function entriesOf(
  labels: unknown,
  { countMax = labelsMax, path = "labels" }: { readonly countMax?: number; readonly path?: string } = {},
): readonly (readonly [string, unknown])[] {
  if (typeof labels !== "object" || labels === null || !isPlain(labels))
    throw invalidArgument(path, labels, { expected: "object" });
  const entries: readonly (readonly [string, unknown])[] = Object.entries(labels);
  guardCount(entries.length, countMax, path);
  for (const [name] of entries) parseName(name, path);
  return entries;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function guardCount(count: number, max: number, path: string): void {
  if (count > max) throw new SessionError("argument_invalid", { name: path, length: count, expected: "labels", max });
}

/** The command line and HTTP write a label as `name=value`; a copy of an object would lose the name `__proto__`. */
function parseName(name: string, path: string): void {
  if (name !== "" && isText(name, nameLengthMax) && !name.includes("=") && name !== "__proto__") return;
  const found = name.length > nameLengthMax ? { length: name.length } : { value: formatValue(name) };
  throw new SessionError("argument_invalid", { name: path, ...found, expected: "label_name", max: nameLengthMax });
}

function parseValue(value: unknown, path: string): void {
  if (!isText(value, textLengthMax)) throw invalidText(path, value, { min: 0, max: textLengthMax });
}

function isText(value: unknown, lengthMax: number): value is string {
  return typeof value === "string" && value.length <= lengthMax && isPrintable(value);
}

function invalidText(
  name: string,
  value: unknown,
  bounds: { readonly min: number; readonly max: number },
): SessionError<"argument_invalid"> {
  const found =
    typeof value === "string" && value.length > bounds.max ? { length: value.length } : { value: formatValue(value) };
  return new SessionError("argument_invalid", { name, ...found, expected: "name", ...bounds });
}

/** A copy whose names are in one order: the same labels are the same text. */
function sorted<Value>(labels: { readonly [name: string]: Value }): { readonly [name: string]: Value } {
  return Object.fromEntries(Object.entries(labels).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
