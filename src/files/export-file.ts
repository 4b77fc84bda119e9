import { hash } from "node:crypto";
import { open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { makeFolder, withFileErrors, syncFolder, writeDurably } from "./durable-file.ts";
import { guardTarget } from "./target-file.ts";

/** Progress of an export. */
export interface ExportPosition {
  /** Id of the last session written; undefined before the first. */
  readonly after: string | undefined;
  readonly sessions: number;
  readonly turns: number;
}

/** Stored beside an unfinished file: what is exported, and how many bytes are complete. */
interface Checkpoint extends ExportPosition {
  readonly of: string;
  readonly bytes: number;
}

/** The file is synced and the checkpoint advanced after this many bytes. */
const checkpointBytes = 16 * 1024 * 1024;

/**
 * An export file that is written in chunks and renamed when it is complete. After a kill or a full disk, the same
 * export continues from its last checkpoint.
 */
export class ExportFile implements AsyncDisposable {
  readonly file: string;
  readonly #part: FileHandle;
  readonly #of: string;
  #position: ExportPosition;
  #bytes: number;
  #kept: number;

  private constructor(file: string, part: FileHandle, { of, bytes, ...position }: Checkpoint) {
    this.file = file;
    this.#part = part;
    this.#of = of;
    this.#position = position;
    this.#bytes = bytes;
    this.#kept = bytes;
  }

  /**
   * `what` identifies the export: an unfinished file of another export is started again. `store` is the file of the
   * source.
   * @throws SessionError `argument_invalid` for a file that contains a store, `store_full`, `store_read_only`,
   *   `store_unavailable`
   */
  static async open(path: string, what: string, store?: string): Promise<ExportFile> {
    const file = resolve(path);
    guardTarget(file, store);
    // Hashed, as the URL of a store may contain a password.
    const of = hash("sha256", what);
    return await withFileErrors(file, async () => {
      await makeFolder(dirname(file));
      const nothing: Checkpoint = { of, bytes: 0, after: undefined, sessions: 0, turns: 0 };
      const checkpoint = (await readCheckpoint(file, of)) ?? nothing;
      const part = await open(partOf(file), checkpoint.bytes === 0 ? "w" : "r+", 0o600);
      try {
        await part.truncate(checkpoint.bytes);
        return new ExportFile(file, part, checkpoint);
      } catch (error) {
        await part.close();
        throw error;
      }
    });
  }

  /** The position after which the export continues. */
  get position(): ExportPosition {
    return this.#position;
  }

  /** @throws SessionError `store_full`, `store_read_only`, `store_unavailable` */
  async write(bytes: Uint8Array, position: ExportPosition): Promise<true> {
    await withFileErrors(this.file, async () => {
      for (let written = 0; written < bytes.length;) {
        const rest = bytes.subarray(written);
        written += (await this.#part.write(rest, 0, rest.length, this.#bytes + written)).bytesWritten;
      }
    });
    this.#bytes += bytes.length;
    this.#position = position;
    if (this.#bytes - this.#kept >= checkpointBytes) await this.keep();
    return true;
  }

  /** Syncs the file and advances the checkpoint. */
  async keep(): Promise<void> {
    await withFileErrors(this.file, () => this.#part.sync());
    const checkpoint: Checkpoint = { of: this.#of, bytes: this.#bytes, ...this.#position };
    await writeDurably(checkpointOf(this.file), (handle) => handle.writeFile(JSON.stringify(checkpoint)));
    this.#kept = this.#bytes;
  }

  /** Renames the complete file. */
  async finish(): Promise<void> {
    await withFileErrors(this.file, async () => {
      await this.#part.sync();
      await this.#part.close();
      await rename(partOf(this.file), this.file);
      await rm(checkpointOf(this.file), { force: true });
      await syncFolder(dirname(this.file));
    });
  }

  /** Keeps an unfinished file, so that the export can continue. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#part.close();
  }
}

const pack = promisify(gzip);

/** Packs a chunk as a gzip member of its own: concatenated members are a valid gzip file. */
export async function packedPiece(bytes: Uint8Array): Promise<Uint8Array> {
  return await pack(bytes);
}

/** Minimum size of a chunk that is written. */
const pieceBytes = 1024 * 1024;

/** Collects texts as bytes in one reused buffer: write the result before adding more. */
export class Piece {
  #place = Buffer.allocUnsafeSlow(2 * pieceBytes);
  #length = 0;

  /** Returns true once the chunk is worth writing. */
  add(text: string): boolean {
    const most = text.length * 3 < pieceBytes ? text.length * 3 : Buffer.byteLength(text);
    if (this.#length + most > this.#place.length) {
      const larger = Buffer.allocUnsafeSlow(this.#length + most);
      this.#place.copy(larger, 0, 0, this.#length);
      this.#place = larger;
    }
    this.#length += this.#place.write(text, this.#length);
    return this.#length >= pieceBytes;
  }

  /** Returns the collected bytes and starts the next chunk. */
  take(): Uint8Array {
    const bytes = this.#place.subarray(0, this.#length);
    this.#length = 0;
    return bytes;
  }
}

function partOf(file: string): string {
  return join(dirname(file), `.${basename(file)}.part`);
}

function checkpointOf(file: string): string {
  return join(dirname(file), `.${basename(file)}.checkpoint`);
}

async function readCheckpoint(file: string, of: string): Promise<Checkpoint | undefined> {
  try {
    const checkpoint = JSON.parse(await readFile(checkpointOf(file), "utf8")) as Checkpoint;
    await using part = await open(partOf(file));
    const isWhole = (await part.stat()).size >= checkpoint.bytes;
    return isWhole && checkpoint.of === of ? checkpoint : undefined;
  } catch {
    // No usable checkpoint: the export starts again.
    return undefined;
  }
}
