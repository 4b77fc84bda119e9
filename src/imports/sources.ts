/** The files of an import: files, the conversations in folders and zip archives, and standard input. */
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { SessionError } from "../errors.ts";
import { isMissingFile, unpacked } from "../files/bytes.ts";
import { asUtf8, guardText, isZip } from "./encodings.ts";

/** A file, an entry of an archive, or standard input. */
export interface ImportSource {
  readonly name: string;
  /** Its bytes on disk, before they are unpacked; undefined for standard input. */
  readonly size: number | undefined;
  /**
   * Its text in UTF-8; `onRead` is called with the length of each piece on disk.
   * @throws SessionError `snapshot_invalid` where it is damaged or cannot be read
   */
  readonly bytes: (onRead: (length: number) => void) => AsyncIterable<Uint8Array>;
  /** Why it has no bytes. */
  readonly error?: SessionError;
}

/** Deeper folders are not read. */
const depthMax = 16;
/** The most files of one folder or archive. */
const filesMax = 100_000;
/** An archive that unpacks to more than this many times its size is no export. */
const ratioMax = 500;

/**
 * The sources of the paths, in their order. One that cannot be read has its error, and the others are read. An archive stands for its `conversations*.json`, as ChatGPT and Claude export them,
 * or else for all its files of JSON; a folder for those, and for the files that are neither beside nor below them. `-` is
 * `stdin`, if it is given.
 * @throws SessionError `argument_invalid` for a path that does not exist, or with nothing to read
 */
export async function sourcesOf(
  paths: readonly string[],
  stdin?: AsyncIterable<Uint8Array>,
): Promise<readonly ImportSource[]> {
  const sources: ImportSource[] = [];
  for (const path of paths) {
    if (path !== "-" || stdin === undefined) sources.push(...(await sourcesAt(path)));
    else sources.push({ name: path, size: undefined, bytes: (onRead) => textOf(stdin, path, onRead) });
  }
  return sources;
}

async function sourcesAt(path: string): Promise<readonly ImportSource[]> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) return await sourcesIn(path);
    if (found.isFile() && (await isZip(path))) return await entriesIn(path);
    return [fileSource(path, found.isFile() ? found.size : undefined)];
  } catch (cause) {
    if (isMissingFile((cause as NodeJS.ErrnoException).code ?? ""))
      throw new SessionError("argument_invalid", { name: path, expected: "existing_file" }, { cause });
    return [brokenSource(path, unreadable(path, cause))];
  }
}

function brokenSource(name: string, error: SessionError): ImportSource {
  // eslint-disable-next-line @typescript-eslint/require-await, require-yield -- its only step is the error
  const bytes = async function* (): AsyncGenerator<never, void, undefined> {
    throw error;
  };
  return { name, size: 0, bytes, error };
}

/** The error of the file system as that of the source. @throws another error, as it is */
function unreadable(source: string, cause: unknown): SessionError {
  if ((cause as NodeJS.ErrnoException).syscall === undefined) throw cause;
  return new SessionError("snapshot_invalid", { source, expected: "readable_file" }, { cause });
}

function fileSource(path: string, size: number | undefined): ImportSource {
  return {
    name: path,
    size,
    bytes: (onRead) => textOf(createReadStream(path, { highWaterMark: 128 * 1024 }), path, onRead),
  };
}

/** The text of a stream, unpacked if it is gzip. */
async function* textOf(
  stream: AsyncIterable<Uint8Array>,
  name: string,
  onRead: (length: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const counted = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    const chunks = stream[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await chunks.next().catch((error: unknown) => {
          throw error instanceof SessionError ? error : unreadable(name, error);
        });
        if (done === true) return;
        onRead(value.length);
        yield value;
      }
    } finally {
      await chunks.return?.();
    }
  };
  yield* guardText(asUtf8(unpacked(counted(), name), name), name);
}

const isConversations = (name: string): boolean => /^conversations.*\.json(?:\.gz)?$/i.test(basename(name));
const isOfJson = (name: string): boolean => /\.(?:json|jsonl|ndjson)(?:\.gz)?$/i.test(name);

/** True for a hidden file, and for what macOS writes beside the files of an archive. */
const isHidden = (name: string): boolean => name.split("/").some((part) => part.startsWith(".") || part === "__MACOSX");

/** The files, but for those beside and below the conversations of an export: they are about its account. */
function outsideExports<Named extends { readonly name: string }>(all: readonly Named[]): readonly Named[] {
  const folders = new Set(all.flatMap(({ name }) => (isConversations(name) ? [dirname(name)] : [])));
  const isBeside = (name: string): boolean => {
    for (let folder = dirname(name); ; folder = dirname(folder)) {
      if (folders.has(folder)) return true;
      if (folder === dirname(folder)) return false;
    }
  };
  return all.filter(({ name }) => isConversations(name) || !isBeside(name));
}

