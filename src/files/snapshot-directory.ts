import { open, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { defined } from "../domain/values/defined.ts";
import { parseId } from "../domain/values/ids.ts";
import { pageNames, type Page, type PageQuery } from "../domain/values/pages.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import { withInputErrors } from "./bytes.ts";
import { withFileErrors, removeDurably, writeDurably } from "./durable-file.ts";
import { fileNameOf } from "./file-name.ts";
import { parseLimit, parseOneOf } from "../sessions/options/arguments.ts";
import { coreOf, type Sessions } from "../sessions/sessions.ts";
import type { SessionSnapshot } from "../sessions/snapshots/snapshot-text.ts";

/** A snapshot in a folder. */
export interface SavedSnapshot {
  /** Id of the session. */
  readonly id: string;
  readonly file: string;
  readonly bytes: number;
  /** The time in the file; that of the file itself if an earlier version of Perdure has written it. */
  readonly savedAt: Date;
}

/** Options of `save`. */
export interface SaveOptions {
  /**
   * `perdure`: the whole session. `plain`: `{session_id, state, saved_at}` with agent, user, title, labels, metadata and
   * messages.
   * @default "perdure"
   */
  readonly format?: "perdure" | "plain";
}

const saveNames: OptionNames<SaveOptions> = { format: true };

const ending = ".json";

/**
 * Snapshots of a tenant's sessions as files in a folder, the newest of each session. A file is written completely or
 * not at all. Tenants other than `default` have folders of their own in it.
 */
export class SnapshotDirectory {
  readonly folder: string;
  readonly #sessions: Sessions;

  /** The folder is created at the first save. */
  constructor(folder: string, sessions: Sessions) {
    const { tenant } = sessions;
    this.folder = tenant === "default" ? resolve(folder) : resolve(folder, fileNameOf(tenant));
    this.#sessions = sessions;
  }

  /**
   * Saves a session as it is now, with the time, replacing its earlier snapshot.
   * @throws SessionError `session_not_found`, `snapshot_too_large`, `store_full`, `store_read_only`,
   *   `store_unavailable`
   */
  async save(id: string, options: SaveOptions = {}): Promise<SavedSnapshot> {
    guardNames(options, "options", saveNames);
    const format = parseOneOf(options.format ?? "perdure", "format", ["perdure", "plain"]);
    const snapshot = await this.#sessions.snapshot(id);
    const file = this.#fileOf(id);
    const savedAt = coreOf(this.#sessions).now();
    await writeDurably(file, async (handle) => {
      for await (const chunk of textOf(snapshot, { format, savedAt })) await handle.writeFile(chunk);
    });
    return await savedSnapshot(id, file);
  }

  /**
   * Loads a snapshot, for `sessions.restore`.
   * @throws SessionError `snapshot_not_found`, `snapshot_invalid`, `snapshot_newer`, `snapshot_too_large`,
   *   `argument_invalid` for a file that cannot be read
   */
  async load(id: string): Promise<SessionSnapshot> {
    const file = this.#fileOf(id);
    try {
      return await loadSnapshot(file, this.#sessions);
    } catch (error) {
      throw isMissing(error) ? this.#notFound(id, error) : error;
    }
  }

  /** One page of the snapshots, by id. Other files in the folder are skipped. @throws SessionError `argument_invalid` */
  async list(page: PageQuery = {}): Promise<Page<SavedSnapshot>> {
    guardNames(page, "page", pageNames);
    const { limit = 100, after } = page;
    const pageSize = parseLimit(limit, this.#sessions.limits.pageMax);
    const saved = (await this.#all()).filter(({ id }) => after === undefined || id > after);
    const items = saved.slice(0, pageSize);
    return defined({ items, next: saved.length > pageSize ? items.at(-1)?.id : undefined });
  }

  /** All snapshots, by id. */
  async *each(): AsyncGenerator<SavedSnapshot, void, undefined> {
    yield* await this.#all();
  }

  async #all(): Promise<SavedSnapshot[]> {
    const saved: SavedSnapshot[] = [];
    for (const name of await this.#names()) {
      const file = join(this.folder, name);
      try {
        const id = await withFileErrors(file, () => idIn(file));
        if (id !== undefined && name === fileNameOf(id) + ending) saved.push(await savedSnapshot(id, file));
      } catch (error) {
        if (!isMissing(error)) throw error; // else it was deleted meanwhile
      }
    }
    return saved.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /**
   * Deletes the snapshot of a session.
   * @throws SessionError `snapshot_not_found`, `store_read_only`
   */
  async delete(id: string): Promise<void> {
    if (!(await removeDurably(this.#fileOf(id)))) throw this.#notFound(id);
  }

  #fileOf(id: string): string {
    return join(this.folder, fileNameOf(parseId(id, "sessionId")) + ending);
  }

  async #names(): Promise<string[]> {
    try {
      return (await readdir(this.folder)).filter((name) => name.endsWith(ending) && !name.startsWith("."));
    } catch (error) {
      if (isMissing(error)) return []; // no snapshot was saved yet
      throw error;
    }
  }

  #notFound(sessionId: string, cause?: unknown): SessionError {
    return new SessionError("snapshot_not_found", { sessionId, folder: this.folder }, { cause });
  }
}

/**
 * Loads a snapshot file, and checks that it is complete and unaltered.
 * @throws SessionError `snapshot_invalid`, `snapshot_newer`, `snapshot_too_large`, `argument_invalid` if the file does
 *   not exist or cannot be read
 */
export async function loadSnapshot(file: string, sessions: Sessions): Promise<SessionSnapshot> {
  const { limits } = sessions;
  const bytesMax = limits.snapshotBytesMax;
  return await withInputErrors(file, async () => {
    await using handle = await open(file);
    const { size } = await handle.stat();
    // Checked before reading, as the file may exceed the memory.
    if (size > bytesMax) throw new SessionError("snapshot_too_large", { source: file, bytes: size, bytesMax });
    const bytes = await handle.readFile();
    const { readSnapshot, textOf: decoded } = await import("../sessions/snapshots/snapshot-reader.ts");
    const { snapshotOf, sourceOf } = await import("../sessions/snapshots/session-source.ts");
    const { isPlain, readPlain } = await import("./plain-snapshot.ts");
    if (!isPlain(bytes.toString("utf8", 0, 200)))
      return await snapshotOf(await readSnapshot(bytes, { source: file, limits }));
    const core = coreOf(sessions);
    await core.learnTime();
    return await snapshotOf(sourceOf(readPlain(decoded(bytes, file), { source: file, core })));
  });
}

/** The chunks of a file. */
async function* textOf(
  snapshot: SessionSnapshot,
  { format, savedAt }: { readonly format: NonNullable<SaveOptions["format"]>; readonly savedAt: number },
): AsyncGenerator<string, void, undefined> {
  if (format === "plain") {
    const { plainText } = await import("./plain-snapshot.ts");
    yield plainText(snapshot, savedAt);
    return;
  }
  const { snapshotChunks } = await import("../sessions/snapshots/snapshot-reader.ts");
  yield* snapshotChunks({ ...snapshot, savedAt });
  yield "\n";
}

/** Reads only the end of the file, where the time is. */
async function savedSnapshot(id: string, file: string): Promise<SavedSnapshot> {
  await using handle = await open(file);
  const { size, mtime } = await handle.stat();
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(256), position: Math.max(0, size - 256) });
  const end = buffer.toString("utf8", 0, bytesRead);
  const [, stated] = /"savedAt"\s*:\s*(\d{1,15})\s*\}\s*$/.exec(end) ?? [];
  const { savedAtIn } = await import("./plain-snapshot.ts");
  const savedAt = stated === undefined ? savedAtIn(end) : Number(stated);
  return { id, file, bytes: size, savedAt: savedAt === undefined ? mtime : new Date(savedAt) };
}

/** Reads only the id at the beginning of a snapshot, so that a list need not read whole files. */
async function idIn(file: string): Promise<string | undefined> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(2048) });
  const [, id] = beginning.exec(buffer.toString("utf8", 0, bytesRead)) ?? [];
  return id === undefined ? undefined : (JSON.parse(id) as string);
}

const text = String.raw`("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")`;
const beginning = new RegExp(
  String.raw`^\s*\{\s*(?:"format"\s*:\s*"perdure\.session/\d+"\s*,\s*"session"\s*:\s*\{\s*"id"|"session_id")\s*:\s*${text}`,
);

function isMissing(error: unknown): boolean {
  const codes = [error, (error as Error).cause].map((one) => (one as NodeJS.ErrnoException | undefined)?.code);
  return codes.includes("ENOENT");
}
