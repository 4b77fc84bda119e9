/**
 * Checks that the rules can work on a stored record. A row may be damaged or written by another program, and one field of a
 * wrong type would fail every page with the session.
 */
import { dateMaxMs } from "../domain/values/limits.ts";
import { counterNames, type SessionRecord } from "../domain/record/record.ts";
import { sessionStates } from "../domain/record/states.ts";

type Fields = Readonly<Record<string, unknown>>;

/** The first field of a wrong type; undefined if there is none. */
export function unreadableField(record: SessionRecord): string | undefined {
  for (const [field, isReadable] of checks) if (!isReadable(record[field])) return field;
  return undefined;
}

const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value);
const isInstant = (value: unknown): boolean => isNumber(value) && Math.abs(value) <= dateMaxMs;
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const orNull =
  (is: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    value === null || is(value);

function areHeads(value: unknown): boolean {
  return isFields(value) && Object.values(value).every(Number.isSafeInteger);
}

function areMarks(value: unknown): boolean {
  return (
    isFields(value) &&
    Object.values(value).every((mark) => isFields(mark) && isNumber(mark["version"]) && isText(mark["commitId"]))
  );
}

function isLease(value: unknown): boolean {
  return isFields(value) && isText(value["instance"]) && isNumber(value["fence"]) && isInstant(value["acquiredAt"]);
}

function isWaiter(value: unknown): boolean {
  return isFields(value) && isText(value["ticket"]) && isText(value["instance"]) && isNumber(value["until"]);
}

function isWaiting(value: unknown): boolean {
  return (
    isFields(value) &&
    isText(value["token"]) &&
    isText(value["reason"]) &&
    isInstant(value["since"]) &&
    (value["expiresAt"] === null || isInstant(value["expiresAt"]))
  );
}

function isHandoff(value: unknown): boolean {
  return (
    isFields(value) &&
    isText(value["agent"]) &&
    isInstant(value["since"]) &&
    isInstant(value["expiresAt"]) &&
    (value["note"] === null || isText(value["note"]))
  );
}

function isArchive(value: unknown): boolean {
  return (
    isFields(value) &&
    areHeads(value["heads"]) &&
    Array.isArray(value["parts"]) &&
    value["parts"].every((part: unknown) => isFields(part) && Array.isArray(part["ranges"])) &&
    isNumber(value["bytes"]) &&
    isNumber(value["packedBytes"])
  );
}

function areSegments(value: unknown): boolean {
  return (
    isFields(value) &&
    [value["root"], value["current"], value["made"], value["shared"]].every(isNumber) &&
    Array.isArray(value["path"]) &&
    value["path"].every((piece: unknown) => Array.isArray(piece) && piece.length === 2 && piece.every(isNumber))
  );
}

function isReset(value: unknown): boolean {
  return isFields(value) && isText(value["archive"]) && isInstant(value["at"]);
}

const checks: readonly (readonly [keyof SessionRecord, (value: unknown) => boolean])[] = [
  ["version", isNumber],
  ["commitId", isText],
  ["turnsCommitId", isText],
  ["state", (value) => (sessionStates as readonly unknown[]).includes(value)],
  ["agent", isText],
  ["user", orNull(isText)],
  ["title", orNull(isText)],
  ["labels", (value) => isFields(value) && Object.values(value).every(isText)],
  ["metadata", isFields],
  ["createdAt", isInstant],
  ["lastActivityAt", isInstant],
  ["stateSince", isInstant],
  ["restoredAt", orNull(isInstant)],
  ["ttlMs", isNumber],
  ["maxAgeMs", orNull(isNumber)],
  ["maxAgeFrom", isInstant],
  ["expiresAt", isInstant],
  ["sweepAt", isNumber],
  ["counters", (value) => isFields(value) && counterNames.every((name) => isNumber(value[name]))],
  ["budget", orNull(isFields)],
  ["heads", areHeads],
  ["turnsVersion", isNumber],
  ["logMarks", areMarks],
  ["openTurn", orNull(isNumber)],
  ["waiting", orNull(isWaiting)],
  ["cancel", orNull(isFields)],
  ["handoff", orNull(isHandoff)],
  ["fence", isNumber],
  ["lease", orNull(isLease)],
  ["waiters", (value) => Array.isArray(value) && value.every(isWaiter)],
  ["archive", orNull(isArchive)],
  ["legalHold", orNull((value) => isFields(value) && isText(value["reason"]) && isInstant(value["at"]))],
  ["parent", orNull((value) => isFields(value) && isText(value["id"]) && isNumber(value["at"]))],
  ["inherited", isNumber],
  ["forkedAt", isNumber],
  ["branches", orNull(areSegments)],
  ["resets", (value) => Array.isArray(value) && value.every(isReset)],
];
