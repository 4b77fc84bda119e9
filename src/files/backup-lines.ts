/**
 * A whole store as lines of JSON: the first names the format, then one for each session and each internal record, one for
 * each document, and the last has their number and a hash of all lines before it. A line is read and written in pieces, so a session of any
 * size has one.
 */
import { createHash, type Hash } from "node:crypto";
import type { StoredDocument } from "../domain/documents/document.ts";
import { isContentScope, isReferenceScope } from "../domain/attachments/attachment.ts";
import type { SessionKey } from "../domain/record/entry.ts";
import type { SessionRecord } from "../domain/record/record.ts";
import { tenantOfScope } from "../domain/values/internal-scope.ts";
import { defined } from "../domain/values/defined.ts";
import type { Limits } from "../domain/values/limits.ts";
import { hasCode, SessionError } from "../errors.ts";
import { kindOfRecord, type RecordKinds } from "../domain/attachments/record-kinds.ts";
import { checkedContent, errorOfContent } from "../sessions/attachments/carried.ts";
import { objectOf } from "../sessions/attachments/objects.ts";
import { contentKey } from "../sessions/attachments/records.ts";
import type { Core } from "../sessions/core/core.ts";
import { endsPass, typedFailure } from "../sessions/core/pass-failures.ts";
import { checksumOf, type SessionSource } from "../sessions/snapshots/session-source.ts";
import { readChunks, readSnapshot, textOf, type ReadSnapshot } from "../sessions/snapshots/snapshot-reader.ts";
import { entryText, SnapshotWriter } from "../sessions/snapshots/snapshot-text.ts";
import { documentPages } from "../sessions/transfer/copied-documents.ts";
import { eachSession, type FoundSession, type TransferQuery } from "../sessions/transfer/exporting.ts";
import { storedSession } from "../sessions/transfer/stored-session.ts";
import type { ByteRange, RangedFile } from "./bytes.ts";
import { documentsOf, type SourceDocument } from "./documents.ts";
import type { Mismatch } from "../errors/expectations.ts";
import { clip, formatNames, formatValue } from "../domain/values/format-value.ts";

const format = "perdure.backup/1";

/** Contents of a backup. */
export interface LinesContent {
  readonly sessions: number;
  readonly entries: number;
  /** Absent without documents. */
  readonly documents?: number;
}

/** What was written into a backup. */
export interface WrittenLines extends LinesContent {
  readonly kinds: RecordKinds;
}

/** A piece of the text of a backup, and the number of sessions that are complete with it. */
export interface BackupPiece {
  readonly text: string;
  readonly sessions: number;
}

/**
 * All sessions and internal records of a store, which does not change meanwhile. `live`: the store as it goes on. What it removed of the
 * attachment store is left out.
 * @throws SessionError `store_invalid` for a session that cannot be read, without `onSkipped`
 */
export async function* backupPieces(
  core: Core,
  live?: Core,
  onSkipped?: (session: SessionKey, error: SessionError) => void,
): AsyncGenerator<BackupPiece, WrittenLines, undefined> {
  const { now } = await core.store.instances([]);
  const hash = createHash("sha256");
  let sessions = 0;
  let entries = 0;
  const kinds = { sessions: 0, attachments: 0, others: 0 };
  const hashed = (text: string): BackupPiece => {
    hash.update(text);
    return { text, sessions };
  };
  yield hashed(`{"format":"${format}","at":${now}}\n`);
  const query = { now, tenant: undefined };
  for await (const found of live === undefined ? wholeSessions(core, query) : sessionsAndObjects(core, live, query)) {
    if ("error" in found) {
      const error = errorOfContent(found.key, found.error);
      if (onSkipped === undefined) throw error;
      onSkipped(found.key, error);
    } else {
      const { source } = found;
      const writer = new SnapshotWriter(source.record);
      yield hashed(`{"tenant":${JSON.stringify(found.key.tenant)},"snapshot":${writer.beginning}`);
      for await (const { log, entry } of source.entries()) {
        yield hashed(writer.entry(log, entryText(entry)));
        entries++;
      }
      sessions++;
      kinds[kindOfRecord(found.key.tenant)]++;
      yield hashed(`${writer.end().ending}}\n`);
    }
  }
  let documents = 0;
  for await (const page of documentPages(core))
    for (const document of page) {
      yield hashed(`{"document":${JSON.stringify(document)}}\n`);
      documents++;
    }
  const content = { sessions, entries, ...defined({ documents: documents === 0 ? undefined : documents }) };
  yield { text: `${JSON.stringify({ ...content, checksum: `sha256:${hash.digest("hex")}` })}\n`, sessions };
  return { ...content, kinds };
}

