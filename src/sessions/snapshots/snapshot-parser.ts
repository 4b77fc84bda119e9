/**
 * Parses and checks a snapshot as its text arrives in chunks, and yields the entries of its logs. What depends on the whole
 * document, such as its counters and its checksum, is checked at the end.
 */
import { attachmentsLog } from "../../domain/attachments/attachment.ts";
import { isContent } from "../../domain/copies/archive.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import { nativeBytes, type Message, type TurnData } from "../../domain/turns/turn.ts";
import { encode } from "../../domain/values/codec.ts";
import { isBranchLog, isMemoryLog, isNamedLog, type Entry } from "../../domain/record/entry.ts";
import { formatNames, formatValue } from "../../domain/values/format-value.ts";
import { isReserved } from "../../domain/writes/named-logs.ts";
import { parseLogName } from "../../domain/values/ids.ts";
import type { Limits } from "../../domain/values/limits.ts";
import { SessionError } from "../../errors.ts";
import { JsonError } from "./located-json.ts";
import { ContentGuard } from "./snapshot-content.ts";
import { fieldsOf, idOf, instantOf, judged, objectOf, refusalOf, type Refuse } from "./snapshot-fields.ts";
import type { LoggedEntry } from "./session-source.ts";
import { dataOf, guardBytes, levelsMax } from "./snapshot-data.ts";
import { recordOf } from "./snapshot-header.ts";
import { checkPart, SnapshotSplitter, type SnapshotValue } from "./snapshot-splitter.ts";
import { entryText, snapshotFormat, SnapshotWriter } from "./snapshot-text.ts";

/** The environment of the parser. */
export interface SnapshotContext {
  /** The name of the document in errors: a file, a line of one. */
  readonly source: string;
  readonly limits: Limits;
}

/** The depth of a value with what surrounds it in a snapshot. */
const depthMax = levelsMax + 8;

const documentFields = ["format", "session", "logs", "checksum"];

export class SnapshotParser {
  readonly #limits: Limits;
  readonly #refuse: Refuse;
  readonly #source: string;
  readonly #splitter = new SnapshotSplitter();
  readonly #members = new Map<string, unknown>();
  readonly #named = new Set<string>();
  readonly #content: ContentGuard;
  #record: PortableRecord | undefined;
  /** Makes the checksum, as long as the members come in the order in which they are written. */
  #writer: SnapshotWriter | undefined;
  #isOrdered = true;
  #log: { readonly name: string; readonly keys: Set<string> } | undefined;

  constructor({ source, limits }: SnapshotContext) {
    this.#source = source;
    this.#limits = limits;
    this.#refuse = refusalOf(source);
    this.#content = new ContentGuard({ limits, refuse: this.#refuse });
  }

  /** The entries that end in this chunk. @throws SessionError `snapshot_invalid`, `snapshot_newer` */
  *take(chunk: string): Generator<LoggedEntry, void, undefined> {
    yield* this.#entriesOf(this.#splitter.take(chunk));
  }

