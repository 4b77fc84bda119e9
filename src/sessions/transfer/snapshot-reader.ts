/** A snapshot from a text that anybody may have made: whole, unaltered and of the right shape, or an error with the place. */
import { isContent } from "../../domain/copies/archive.ts";
import { parseBudget } from "../../domain/record/budget.ts";
import { decode, encode } from "../../domain/values/codec.ts";
import type { LogName } from "../../domain/record/entry.ts";
import { parseLogName } from "../../domain/values/ids.ts";
import { countMax, counterMax, durationMaxMs, type Limits } from "../../domain/values/limits.ts";
import type { StoredHandoff } from "../../domain/record/handoff.ts";
import { noCounters, type Counters, type LegalHold, type Metadata, type Budget } from "../../domain/record/record.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import type { Portable, PortableRecord } from "../../domain/copies/snapshot.ts";
import { sessionStates } from "../../domain/record/states.ts";
import { defined } from "../../domain/values/defined.ts";
import { SessionError } from "../../errors.ts";
import { checkJson, JsonError } from "./located-json.ts";
import { guardContent, type ReadEntry, type ReadLogs } from "./snapshot-content.ts";
import {
  fieldsOf,
  idOf,
  instantOf,
  judged,
  objectOf,
  spanOf,
  textOfAtMost,
  wholeOf,
  type Fields,
  type Refuse,
} from "./snapshot-fields.ts";
import { snapshotFormat, snapshotText } from "./snapshot-text.ts";

/** What reading a snapshot needs to know beside its text. */
export interface SnapshotSource {
  /** How errors call it: a file, a line of one. */
  readonly source: string;
  readonly limits: Limits;
}

/** A snapshot that was read. */
export interface ReadSnapshot extends Portable {
  readonly checksum: string;
}

/** Earlier formats and what makes a document of each into one of the format after it. */
const converters: ReadonlyMap<string, (document: Fields) => Fields> = new Map();

/** As deep as the codec lets a value be. */
const levelsMax = 512;
/** With what stands around a value in a snapshot. */
const depthMax = levelsMax + 8;

/** @throws SessionError `snapshot_invalid`, `snapshot_newer`, `snapshot_too_large` */
export function readSnapshot(text: string, { source, limits }: SnapshotSource): ReadSnapshot {
  guardSize(text, { source, limits });
  const refuse: Refuse = (path, reason, cause) => {
    throw new SessionError("snapshot_invalid", { source, path, reason }, { cause });
  };
  const document = currentDocument(parseText(text, refuse), source, refuse);
  const { session, logs, checksum } = fieldsOf(document, "", ["format", "session", "logs", "checksum"], refuse);
  const record = recordOf(session, limits, refuse);
  const read = logsOf(logs, limits, refuse);
  guardContent(record, read, { limits, refuse });
  const portable = {
    record,
    logs: new Map([...read].map(([log, entries]) => [log, entries.map(({ entry }) => entry)])),
  };
  const same = snapshotText(portable);
  // Other spacing or another order says the same; a name that stands twice says two things.
  if (text !== same.text) guardForm(text, refuse);
  if (checksum !== same.checksum) refuse("checksum", `is ${formatValue(checksum)}, the content has ${same.checksum}`);
  return { ...portable, checksum: same.checksum };
}

/** The text of a file. @throws SessionError `snapshot_invalid` where it is not UTF-8 */
export function textOf(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new SessionError(
      "snapshot_invalid",
      { source, path: "the text", reason: "it is not UTF-8" },
      { cause: error },
    );
  }
}

function guardSize(text: string, { source, limits }: SnapshotSource): void {
  const bytesMax = limits.snapshotBytesMax;
  if (text.length * 3 <= bytesMax) return;
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) throw new SessionError("snapshot_too_large", { source, bytes, bytesMax });
}

function parseText(text: string, refuse: Refuse): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The engine's own message names no reliable place.
  }
  guardForm(text, refuse);
  return refuse("line 1, column 1", "it is not JSON");
}

/** JSON without a name that stands twice, not nested without end; if not, where. */
function guardForm(text: string, refuse: Refuse): void {
  try {
    checkJson(text, { depthMax });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    refuse(`line ${error.place.line}, column ${error.place.column}`, error.message, error);
  }
}