async function* wholeSessions(
  core: Core,
  query: TransferQuery,
  chosen?: (record: SessionRecord) => boolean,
): AsyncGenerator<FoundSession, void, undefined> {
  const page = chosen && ((records: readonly SessionRecord[]) => Promise.resolve(records.filter(chosen)));
  for await (const found of eachSession(core, query, page)) yield await whole(found);
}

async function whole(found: FoundSession): Promise<FoundSession> {
  const error = "error" in found ? undefined : await damageOf(found);
  return error === undefined ? found : { key: found.key, error };
}

/**
 * Each content that is an object follows its first reference: without its bytes it is left out, and so are all references to it. Those
 * to one content follow each other. A content without a reference is left out.
 */
async function* sessionsAndObjects(
  core: Core,
  live: Core,
  query: TransferQuery,
): AsyncGenerator<FoundSession, void, undefined> {
  const isOther = (record: SessionRecord): boolean => !isContentScope(record.tenant) || objectOf(record) === undefined;
  let key: SessionKey | undefined;
  let isLeftOut = false;
  for await (const found of wholeSessions(core, query, isOther)) {
    const next = isReferenceScope(found.key.tenant) ? contentOf(found.key) : undefined;
    if (next === undefined || (next.tenant === key?.tenant && next.id === key.id)) {
      if (next === undefined || !isLeftOut) yield found;
      continue;
    }
    key = next;
    const content = await objectContent(core, key);
    isLeftOut = content !== undefined && "error" in content;
    if (!isLeftOut) yield found;
    if (content !== undefined && (!isLeftOut || (await live.find(key)) !== undefined)) yield content;
  }
}

/** The content that a reference leads to. */
function contentOf({ tenant, id }: SessionKey): SessionKey {
  return contentKey(tenantOfScope(tenant), id.slice(0, id.indexOf(".")));
}

/** Undefined for a content that is no object. Its bytes are compared with its hash. @throws SessionError `attachment_store_failed` */
async function objectContent(core: Core, key: SessionKey): Promise<FoundSession | undefined> {
  const record = (await core.find(key))?.record;
  if (record === undefined || objectOf(record) === undefined) return undefined;
  try {
    const source = checkedContent(await storedSession(core, key), tenantOfScope(key.tenant));
    const error = await damageOf({ key, source: { ...source, inMemory: undefined } });
    if (error !== undefined) throw error;
    return { key, source };
  } catch (error) {
    if (hasCode(error, "store_invalid")) return { key, error };
    throw error;
  }
}

/** The error of a large session that cannot be read to its end: it is found before any of the session is written. */
async function damageOf({
  key,
  source,
}: {
  readonly key: SessionKey;
  readonly source: SessionSource;
}): Promise<SessionError | undefined> {
  if (source.inMemory !== undefined) return undefined;
  try {
    await checksumOf(source);
    return undefined;
  } catch (error) {
    if (endsPass(error)) throw error;
    return typedFailure(key, error);
  }
}

/** A session of a backup, or the error of a line, which `key` names. */
export type BackupSession = { readonly key: SessionKey } & (
  | { readonly source: ReadSnapshot }
  | { readonly error: SessionError }
);

/** How to read a backup. */
export interface BackupReading {
  readonly file: string;
  readonly limits: Limits;
  /** Report a damaged line, and continue with the next. @default the first one ends the reading */
  readonly skipDamaged?: boolean | undefined;
  /** Takes each document. @default documents are only checked */
  readonly onDocument?: ((document: StoredDocument) => Promise<void>) | undefined;
}

/** A longer line is read in chunks, again for each pass. Of a packed file that costs more, so the limit is that of a snapshot. */
const lineBytesMax = 16 * 1024 * 1024;

/**
 * The sessions of a backup, each checked; the last line shows whether the backup is complete.
 * @throws SessionError `snapshot_invalid`, `snapshot_newer`, `snapshot_too_large`
 */
