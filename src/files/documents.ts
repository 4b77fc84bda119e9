/** The JSON documents of a file: one per line, the items of one array, or the whole file as one. */
import { SessionError } from "../errors.ts";
import type { ByteRange } from "./bytes.ts";

/** A document, or the error that prevented reading it. */
export type SourceDocument =
  | { readonly source: string; readonly bytes: Buffer }
  /** `range` is the place of a document that exceeds the limit. */
  | { readonly source: string; readonly error: SessionError; readonly range: ByteRange };

/** @throws SessionError the errors of the stream */
export async function* documentsOf(
  stream: AsyncIterable<Uint8Array>,
  { file, bytesMax }: { readonly file: string; readonly bytesMax: number },
): AsyncGenerator<SourceDocument, void, undefined> {
  let splitter: Splitter | undefined;
  let count = 0;
  let markLength = 0;
  const named = (piece: Piece): SourceDocument => {
    count++;
    const source = `${file}:${splitter?.unit === "line" ? "" : "item "}${splitter?.unit === "line" ? piece.number : count}`;
    if ("bytes" in piece) return { source, bytes: piece.bytes };
    const { length, end } = piece;
    const error = new SessionError("snapshot_too_large", { source, bytes: length, bytesMax });
    return { source, error, range: { start: markLength + end - length, end: markLength + end } };
  };
  let head: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    let bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (splitter === undefined) {
      const marked = Buffer.concat([head, bytes]);
      bytes = head = withoutMark(marked);
      markLength += marked.length - head.length;
      splitter = splitterFor(head, bytesMax);
    }
    for (const piece of splitter?.take(bytes) ?? []) yield named(piece);
  }
  if (splitter === undefined) for (const piece of (splitter = new Lines(bytesMax)).take(head)) yield named(piece);
  for (const piece of splitter.end()) yield named(piece);
}

/** Some editors put a byte order mark in front of a file. */
function withoutMark(head: Buffer): Buffer {
  return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? head.subarray(3) : head;
}

/** A document, or the length of one that exceeded the limit, and where it ends in the stream. */
type Piece = { readonly number: number } & (
  | { readonly bytes: Buffer }
  | { readonly length: number; readonly end: number }
);

interface Splitter {
  readonly unit: "line" | "item";
  take(chunk: Buffer): Iterable<Piece>;
  end(): Iterable<Piece>;
}

const newline = 0x0a;
const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x09 || byte === newline || byte === 0x0d;

/** Chooses the splitter by the beginning of the file; undefined if more bytes are needed. */
function splitterFor(head: Buffer, bytesMax: number): Splitter | undefined {
  const [, opening, space = "", next] = /^\s*(\S)(\s*)(\S)?/.exec(head.toString("latin1", 0, 4096)) ?? [];
  if (opening === "[") return new Items(bytesMax);
  if (opening === undefined || next === undefined) return head.length < 4096 ? undefined : new Lines(bytesMax);
  // An opening brace alone on its line: one document laid out for people.
  return opening === "{" && space.includes("\n") ? new Whole(bytesMax) : new Lines(bytesMax);
}

/** Collects the bytes of one document, up to a limit. */
class Gathered {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #length = 0;
  /** The bytes of the stream so far. */
  #at = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Skips bytes that belong to no document. */
  skip(length: number): void {
    this.#at += length;
  }

  add(part: Buffer): void {
    this.#at += part.length;
    this.#length += part.length;
    if (this.#length > this.#bytesMax) this.#parts = [];
    else this.#parts.push(part);
  }

  /** Returns the collected bytes and starts again; undefined if there is only whitespace. */
  take(number: number): Piece | undefined {
    const [parts, length] = [this.#parts, this.#length];
    this.#parts = [];
    this.#length = 0;
    if (length > this.#bytesMax) return { number, length, end: this.#at };
    const [first] = parts;
    const bytes = parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
    return bytes.every(isSpace) ? undefined : { number, bytes };
  }
}

class Lines implements Splitter {
  readonly unit = "line";
  readonly #gathered: Gathered;
  #number = 1;

  constructor(bytesMax: number) {
    this.#gathered = new Gathered(bytesMax);
  }

  *take(chunk: Buffer): Iterable<Piece> {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      this.#gathered.add(chunk.subarray(start, end));
      const piece = this.#gathered.take(this.#number++);
      this.#gathered.skip(1);
      if (piece !== undefined) yield piece;
      start = end + 1;
    }
    this.#gathered.add(chunk.subarray(start));
  }

  *end(): Iterable<Piece> {
    const piece = this.#gathered.take(this.#number);
    if (piece !== undefined) yield piece;
  }
}

class Whole implements Splitter {
  readonly unit = "item";
  readonly #gathered: Gathered;

  constructor(bytesMax: number) {
    this.#gathered = new Gathered(bytesMax);
  }

  take(chunk: Buffer): Iterable<Piece> {
    this.#gathered.add(chunk);
    return [];
  }

  *end(): Iterable<Piece> {
    const piece = this.#gathered.take(1);
    if (piece !== undefined) yield piece;
  }
}

/** Splits an array into its items at its own commas: those outside of strings, objects and arrays. */
class Items implements Splitter {
  readonly unit = "item";
  readonly #gathered: Gathered;
  #number = 1;
  #depth = 0;
  #inText = false;
  #escaped = false;

  constructor(bytesMax: number) {
    this.#gathered = new Gathered(bytesMax);
  }

  *take(chunk: Buffer): Iterable<Piece> {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      if (!this.#cutsAt(chunk[at] ?? 0)) continue;
      this.#gathered.add(chunk.subarray(start, at));
      const piece = this.#gathered.take(this.#number++);
      this.#gathered.skip(1);
      if (piece !== undefined) yield piece;
      start = at + 1;
    }
    this.#gathered.add(chunk.subarray(start));
  }

  *end(): Iterable<Piece> {
    const piece = this.#gathered.take(this.#number);
    if (piece !== undefined) yield piece;
  }

  /** True for brackets and commas of the array itself. */
  #cutsAt(byte: number): boolean {
    if (this.#inText) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === 0x5c) this.#escaped = true;
      else if (byte === 0x22) this.#inText = false;
      return false;
    }
    switch (byte) {
      case 0x22: // "
        this.#inText = true;
        return false;
      case 0x5b: // [
      case 0x7b: // {
        return this.#depth++ === 0;
      case 0x5d: // ]
      case 0x7d: // }
        return --this.#depth === 0;
      default:
        return byte === 0x2c && this.#depth === 1; // ,
    }
  }
}