/** The document in the format of today. @throws SessionError `snapshot_newer` */
function currentDocument(parsed: unknown, source: string, refuse: Refuse): Fields {
  let document = objectOf(parsed, "the document", refuse);
  for (;;) {
    const { format } = document;
    if (format === snapshotFormat) return document;
    const convert = typeof format === "string" ? converters.get(format) : undefined;
    if (convert === undefined) {
      if (typeof format === "string" && /^perdure\.session\/\d{1,9}$/.test(format))
        throw new SessionError("snapshot_newer", { source, found: format, known: snapshotFormat });
      refuse("format", `is ${formatValue(format)}; expected ${snapshotFormat}`);
    }
    document = convert(document);
  }
}

const recordFields = [
  "id",
  "agent",
  "user",
  "state",
  "stateSince",
  "createdAt",
  "lastActivityAt",
  "ttlMs",
  "maxAgeMs",
  "maxAgeFrom",
  "floor",
  "openTurn",
  "counters",
  "metadata",
] as const satisfies readonly (keyof PortableRecord)[];

const optionalFields = ["budget", "inherited", "hold"] as const satisfies readonly (keyof PortableRecord)[];

function recordOf(value: unknown, limits: Limits, refuse: Refuse): PortableRecord {
  const given = objectOf(value, "session", refuse);
  const names = [...recordFields, ...optionalFields.filter((name) => Object.hasOwn(given, name))];
  const fields = fieldsOf(value, "session", names, refuse);
  const instant = (name: string): number => instantOf(fields[name], `session.${name}`, refuse);
  const duration = (name: string): number =>
    wholeOf(fields[name], `session.${name}`, { least: 1, most: durationMaxMs, refuse });
  const seq = (name: string): number => wholeOf(fields[name], `session.${name}`, { least: 1, most: countMax, refuse });
  const state = sessionStates.find((one) => one === fields["state"]);
  return {
    id: idOf(fields["id"], "session.id", refuse),
    agent: idOf(fields["agent"], "session.agent", refuse),
    user: fields["user"] === null ? null : idOf(fields["user"], "session.user", refuse),
    state: state ?? refuse("session.state", `is ${formatValue(fields["state"])}; expected ${sessionStates.join(", ")}`),
    stateSince: instant("stateSince"),
    createdAt: instant("createdAt"),
    lastActivityAt: instant("lastActivityAt"),
    ttlMs: duration("ttlMs"),
    maxAgeMs: fields["maxAgeMs"] === null ? null : duration("maxAgeMs"),
    maxAgeFrom: instant("maxAgeFrom"),
    floor: fields["floor"] === null ? null : floorOf(fields["floor"], limits, refuse),
    openTurn: fields["openTurn"] === null ? null : seq("openTurn"),
    counters: countersOf(fields["counters"], refuse),
    metadata: metadataOf(fields["metadata"], limits, refuse),
    ...defined({
      budget: fields["budget"] === undefined ? undefined : budgetOf(fields["budget"], refuse),
      inherited: fields["inherited"] === undefined ? undefined : seq("inherited"),
      hold: fields["hold"] === undefined ? undefined : holdOf(fields["hold"], limits, refuse),
    }),
  };
}

function floorOf(value: unknown, limits: Limits, refuse: Refuse): StoredHandoff {
  const path = "session.floor";
  const { agent, lockedAt, expiresAt, note } = fieldsOf(
    value,
    path,
    ["agent", "lockedAt", "expiresAt", "note"],
    refuse,
  );
  const lengthMax = limits.noteLengthMax;
  return {
    agent: idOf(agent, `${path}.agent`, refuse),
    lockedAt: instantOf(lockedAt, `${path}.lockedAt`, refuse),
    expiresAt: instantOf(expiresAt, `${path}.expiresAt`, refuse),
    note: note === null ? null : textOfAtMost(note, `${path}.note`, { lengthMax, refuse }),
  };
}

function budgetOf(value: unknown, refuse: Refuse): Budget {
  return judged("session.budget", refuse, () => parseBudget(objectOf(value, "session.budget", refuse), "it"));
}

function holdOf(value: unknown, limits: Limits, refuse: Refuse): LegalHold {
  const path = "session.hold";
  const { reason, at } = fieldsOf(value, path, ["reason", "at"], refuse);
  const lengthMax = limits.noteLengthMax;
  return {
    reason: textOfAtMost(reason, `${path}.reason`, { lengthMax, refuse }),
    at: instantOf(at, `${path}.at`, refuse),
  };
}