export async function* backupSessions(
  lines: RangedFile,
  { file, limits, skipDamaged = false, onDocument }: BackupReading,
): AsyncGenerator<BackupSession, LinesContent, undefined> {
  const { snapshotBytesMax } = limits;
  const bytesMax = lines.isPacked ? snapshotBytesMax : Math.min(snapshotBytesMax, lineBytesMax);
  const reading = new LineReading(lines, { limits, skipDamaged });
  let damaged = 0;
  const failed = (source: string, error: unknown): BackupSession => {
    if (!skipDamaged || !isOfTheLine(error)) throw error;
    damaged++;
    return { key: { tenant: "", id: source }, error };
  };
  let line = 0;
  let isEnded = false;
  try {
    for await (const document of documentsOf(lines.bytes(), { file, bytesMax })) {
      line++;
      const { source } = document;
      try {
        if (isEnded) throw invalid(source, { expected: "last_line" });
        const read = await reading.read(document, line);
        if (read === "end") isEnded = true;
        else if (typeof read === "object" && "document" in read) await onDocument?.(read.document);
        else if (read !== "format") yield read;
      } catch (error) {
        // The last line does not agree with damaged ones.
        if (error instanceof EndMismatch) {
          isEnded = true;
          if (damaged === 0 || !skipDamaged) yield failed(source, error.error);
        } else yield failed(source, error);
      }
    }
    if (!isEnded) throw invalid(file, { expected: "complete" });
  } catch (error) {
    yield failed(file, error);
  }
  return reading.found;
}

/** True for errors of the contents, not of the disk. */
function isOfTheLine(error: unknown): error is SessionError {
  return error instanceof SessionError && (error.code === "snapshot_invalid" || error.code === "snapshot_too_large");
}

/** The last line does not agree with the lines before it. */
class EndMismatch extends Error {
  readonly error: SessionError;

  constructor(error: SessionError) {
    super(error.message);
    this.error = error;
  }
}

/** Reads the lines of a backup, one after the other. */
class LineReading {
  readonly #lines: RangedFile;
  readonly #limits: Limits;
  readonly #skipDamaged: boolean;
  readonly #hash = createHash("sha256");
  readonly found: { sessions: number; entries: number; documents?: number } = { sessions: 0, entries: 0 };

  constructor(lines: RangedFile, { limits, skipDamaged }: Required<Pick<BackupReading, "limits" | "skipDamaged">>) {
    this.#lines = lines;
    this.#limits = limits;
    this.#skipDamaged = skipDamaged === true;
  }

  /** @throws SessionError `snapshot_invalid`, `snapshot_newer`; EndMismatch */
  async read(
    document: SourceDocument,
    line: number,
  ): Promise<BackupSession | { readonly document: StoredDocument } | "format" | "end"> {
    const { source } = document;
    if ("range" in document) {
      for await (const chunk of this.#lines.bytes(document.range)) this.#hash.update(chunk);
      this.#hash.update("\n");
      return this.#counted(await sessionInRange(this.#lines, document.range, { source, limits: this.#limits }));
    }
    const before = this.#hash.copy();
    this.#hash.update(document.bytes).update("\n");
    const text = textOf(document.bytes, source);
    const isSession = text.startsWith('{"tenant":');
    // A damaged backup may have lost its first line.
    if (line === 1 && !(isSession && this.#skipDamaged)) {
      guardFormat(text, source);
      return "format";
    }
    if (isSession) return this.#counted(await sessionOf(text, { source, limits: this.#limits }));
    const end = fieldsOf(text, source);
    if (Object.hasOwn(end, "document")) {
      const document = storedDocument(end["document"], source);
      this.found.documents = (this.found.documents ?? 0) + 1;
      return { document };
    }
    if (!Object.hasOwn(end, "checksum")) throw invalid(source, { value: "another line", expected: "backup_session" });
    const wrong = mismatch(end, { source, found: this.found, hash: before });
    if (wrong !== undefined) throw new EndMismatch(wrong);
    return "end";
  }

  #counted(session: { readonly key: SessionKey; readonly source: ReadSnapshot }): BackupSession {
    this.found.sessions++;
    this.found.entries += session.source.entryCount;
    return session;
  }
}

function invalid(source: string, mismatch: Mismatch & { readonly path?: string }, cause?: unknown): SessionError {
  return new SessionError("snapshot_invalid", { source, ...mismatch }, { cause });
}

function fieldsOf(text: string, source: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw invalid(source, { expected: "json" }, error);
  }
  throw invalid(source, { value: "another value", expected: "object" });
}

