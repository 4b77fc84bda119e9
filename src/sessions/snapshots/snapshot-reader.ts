/** Reads snapshots of any form: a text, bytes, an object, or chunks of a file. */
import type { Portable } from "../../domain/copies/snapshot.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import { SessionError } from "../../errors.ts";
import { Pauses } from "./pauses.ts";
import { sourceOf, type LoggedEntry, type SessionSource } from "./session-source.ts";
import { refusalOf, type Refuse } from "./snapshot-fields.ts";
import { guardChecksum, SnapshotParser, type SnapshotContext } from "./snapshot-parser.ts";
import { snapshotText, type SessionSnapshot } from "./snapshot-text.ts";

/** A snapshot that was read and found whole. */
export interface ReadSnapshot extends SessionSource {
  readonly checksum: string;
  /** The number of its entries, of all logs. */
  readonly entryCount: number;
}

/** How to read. */
export interface ReadOptions extends SnapshotContext {
  /** @default a turn of the event loop after some milliseconds of work */
  readonly pauses?: Pauses;
}

/** The chunks of a text. */
export type Chunks = Iterable<string> | AsyncIterable<string>;

const chunkLength = 128 * 1024;
/** The characters of the logs of a session that stay in memory. */
const keptMax = 1024 * 1024;

/**
 * Read a snapshot that is in memory. The event loop turns between chunks.
 * @throws SessionError `snapshot_invalid`, `snapshot_newer`, `snapshot_too_large`
 */
export async function readSnapshot(
  snapshot: SessionSnapshot | string | Uint8Array,
  options: ReadOptions,
): Promise<ReadSnapshot> {
  const refuse = refusalOf(options.source);
  if (typeof snapshot === "string") {
    guardSize(snapshot.length * 3, () => Buffer.byteLength(snapshot), options);
    return await readChunks(() => textChunks(snapshot), options);
  }
  if (snapshot instanceof Uint8Array) {
    guardSize(snapshot.length, () => snapshot.length, options);
    return await readChunks(() => byteChunks(snapshot, refuse), options);
  }
  return await readChunks(() => objectChunks(snapshot, options), options);
}

/**
 * Read a snapshot in two passes: this one checks it, and its entries are read again when they are wanted, unless they are few.
 * `chunks` begins with the first chunk at each call.
 * @throws SessionError as {@link readSnapshot}
 */
export async function readChunks(chunks: () => Chunks, options: ReadOptions): Promise<ReadSnapshot> {
  const first = await parsed(chunks(), options, keptMax);
  const { record, checksum, entryCount, kept } = first;
  if (checksum !== undefined && kept === undefined)
    return { record, checksum, entryCount, inMemory: undefined, entries: () => entriesIn(chunks, checksum, options) };
  // The checksum of a document whose parts come in another order needs all of them.
  const { stated, kept: logs = new Map() } = kept === undefined ? await parsed(chunks(), options, Infinity) : first;
  const portable: Portable = { record, logs };
  const found = checksum ?? snapshotText(portable).checksum;
  guardChecksum(stated, found, refusalOf(options.source));
  return { ...sourceOf(portable), checksum: found, entryCount };
}

interface Parsed extends ReturnType<SnapshotParser["finish"]> {
  /** The logs, where they are not more than was to be kept. */
  readonly kept: Portable["logs"] | undefined;
  readonly entryCount: number;
}

async function parsed(
  chunks: Chunks,
  { pauses = new Pauses(), ...context }: ReadOptions,
  max: number,
): Promise<Parsed> {
  const parser = new SnapshotParser(context);
  let kept: Map<LogName, Entry[]> | undefined = new Map();
  let [entryCount, length] = [0, 0];
  for await (const chunk of chunks) {
    for (const { log, entry } of parser.take(chunk)) {
      entryCount++;
      length += entry.data.length;
      if (length > max) kept = undefined;
      const entries = kept?.get(log);
      if (entries === undefined) kept?.set(log, [entry]);
      else entries.push(entry);
    }
    await pauses.after(chunk.length);
  }
  return { ...parser.finish(), kept, entryCount };
}