function countersOf(value: unknown, refuse: Refuse): Counters {
  const names = Object.keys(noCounters);
  const fields = fieldsOf(value, "session.counters", names, refuse);
  const counted = names.map((name) => {
    const path = `session.counters.${name}`;
    const bounds = { most: counterMax, refuse };
    const isSpan = name === "durationMs" || name === "longestMs";
    return [name, isSpan ? spanOf(fields[name], path, bounds) : wholeOf(fields[name], path, { least: 0, ...bounds })];
  });
  return Object.fromEntries(counted);
}

function metadataOf(value: unknown, limits: Limits, refuse: Refuse): Metadata {
  const path = "session.metadata";
  const { text, value: metadata } = dataOf(value, path, refuse);
  guardBytes(text, path, { bytesMax: limits.metadataBytesMax, refuse });
  return objectOf(metadata, path, refuse) as Metadata;
}

function logsOf(value: unknown, limits: Limits, refuse: Refuse): ReadLogs {
  const logs = new Map<LogName, readonly ReadEntry[]>();
  for (const [name, entries] of Object.entries(objectOf(value, "logs", refuse))) {
    const path = `logs.${judged("logs", refuse, () => parseLogName(name))}`;
    if (!isContent(name)) refuse(path, "is a log that a store keeps for itself");
    if (!Array.isArray(entries) || entries.length === 0) refuse(path, "is no array of entries, or holds none");
    const read = (entries as readonly unknown[]).map((entry, index) =>
      entryOf(entry, index + 1, `${path}[${index}]`, { limits, refuse }),
    );
    guardKeys(read, path, refuse);
    logs.set(name, read);
  }
  return logs;
}

const entryFields = ["seq", "key", "at", "data"] as const;

function entryOf(
  fields: unknown,
  seq: number,
  path: string,
  { limits, refuse }: { limits: Limits; refuse: Refuse },
): ReadEntry {
  const { seq: found, key, at, data } = fieldsOf(fields, path, entryFields, refuse);
  if (found !== seq) refuse(`${path}.seq`, `is ${formatValue(found)}; expected ${seq}`);
  const { text, value } = dataOf(data, `${path}.data`, refuse);
  guardBytes(text, `${path}.data`, { bytesMax: limits.turnBytesMax, refuse });
  const entry = {
    seq,
    key: key === null ? null : idOf(key, `${path}.key`, refuse),
    at: instantOf(at, `${path}.at`, refuse),
    data: text,
  };
  return { entry, value };
}

function guardKeys(entries: readonly ReadEntry[], path: string, refuse: Refuse): void {
  const keys = new Set<string>();
  for (const { entry } of entries) {
    const { seq, key } = entry;
    if (key === null) continue;
    if (keys.has(key)) refuse(`${path}[${seq - 1}].key`, `${formatValue(key)} stands twice in the log`);
    keys.add(key);
  }
}

function guardBytes(text: string, path: string, { bytesMax, refuse }: { bytesMax: number; refuse: Refuse }): void {
  // A UTF-16 unit is at most three bytes of UTF-8: short texts need no count.
  if (text.length * 3 <= bytesMax) return;
  const bytes = Buffer.byteLength(text);
  if (bytes > bytesMax) refuse(path, `has ${bytes} bytes, the limit is ${bytesMax}`);
}

/** The value that this JSON stands for, and the text that the codec makes of it. */
function dataOf(data: unknown, path: string, refuse: Refuse): { readonly text: string; readonly value: unknown } {
  return judged(path, refuse, () => {
    const text = textWithin(data);
    if (!text.includes('$type"') && !mayBeDeep(text)) return { text, value: data };
    const value = decode(text);
    if (encode(value) === text) return { text, value };
    throw new TypeError("has a $type that does not fit its value");
  });
}

/** @throws TypeError where the value is too deep even for JSON */
function textWithin(data: unknown): string {
  try {
    return JSON.stringify(data);
  } catch (error) {
    throw new TypeError("is nested too deep", { cause: error });
  }
}

/** True where there are more brackets than a value may have levels. */
function mayBeDeep(text: string): boolean {
  // Every level closes what it opens. Looking for the next one is many times faster than looking at each character.
  if (text.length <= 2 * levelsMax) return false;
  let opened = 0;
  for (const bracket of ["[", "{"]) {
    for (let at = text.indexOf(bracket); at >= 0 && opened <= levelsMax; at = text.indexOf(bracket, at + 1)) opened++;
  }
  return opened > levelsMax;
}
