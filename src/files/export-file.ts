import { hash } from "node:crypto";
import { open, readFile, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { makeFolder, withStoreErrors, syncFolder, writeDurably } from "./durable-file.ts";
import { guardTarget } from "./target-file.ts";

/** How far an export has come. */
export interface ExportPosition {
  /** The id of the last session that is written; undefined before the first. */
  readonly after: string | undefined;
  readonly sessions: number;
  readonly turns: number;
}

/** What is kept beside a file that is not finished: what it is of, and how much of it is whole. */
interface Checkpoint extends ExportPosition {
  readonly of: string;
  readonly bytes: number;
}

/** The disk is told to keep what was written, and the checkpoint moved on, after so many bytes. */
const checkpointBytes = 16 * 1024 * 1024;

/**
 * A file that is written piece by piece and gets its name when it is whole. One that was broken off, by a kill or a full
 * disk, goes on where it was last whole when the same export is run again.
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
   * `what` says what is exported: a file that was begun for something else is begun anew. `store` is the file it comes from.
   * @throws SessionError `argument_invalid` for a file that a store is in, `store_full`, `store_read_only`, `store_unavailable`
   */
  static async open(path: string, what: string, store?: string): Promise<ExportFile> {
    const file = resolve(path);
    guardTarget(file, store);
    // It may name a store with its password.
    const of = hash("sha256", what);
    return await withStoreErrors(file, async () => {
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

  /** How far it is; what comes next goes behind it. */
  get position(): ExportPosition {
    return this.#position;
  }

  /** @throws SessionError `store_full`, `store_read_only`, `store_unavailable` */
  async write(bytes: Uint8Array, position: ExportPosition): Promise<true> {
    await withStoreErrors(this.file, async () => {
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

  /** From here on a kill costs nothing of what was written. */
  async keep(): Promise<void> {
    await withStoreErrors(this.file, () => this.#part.sync());
    const checkpoint: Checkpoint = { of: this.#of, bytes: this.#bytes, ...this.#position };
    await writeDurably(checkpointOf(this.file), (handle) => handle.writeFile(JSON.stringify(checkpoint)));
    this.#kept = this.#bytes;
  }

  /** It is whole: it gets its name. */
  async finish(): Promise<void> {
    await withStoreErrors(this.file, async () => {
      await this.#part.sync();
      await this.#part.close();
      await rename(partOf(this.file), this.file);
      await rm(checkpointOf(this.file), { force: true });
      await syncFolder(dirname(this.file));
    });
  }

  /** One that is not finished stays as it is, to go on another time. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#part.close();
  }
}

const pack = promisify(gzip);

/** A piece of a file, packed as a whole of its own: pieces one after another are a file that gzip unpacks. */
export async function packedPiece(bytes: Uint8Array): Promise<Uint8Array> {
  return await pack(bytes);
}

/** A piece is worth writing from so many bytes on. */
const pieceBytes = 1024 * 1024;

/** Texts as bytes, gathered in one place that is used again and again: what is written must be written before the next one. */
export class Piece {
  #place = Buffer.allocUnsafeSlow(2 * pieceBytes);
  #length = 0;

  /** True where it is worth writing. */
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

  /** What was gathered; the next one begins. */
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
    // There is none, or none that is of use: the export begins anew.
    return undefined;
  }
}