async function* entriesIn(
  chunks: () => Chunks,
  checksum: string,
  { pauses = new Pauses(), ...context }: ReadOptions,
): AsyncGenerator<LoggedEntry, void, undefined> {
  const parser = new SnapshotParser(context);
  for await (const chunk of chunks()) {
    yield* parser.take(chunk);
    await pauses.after(chunk.length);
  }
  // A file may have changed since it was checked.
  guardChecksum(parser.finish().checksum, checksum, refusalOf(context.source));
}

/** The text of a document. @throws SessionError `snapshot_invalid` where it is not UTF-8 */
export function textOf(bytes: Uint8Array, source: string): string {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  return decoded(decoder, bytes, { stream: false, refuse: refusalOf(source) });
}

function* textChunks(text: string): Generator<string, void, undefined> {
  for (let at = 0; at < text.length; at += chunkLength) yield text.slice(at, at + chunkLength);
}

function* byteChunks(bytes: Uint8Array, refuse: Refuse): Generator<string, void, undefined> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for (let at = 0; at <= bytes.length; at += chunkLength) {
    const stream = at + chunkLength <= bytes.length;
    yield decoded(decoder, bytes.subarray(at, at + chunkLength), { stream, refuse });
  }
}

function decoded(
  decoder: InstanceType<typeof TextDecoder>,
  bytes: Uint8Array,
  { stream, refuse }: { readonly stream: boolean; readonly refuse: Refuse },
): string {
  try {
    return decoder.decode(bytes, { stream });
  } catch (error) {
    return refuse("", { expected: "utf8" }, error);
  }
}

/** The JSON of an object, an entry at a time. */
function* objectChunks(snapshot: unknown, { source, limits }: SnapshotContext): Generator<string, void, undefined> {
  const refuse = refusalOf(source);
  let bytes = 0;
  try {
    for (const chunk of snapshotChunks(snapshot)) {
      bytes += Buffer.byteLength(chunk);
      guardSize(bytes, () => bytes, { source, limits });
      yield chunk;
    }
  } catch (error) {
    if (error instanceof SessionError) throw error;
    refuse("", { expected: "json" }, error);
  }
}

/** The JSON of a snapshot, in chunks of some length. */
export function* snapshotChunks(snapshot: unknown): Generator<string, void, undefined> {
  let chunk = "";
  for (const piece of jsonChunks(snapshot, 2)) {
    chunk += piece;
    if (chunk.length < chunkLength) continue;
    yield chunk;
    chunk = "";
  }
  yield chunk;
}

/** The text of `JSON.stringify`, in chunks: of an object the members, down to `levels` objects or arrays inside it. */
function* jsonChunks(value: unknown, levels: number): Generator<string, void, undefined> {
  const isPlain = typeof value === "object" && value !== null && !("toJSON" in value);
  if (!isPlain || levels < 0) {
    const text: string | undefined = JSON.stringify(value);
    yield text ?? "null"; // JSON has no undefined
    return;
  }
  let separator = "";
  if (Array.isArray(value)) {
    yield "[";
    for (const item of value) {
      yield separator;
      yield* jsonChunks(item, levels - 1);
      separator = ",";
    }
    yield "]";
    return;
  }
  yield "{";
  for (const [name, member] of Object.entries(value)) {
    if (member === undefined || typeof member === "function" || typeof member === "symbol") continue;
    yield `${separator}${JSON.stringify(name)}:`;
    yield* jsonChunks(member, levels - 1);
    separator = ",";
  }
  yield "}";
}

/** @throws SessionError `snapshot_too_large` */
function guardSize(most: number, count: () => number, { source, limits }: SnapshotContext): void {
  const bytesMax = limits.snapshotBytesMax;
  if (most <= bytesMax) return;
  const bytes = count();
  if (bytes > bytesMax) throw new SessionError("snapshot_too_large", { source, bytes, bytesMax });
}
