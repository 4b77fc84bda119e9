import { open, readdir, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { defined } from "../domain/values/defined.ts";
import { parseId } from "../domain/values/ids.ts";
import type { Page, PageQuery } from "../domain/values/pages.ts";
import type { Limits } from "../domain/values/limits.ts";
import { SessionError } from "../errors.ts";
import { withStoreErrors, removeDurably, writeDurably } from "./durable-file.ts";
import { fileNameOf } from "./file-name.ts";
import { parseLimit } from "../sessions/options/arguments.ts";
import type { Sessions } from "../sessions/sessions.ts";
import type { SessionSnapshot } from "../sessions/snapshots/snapshot-text.ts";

/** A snapshot in a folder. */
export interface SavedSnapshot {
  /** Id of the session. */
  readonly id: string;
  readonly file: string;
  readonly bytes: number;
  readonly savedAt: Date;
}

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
   * Saves a session as it is now, replacing its earlier snapshot.
   * @throws SessionError `session_not_found`, `snapshot_too_large`, `store_full`, `store_read_only`,
   *   `store_unavailable`
   */
  async save(id: string): Promise<SavedSnapshot> {
    const snapshot = await this.#sessions.snapshot(id);
    const file = this.#fileOf(id);
    const { snapshotChunks } = await import("../sessions/snapshots/snapshot-reader.ts");
    await writeDurably(file, async (handle) => {
      for (const chunk of snapshotChunks(snapshot)) await handle.writeFile(chunk);
      await handle.writeFile("\n");
    });
    return await savedSnapshot(id, file);
  }

  /**
   * Loads a snapshot, for `sessions.restore`.
   * @throws SessionError `snapshot_not_found`, `snapshot_invalid`, `snapshot_newer`, `snapshot_too_large`
   */
  async load(id: string): Promise<SessionSnapshot> {
    const file = this.#fileOf(id);
    try {
      return await loadSnapshot(file, this.#sessions.limits);
    } catch (error) {
      throw isMissing(error) ? this.#notFound(id, error) : error;
    }
  }

  /** One page of the snapshots, by id. Other files in the folder are skipped. @throws SessionError `argument_invalid` */
  async list({ limit = 100, after }: PageQuery = {}): Promise<Page<SavedSnapshot>> {
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
        const id = await withStoreErrors(file, () => idIn(file));
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
 * @throws SessionError `snapshot_invalid`, `snapshot_newer`, `snapshot_too_large`, `store_unavailable` if the file does
 *   not exist
 */
export async function loadSnapshot(file: string, limits: Limits): Promise<SessionSnapshot> {
  const bytesMax = limits.snapshotBytesMax;
  return await withStoreErrors(file, async () => {
    await using handle = await open(file);
    const { size } = await handle.stat();
    // Checked before reading, as the file may exceed the memory.
    if (size > bytesMax) throw new SessionError("snapshot_too_large", { source: file, bytes: size, bytesMax });
    const { readSnapshot } = await import("../sessions/snapshots/snapshot-reader.ts");
    const { snapshotOf } = await import("../sessions/snapshots/session-source.ts");
    return await snapshotOf(await readSnapshot(await handle.readFile(), { source: file, limits }));
  });
}

async function savedSnapshot(id: string, file: string): Promise<SavedSnapshot> {
  const { size, mtime } = await stat(file);
  return { id, file, bytes: size, savedAt: mtime };
}

/** Reads only the id at the beginning of a snapshot, so that a list need not read whole files. */
async function idIn(file: string): Promise<string | undefined> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(2048) });
  const [, id] = beginning.exec(buffer.toString("utf8", 0, bytesRead)) ?? [];
  return id === undefined ? undefined : (JSON.parse(id) as string);
}

const beginning =
  // oxlint-disable-next-line no-control-regex -- control characters are what a JSON text may not hold
  /^\s*\{\s*"format"\s*:\s*"perdure\.session\/\d+"\s*,\s*"session"\s*:\s*\{\s*"id"\s*:\s*("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")/;

function isMissing(error: unknown): boolean {
  const codes = [error, (error as Error).cause].map((one) => (one as NodeJS.ErrnoException | undefined)?.code);
  return codes.includes("ENOENT");
}
