/**
 * A whole store as lines of JSON: the first names the format, then one for each session and each internal record, and
 * the last has their number and a hash of all lines before it.
 */
import { createHash, type Hash } from "node:crypto";
import type { SessionKey } from "../domain/record/entry.ts";
import type { Limits } from "../domain/values/limits.ts";
import { SessionError } from "../errors.ts";
import type { Core } from "../sessions/core/core.ts";
import { portableSessions } from "../sessions/transfer/exporting.ts";
import { readSnapshot, textOf, type ReadSnapshot } from "../sessions/transfer/snapshot-reader.ts";
import { snapshotText } from "../sessions/transfer/snapshot-text.ts";
import { documentsOf } from "./documents.ts";

const format = "perdure.backup/1";

/** Contents of a backup. */
export interface LinesContent {
  readonly sessions: number;
  readonly entries: number;
}

/**
 * All sessions and internal records of a store. A session that cannot be read fails the backup.
 * @throws SessionError `store_invalid`, `snapshot_too_large` for a session that cannot be read, without `onSkipped`
 */
export async function* backupLines(
  core: Core,
  onSkipped?: (session: SessionKey, error: SessionError) => void,
): AsyncGenerator<string, LinesContent, undefined> {
  const { now } = await core.store.instances([]);
  const hash = createHash("sha256");
  const hashed = (line: string): string => {
    hash.update(line);
    return line;
  };
  let sessions = 0;
  let entries = 0;
  yield hashed(`{"format":"${format}","at":${now}}\n`);
  for await (const found of portableSessions(core, { now, tenant: undefined })) {
    if ("error" in found) {
      if (onSkipped === undefined) throw found.error;
      onSkipped({ tenant: found.record.tenant, id: found.record.id }, found.error);
      continue;
    }
    const { record, portable } = found;
    yield hashed(`{"tenant":${JSON.stringify(record.tenant)},"snapshot":${snapshotText(portable).text}}\n`);
    sessions++;
    for (const log of portable.logs.values()) entries += log.length;
  }
  yield `{"sessions":${sessions},"entries":${entries},"checksum":"sha256:${hash.digest("hex")}"}\n`;
  return { sessions, entries };
}

/** A session of a backup. */
export interface BackupSession {
  readonly key: SessionKey;
  readonly portable: ReadSnapshot;
}

/**
 * The sessions of a backup, each checked; the last line shows whether the backup is complete.
 * @throws SessionError `snapshot_invalid`, `snapshot_newer`, `snapshot_too_large`
 */
export async function* backupSessions(
  stream: AsyncIterable<Uint8Array>,
  { file, limits }: { readonly file: string; readonly limits: Limits },
): AsyncGenerator<BackupSession, LinesContent, undefined> {
  const hash = createHash("sha256");
  const found = { sessions: 0, entries: 0 };
  let line = 0;
  let end: Readonly<Record<string, unknown>> | undefined;
  for await (const document of documentsOf(stream, { file, bytesMax: limits.snapshotBytesMax + 2048 })) {
    line++;
    if ("error" in document) throw document.error;
    const { source, bytes } = document;
    if (end !== undefined) throw invalid(source, "the line", "follows upon what should be the last line");
    const text = textOf(bytes, source);
    if (line === 1) guardFormat(text, source);
    else if (text.startsWith('{"tenant":')) {
      const session = sessionOf(text, source, limits);
      found.sessions++;
      for (const log of session.portable.logs.values()) found.entries += log.length;
      yield session;
    } else {
      end = fieldsOf(text, source);
      guardEnd(end, { source, found, hash });
    }
    hash.update(text).update("\n");
  }
  if (end === undefined) throw invalid(file, `line ${line + 1}`, "is missing: the backup is cut off");
  return found;
}

function invalid(source: string, path: string, reason: string, cause?: unknown): SessionError {
  return new SessionError("snapshot_invalid", { source, path, reason }, { cause });
}

function fieldsOf(text: string, source: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw invalid(source, "the line", "it is not JSON", error);
  }
  throw invalid(source, "the line", "it is no object");
}

function guardFormat(text: string, source: string): void {
  const { format: found } = fieldsOf(text, source);
  if (found === format) return;
  if (typeof found === "string" && /^perdure\.backup\/\d{1,9}$/.test(found)) {
    throw new SessionError("snapshot_newer", { source, found, known: format });
  }
  throw invalid(source, "format", `it is no backup: the first line does not say ${format}`);
}

/** The tenant may be an internal scope, so it is not checked as an id. */
const opening = /^\{"tenant":("(?:[^"\\]|\\.){0,2000}"),"snapshot":/;

function sessionOf(text: string, source: string, limits: Limits): BackupSession {
  const [before = "", tenant] = opening.exec(text) ?? [];
  if (tenant === undefined || !text.endsWith("}")) throw invalid(source, "the line", "is no session of a backup");
  const portable = readSnapshot(text.slice(before.length, -1), { source, limits });
  try {
    return { key: { tenant: JSON.parse(tenant) as string, id: portable.record.id }, portable };
  } catch (error) {
    throw invalid(source, "tenant", "is no text", error);
  }
}

function guardEnd(
  end: Readonly<Record<string, unknown>>,
  { source, found, hash }: { source: string; found: LinesContent; hash: Hash },
): void {
  const checksum = `sha256:${hash.copy().digest("hex")}`;
  const wrong = Object.entries({ ...found, checksum }).find(([name, value]) => end[name] !== value);
  if (wrong !== undefined) throw invalid(source, wrong[0], `is not ${wrong[1]}, which the lines before it come to`);
}
