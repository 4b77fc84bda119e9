import { backup, DatabaseSync } from "node:sqlite";
import { attachmentScopes, markerScope, objectScope } from "../../domain/attachments/attachment.ts";
import type { RecordKinds } from "../../domain/attachments/record-kinds.ts";
import { internalScope } from "../../domain/values/internal-scope.ts";
import { hasCode, SessionError } from "../../errors.ts";
import { makeForOwner, openToRead } from "./connection/database-file.ts";
import { applicationId } from "./schema/schema.ts";
import { sessionErrorOf } from "./connection/sqlite-error.ts";

/** The contents of a backup. */
export interface BackupContent {
  readonly sessions: number;
  readonly entries: number;
  readonly kinds: RecordKinds;
}

/** What was copied. */
export interface CopiedContent extends BackupContent {
  /** Bytes of attachments are in an attachment store, or on their way to or from it. */
  readonly hasObjects: boolean;
}

/** The pages that are copied before the event loop gets a turn. */
const pagesAtOnce = 1000;

/**
 * Copies the database in `file`, as it is at this moment, to `copy` while others write, and checks that the copy is whole and
 * has the contents of the original. The copy is one file without a log. Errors call it by `target`, its final name.
 * @throws SessionError `store_invalid`, `store_full` and the others of opening a file
 */
export async function backupSqlite(
  file: string,
  { copy, target }: { readonly copy: string; readonly target: string },
  onProgress: (done: { readonly pages: number; readonly total: number }) => void,
): Promise<CopiedContent> {
  let source: DatabaseSync | undefined;
  try {
    source = openToRead(file);
    source.exec("pragma busy_timeout = 5000");
    // An open transaction keeps one snapshot. Without it, every write of another connection would restart the copy.
    source.exec("begin");
    const content = contentOf(source, file);
    const hasObjects = namesObjects(source);
    try {
      makeForOwner(copy);
      await backup(source, copy, {
        rate: pagesAtOnce,
        progress: ({ totalPages, remainingPages }) =>
          onProgress({ pages: totalPages - remainingPages, total: totalPages }),
      });
      source.exec("commit");
      guardCopy(copy, { file, content });
    } catch (error) {
      throw ofTarget(error, target) ?? error;
    }
    return { ...content, hasObjects };
  } catch (error) {
    throw sessionErrorOf(error, file);
  } finally {
    source?.close();
  }
}

/** The original is only read, so a full or read-only disk is that of the copy. */
function ofTarget(error: unknown, target: string): SessionError | undefined {
  const found = sessionErrorOf(error, target);
  return hasCode(found, "store_full") || hasCode(found, "store_read_only") ? found : undefined;
}

/** Records of contents name an object in the place of a user, and objects on their way have records. */
function namesObjects(database: DatabaseSync): boolean {
  const { contents } = attachmentScopes("");
  const found = database
    .prepare(
      `select 1 from sessions
       where (substr(tenant, -length(?1)) = ?1 and user is not null) or substr(tenant, -length(?2)) = ?2 or tenant = ?3
       limit 1`,
    )
    .get(contents, objectScope(""), markerScope);
  return found !== undefined;
}

/** The contents of a copy that a store wrote to, which becomes one file again. */
export function closedContent(copy: string): BackupContent {
  const database = new DatabaseSync(copy);
  try {
    database.exec("pragma journal_mode = delete");
    return contentOf(database, copy);
  } finally {
    database.close();
  }
}

interface Counts {
  readonly sessions: number;
  readonly attachments: number;
  readonly internal: number;
  readonly entries: number;
}

/** @throws SessionError `store_invalid` if it is not a store of Perdure */
function contentOf(database: DatabaseSync, file: string): BackupContent {
  const { application_id: id } = database.prepare("pragma application_id").get() as { application_id: number };
  if (id !== applicationId) {
    throw new SessionError("store_invalid", { store: file, problem: "no_sessions" });
  }
  const counts = database.prepare(
    `select count(*) as sessions, coalesce(sum(substr(tenant, -length(?1)) = ?1), 0) as attachments,
       coalesce(sum(instr(tenant, ?2) > 0), 0) as internal, (select count(*) from entries) as entries
     from sessions`,
  );
  const { contents } = attachmentScopes("");
  const found = counts.get(contents, internalScope("", "")) as unknown as Counts;
  const { sessions, entries, attachments, internal } = found;
  const kinds = { sessions: sessions - internal, attachments, others: internal - attachments };
  return { sessions, entries, kinds };
}

/** @throws SessionError `store_invalid`, which names the original: the copy is deleted */
function guardCopy(copy: string, { file, content }: { readonly file: string; readonly content: BackupContent }): void {
  const { sessions, entries } = content;
  const database = new DatabaseSync(copy);
  try {
    database.exec("pragma journal_mode = delete");
    const checked = database.prepare("pragma integrity_check(1)").get() as { integrity_check: string };
    const found = contentOf(database, copy);
    deleteNews(database);
    if (checked.integrity_check === "ok" && found.sessions === sessions && found.entries === entries) return;
    const details = { store: file, problem: "copy_differs", found: found.sessions, known: sessions } as const;
    throw new SessionError("store_invalid", details, { reported: checked.integrity_check });
  } finally {
    database.close();
  }
}

/** Readers of the original must not continue in the copy, whose next news are others. */
function deleteNews(database: DatabaseSync): void {
  const hasNews = database.prepare("select 1 from sqlite_schema where name = 'news_subscriptions'").get() !== undefined;
  if (hasNews) database.exec("delete from news; delete from news_subscriptions");
}