/** @throws SessionError `snapshot_invalid` */
function storedDocument(found: unknown, source: string): StoredDocument {
  const { tenant, scope, key, version, user, createdAt, updatedAt, expiresAt, data } = Object(found) as Record<
    string,
    unknown
  >;
  const isText = (value: unknown): value is string => typeof value === "string";
  const isWhole = (value: unknown): value is number => Number.isSafeInteger(value);
  const isWholeDocument =
    isText(tenant) &&
    isText(scope) &&
    isText(key) &&
    isWhole(version) &&
    (user === null || isText(user)) &&
    isWhole(createdAt) &&
    isWhole(updatedAt) &&
    (expiresAt === null || isWhole(expiresAt)) &&
    isText(data);
  if (!isWholeDocument) throw invalid(source, { path: "document", value: "another value", expected: "object" });
  return { tenant, scope, key, version, user, createdAt, updatedAt, expiresAt, data };
}

function guardFormat(text: string, source: string): void {
  const fields = fieldsOf(text, source);
  const { format: found } = fields;
  if (found === format) return;
  if (found === undefined)
    throw invalid(source, { value: formatNames(Object.keys(fields)), expected: "known_format", known: [format] });
  if (typeof found === "string" && /^perdure\.backup\/\d{1,9}$/.test(found)) {
    throw new SessionError("snapshot_newer", { source, found, known: format });
  }
  throw invalid(source, { path: "format", value: formatValue(found), expected: "one_of", known: [format] });
}

/** The tenant may be an internal scope, so it is not checked as an id. */
const opening = /^\{"tenant":("(?:[^"\\]|\\.){0,2000}"),"snapshot":/;
/** The bytes in which {@link opening} ends. */
const openingBytes = 16 * 1024;

interface LineContext {
  readonly source: string;
  readonly limits: Limits;
}

async function sessionOf(text: string, context: LineContext): Promise<{ key: SessionKey; source: ReadSnapshot }> {
  const { tenant, length } = openingOf(text, context.source);
  if (!text.endsWith("}")) throw invalid(context.source, { value: "another line", expected: "backup_session" });
  const read = await readSnapshot(text.slice(length, -1), context);
  return { key: { tenant, id: read.record.id }, source: read };
}

/** @throws SessionError `snapshot_invalid` */
function openingOf(text: string, source: string): { readonly tenant: string; readonly length: number } {
  const [before = "", tenant] = opening.exec(text) ?? [];
  if (tenant === undefined) throw invalid(source, { value: "another line", expected: "backup_session" });
  try {
    return { tenant: JSON.parse(tenant) as string, length: before.length };
  } catch (error) {
    throw invalid(source, { path: "tenant", value: clip(tenant, 60), expected: "text" }, error);
  }
}

/** The session in a line that is larger than what is in memory. */
async function sessionInRange(
  lines: RangedFile,
  { start, end }: ByteRange,
  context: LineContext,
): Promise<{ key: SessionKey; source: ReadSnapshot }> {
  let head = Buffer.alloc(0);
  for await (const chunk of lines.bytes({ start, end: Math.min(end, start + openingBytes) }))
    head = Buffer.concat([head, chunk]);
  const { tenant, length } = openingOf(head.toString("utf8"), context.source);
  const opened = Buffer.byteLength(head.toString("utf8").slice(0, length));
  // The last byte is the brace that closes the line.
  const snapshot = { start: start + opened, end: end - 1 };
  const read = await readChunks(() => textIn(lines.bytes(snapshot), context.source), context);
  return { key: { tenant, id: read.record.id }, source: read };
}

/** The text of bytes, in chunks. @throws SessionError `snapshot_invalid` where it is not UTF-8 */
async function* textIn(bytes: AsyncIterable<Uint8Array>, source: string): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  try {
    for await (const chunk of bytes) yield decoder.decode(chunk, { stream: true });
    yield decoder.decode();
  } catch (error) {
    if (error instanceof TypeError) throw invalid(source, { expected: "utf8" }, error);
    throw error;
  }
}

/** The first field of the last line that differs from the lines before it; undefined if they agree. */
function mismatch(
  end: Readonly<Record<string, unknown>>,
  { source, found, hash }: { source: string; found: LinesContent; hash: Hash },
): SessionError | undefined {
  const checksum = `sha256:${hash.digest("hex")}`;
  const counted: readonly (readonly [string, unknown])[] = Object.entries({ ...found, checksum });
  const [path, value] = counted.find(([name, one]) => end[name] !== one) ?? [];
  if (path === undefined) return undefined;
  return invalid(source, { path, value: formatValue(end[path]), expected: "one_of", known: [String(value)] });
}