  /**
   * The end of the text. `stated` is the checksum in the document, `checksum` that of its content; undefined where the header came
   * after the logs, or the logs in another order, so that only the whole content tells.
   * @throws SessionError as {@link take}
   */
  finish(): { readonly record: PortableRecord; readonly stated: string; readonly checksum: string | undefined } {
    // No entry ends here: the document would not be complete.
    for (const _ of this.#entriesOf(this.#splitter.end()));
    const refuse = this.#refuse;
    if (!this.#members.has("format")) {
      const value = formatNames([...this.#members.keys()]);
      refuse("", { value, expected: "known_format", known: [snapshotFormat] });
    }
    const names = this.#members.has("savedAt") ? [...documentFields, "savedAt"] : documentFields;
    const { checksum: stated, savedAt } = fieldsOf(Object.fromEntries(this.#members), "", names, refuse);
    if (savedAt !== undefined) instantOf(savedAt, "savedAt", refuse);
    const record = this.#record ?? refuse("session", { expected: "object" });
    this.#content.guardHeader(record);
    const checksum = this.#isOrdered ? (this.#writer ?? new SnapshotWriter(record)).end().checksum : undefined;
    if (checksum !== undefined) guardChecksum(stated, checksum, refuse);
    return { record, stated: String(stated), checksum };
  }

  *#entriesOf(values: Generator<SnapshotValue, void, undefined>): Generator<LoggedEntry, void, undefined> {
    try {
      for (const value of values) {
        const entry = this.#taken(value);
        if (entry !== undefined) yield entry;
      }
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      this.#refuse({ line: error.place.line, column: error.place.column }, {}, error);
    }
  }

  #taken(value: SnapshotValue): LoggedEntry | undefined {
    const { kind, name } = value;
    switch (kind) {
      case "document":
        objectOf(this.#parsed(value), "", this.#refuse);
        return undefined;
      case "member":
        this.#member(value);
        return undefined;
      case "logs":
        this.#members.set(name, {});
        return undefined;
      case "log":
      case "end":
        if (kind === "log" || value.index === 0)
          this.#refuse(this.#pathOf(name), { value: kind === "log" ? "another value" : "[]", expected: "entries" });
        return undefined;
      case "entry":
        return { log: name, entry: this.#entry(value) };
    }
  }

  #member(value: SnapshotValue): void {
    const { name, text, place } = value;
    const parsed = this.#parsed(value);
    this.#members.set(name, parsed);
    if (name === "format") this.#guardFormat(parsed);
    if (name === "logs") objectOf(parsed, name, this.#refuse);
    if (name !== "session") return;
    this.#record = recordOf(parsed, this.#limits, this.#refuse);
    this.#writer = new SnapshotWriter(this.#record);
    if (this.#members.has("logs")) this.#isOrdered = false;
    // Other spacing or another order has the same meaning; a name that occurs twice has two.
    if (text !== encode(this.#record, "session")) checkPart(text, place, depthMax - 1);
  }

  #guardFormat(format: unknown): void {
    if (format === snapshotFormat) return;
    if (typeof format === "string" && /^perdure\.session\/\d{1,9}$/.test(format))
      throw new SessionError("snapshot_newer", { source: this.#source, found: format, known: snapshotFormat });
    this.#refuse("format", { value: formatValue(format), expected: "one_of", known: [snapshotFormat] });
  }

  /** @throws JsonError */
  #parsed({ text, place }: SnapshotValue): unknown {
    try {
      return JSON.parse(text);
    } catch {
      // The message of the engine names no reliable place; the check below does.
    }
    checkPart(text, place, depthMax);
    throw new JsonError(place, "not JSON");
  }

  #pathOf(name: string): string {
    if (name === attachmentsLog) return `logs.${name}`;
    const isOwn = isBranchLog(name) || isMemoryLog(name);
    const path = `logs.${isOwn ? name : judged("logs", this.#refuse, () => parseLogName(name))}`;
    if (!isContent(name)) this.#refuse(path, { value: formatValue(name), expected: "content_log" });
    if (isNamedLog(name)) this.#guardNamed(name, path);
    return path;
  }

  #guardNamed(name: string, path: string): void {
    if (isReserved(name)) this.#refuse(path, { value: formatValue(name), expected: "unreserved" });
    this.#named.add(name);
    const { size: length } = this.#named;
    const { logsMax: max } = this.#limits;
    if (length > max) this.#refuse("logs", { length, expected: "list", max });
  }

  #entry(value: SnapshotValue): Entry {
    const { name, index, text, place } = value;
    if (this.#log?.name !== name) {
      if (this.#log !== undefined && this.#log.name > name) this.#isOrdered = false;
      this.#pathOf(name);
      this.#log = { name, keys: new Set() };
    }
    const path = `logs.${name}[${index}]`;
    const { entry, data } = entryOf(this.#parsed(value), index + 1, path, {
      log: name,
      limits: this.#limits,
      refuse: this.#refuse,
    });
    const { key } = entry;
    if (key !== null) {
      if (this.#log.keys.has(key)) this.#refuse(`${path}.key`, { value: formatValue(key), expected: "unique" });
      this.#log.keys.add(key);
    }
    this.#content.add(name, entry, data);
    const canonical = entryText(entry);
    if (text !== canonical) checkPart(text, place, depthMax - 3);
    if (this.#isOrdered) this.#writer?.entry(name, canonical);
    return entry;
  }
}

/** Refuses the document where its checksum is not that of its content. */
export function guardChecksum(stated: unknown, found: string, refuse: Refuse): void {
  if (stated !== found) refuse("checksum", { value: formatValue(stated), expected: "one_of", known: [found] });
}

const entryFields = ["seq", "key", "at", "data"] as const;

function entryOf(
  fields: unknown,
  seq: number,
  path: string,
  { log, limits, refuse }: { log: string; limits: Limits; refuse: Refuse },
): { readonly entry: Entry; readonly data: unknown } {
  const { seq: found, key, at, data } = fieldsOf(fields, path, entryFields, refuse);
  if (found !== seq) refuse(`${path}.seq`, { value: formatValue(found), expected: "one_of", known: [String(seq)] });
  const { text, value } = dataOf(data, `${path}.data`, refuse);
  guardBytes(text, `${path}.data`, { bytesMax: entryBytesMax(log, { text, value }, limits), refuse });
  const entry = {
    seq,
    key: key === null ? null : idOf(key, `${path}.key`, refuse),
    at: instantOf(at, `${path}.at`, refuse),
    data: text,
  };
  return { entry, data: value };
}

/** The bytes that an entry of this log may have in a store. */
function entryBytesMax(
  log: string,
  { text, value }: { readonly text: string; readonly value: unknown },
  { turnBytesMax, ...limits }: Limits,
): number {
  if (isNamedLog(log) && log !== attachmentsLog) return limits.entryBytesMax;
  // A character has up to six bytes as JSON.
  if (log === "instructions") return 6 * limits.instructionsLengthMax + 2;
  if (log !== "turns" || text.length * 3 <= turnBytesMax) return turnBytesMax;
  const { input, output, resume } = Object(value) as Partial<TurnData>;
  const messages = [input, output].flatMap((list) => (Array.isArray(list) ? (list as readonly Message[]) : []));
  const native = nativeBytes(messages.filter((message) => typeof message === "object" && message !== null));
  // A turn that waits has its state, and the calls that did not run, beside the turn, and each turn has its native forms: each of
  // these has the limit of a turn.
  return (resume === undefined ? 1 : 3) * turnBytesMax + Math.min(native, turnBytesMax);
}