/** @throws SessionError `argument_invalid` for none */
function guardSome(path: string, files: readonly unknown[]): void {
  if (files.length === 0) throw new SessionError("argument_invalid", { name: path, expected: "files_of_json" });
}

async function sourcesIn(folder: string): Promise<readonly ImportSource[]> {
  const found: { readonly name: string; readonly size: number }[] = [];
  const broken: ImportSource[] = [];
  const refuse = (source: string, expected: "depth" | "fewer_files", max: number): void => {
    broken.push(brokenSource(source, new SessionError("snapshot_invalid", { source, expected, max })));
  };
  const add = async (name: string): Promise<void> => {
    const { size } = await stat(name);
    if (found.length < filesMax) found.push({ name, size });
    else if (broken.length === 0) refuse(folder, "fewer_files", filesMax);
  };
  const walk = async (path: string, depth: number): Promise<void> => {
    if (depth > depthMax) {
      refuse(path, "depth", depthMax);
      return;
    }
    for (const entry of (await readdir(path, { withFileTypes: true })).toSorted(byName)) {
      if (entry.name.startsWith(".")) continue;
      const name = join(path, entry.name);
      const isFile = (entry.isFile() || entry.isSymbolicLink()) && isOfJson(name);
      if (!isFile && !entry.isDirectory()) continue;
      try {
        await (isFile ? add(name) : walk(name, depth + 1));
      } catch (error) {
        broken.push(brokenSource(name, unreadable(name, error)));
      }
    }
  };
  await walk(folder, 0);
  const files = outsideExports(found);
  guardSome(folder, [...files, ...broken]);
  return [...files.map(({ name, size }) => fileSource(name, size)), ...broken];
}

function byName(one: { readonly name: string }, other: { readonly name: string }): number {
  return one.name < other.name ? -1 : 1;
}

async function entriesIn(path: string): Promise<readonly ImportSource[]> {
  const { openPromise } = await import("yauzl");
  const damaged = (cause: unknown): SessionError =>
    new SessionError("snapshot_invalid", { source: path, expected: "zip" }, { cause });
  const archive = async () =>
    await openPromise(path, { autoClose: false }).catch((error: unknown) => {
      throw damaged(error);
    });
  // An archive may have two entries of one name.
  const list: { name: string; size: number; unpackedSize: number; number: number }[] = [];
  const refused: SessionError[] = [];
  try {
    const listed = await archive();
    try {
      for await (const { fileName: name, compressedSize: size, uncompressedSize: unpackedSize } of listed.eachEntry())
        if (list.length < filesMax) list.push({ name, size, unpackedSize, number: list.length });
        else
          refused[0] ??= new SessionError("snapshot_invalid", { source: path, expected: "fewer_files", max: filesMax });
    } finally {
      listed.close();
    }
  } catch (error) {
    // The entries before the damage are read.
    refused.push(error instanceof SessionError ? error : damaged(error));
  }
  const ofJson = list.filter(({ name }) => isOfJson(name) && !isHidden(name)).toSorted(byName);
  const exported = ofJson.filter(({ name }) => isConversations(name));
  const files = exported.length > 0 ? exported : ofJson;
  guardSome(path, [...files, ...refused]);
  const sources = files.map(({ name, size, unpackedSize, number }): ImportSource => {
    const source = `${path}:${name}`;
    if (unpackedSize > ratioMax * Math.max(size, 1024))
      return brokenSource(
        source,
        new SessionError("snapshot_invalid", { source, expected: "gzip_ratio", max: ratioMax }),
      );
    return {
      name: source,
      size,
      bytes: async function* (onRead) {
        const zip = await archive();
        try {
          let at = 0;
          for await (const entry of zip.eachEntry()) {
            if (at++ !== number) continue;
            const open = async (): Promise<AsyncIterable<Uint8Array>> => await zip.openReadStreamPromise(entry);
            // Changed words are found before the first of them is read.
            if (await hasOtherSum(await open(), entry.crc32)) throw damaged(new Error("wrong checksum"));
            yield* textOf(unbroken(await open(), damaged), source, () => undefined);
            onRead(size);
            return;
          }
        } catch (error) {
          throw error instanceof SessionError ? error : damaged(error);
        } finally {
          zip.close();
        }
      },
    };
  });
  return [...sources, ...refused.map((error) => brokenSource(path, error))];
}

/** True for bytes with another checksum. An entry that cannot be unpacked is read up to its damage. */
async function hasOtherSum(stream: AsyncIterable<Uint8Array>, expected: number): Promise<boolean> {
  let sum = 0;
  try {
    for await (const bytes of stream) sum = crc32(bytes, sum);
  } catch {
    return false;
  }
  return sum !== expected;
}

/** The bytes of an entry. Its errors are those of the archive: the file itself could be opened. */
async function* unbroken(
  stream: AsyncIterable<Uint8Array>,
  damaged: (cause: unknown) => SessionError,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* stream;
  } catch (error) {
    throw damaged(error);
  }
}
