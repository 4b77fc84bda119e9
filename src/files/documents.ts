/** The JSON documents of a file: one per line, the items of arrays, or objects one after the other. */
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
    if ("isCut" in piece) {
      const error = new SessionError("snapshot_invalid", { source: file, expected: "array_end" });
      return { source: file, error, range: { start: 0, end: 0 } };
    }
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
  if (splitter === undefined) {
    splitter = splitterFor(head, bytesMax, true)!;
    for (const piece of splitter.take(head)) yield named(piece);
  }
  for (const piece of splitter.end()) yield named(piece);
}

/** Some editors put a byte order mark in front of a file. */
function withoutMark(head: Buffer): Buffer {
  return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? head.subarray(3) : head;
}

/** A document, the length of one that exceeded the limit and where it ends in the stream, or an array that does not end. */
type Piece = { readonly number: number } & (
  | { readonly bytes: Buffer }
  | { readonly length: number; readonly end: number }
  | { readonly isCut: true }
);

interface Splitter {
  readonly unit: "line" | "item";
  take(chunk: Buffer): Iterable<Piece>;
  end(): Iterable<Piece>;
}

const newline = 0x0a;
const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x09 || byte === newline || byte === 0x0d;

/** As much of a file's beginning as the choice of a splitter looks at. */
const headBytes = 65_536;

/** Chooses the splitter by the first two lines of the file; undefined if more bytes are needed. */
function splitterFor(head: Buffer, bytesMax: number, isWhole = false): Splitter | undefined {
  const lines = head.toString("latin1", 0, headBytes).split("\n");
  const isSeen = isWhole || head.length >= headBytes;
  const [first = "", second = ""] = (isSeen ? lines : lines.slice(0, -1)).filter((line) => line.trim() !== "");
  if (second === "" && !isSeen) return undefined;
  const isArray = first.trimStart().startsWith("[");
  // A first line that is longer than what is looked at.
  if (second === "" && !isWhole) return isArray ? new Values(bytesMax) : new Lines(bytesMax);
  if (depthAfter(first) > 0) {
    // A document that is laid out for people has open brackets at the end of its first line. The first line of a damaged
    // file of lines has too; then the second line is a document of its own.
    const isDamagedLine = !isArray && /^\{\s*"/.test(second) && !/[[{,:]\s*$/.test(first);
    return isDamagedLine ? new Lines(bytesMax) : new Values(bytesMax);
  }
  // An array on each line is a conversation on each line.
  const areArrays = second.trimStart().startsWith("[") && depthAfter(second) === 0;
  return isArray && !areArrays ? new Values(bytesMax) : new Lines(bytesMax);
}

/** How many brackets of a text are open at its end. */
function depthAfter(text: string): number {
  const brackets = text.replaceAll(/"(?:[^"\\]|\\.)*"?/g, "").match(/[[{]|[\]}]/g) ?? [];
  return brackets.reduce((depth, bracket) => depth + (bracket === "{" || bracket === "[" ? 1 : -1), 0);
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

/**
 * Splits a file at the brackets of its documents: arrays at their own commas, and objects that stand one after the other. An
 * array that does not end is an error behind its items.
 */
class Values implements Splitter {
  readonly unit = "item";
  readonly #gathered: Gathered;
  #number = 1;
  #depth = 0;
  /** The depth of the documents: 1 inside an array of them, else 0. */
  #base = 0;
  #inText = false;
  #escaped = false;

  constructor(bytesMax: number) {
    this.#gathered = new Gathered(bytesMax);
  }

  *take(chunk: Buffer): Iterable<Piece> {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const cut = this.#cutAt(chunk[at] ?? 0);
      if (cut === undefined) continue;
      const end = cut === "behind" ? at + 1 : at;
      this.#gathered.add(chunk.subarray(start, end));
      const piece = this.#gathered.take(this.#number++);
      if (cut === "before") this.#gathered.skip(1);
      if (piece !== undefined) yield piece;
      start = at + 1;
    }
    this.#gathered.add(chunk.subarray(start));
  }

  *end(): Iterable<Piece> {
    const piece = this.#gathered.take(this.#number);
    if (piece !== undefined) yield piece;
    if (this.#base > 0 && this.#depth > 0) yield { number: this.#number, isCut: true };
  }

  /**
   * Where a document ends: `before` a bracket or comma of an array of documents, `behind` the last bracket of an object.
   */
  #cutAt(byte: number): "before" | "behind" | undefined {
    if (this.#inText) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === 0x5c) this.#escaped = true;
      else if (byte === 0x22) this.#inText = false;
      return undefined;
    }
    switch (byte) {
      case 0x22: // "
        this.#inText = true;
        return undefined;
      case 0x5b: // [
      case 0x7b: // {
        if (this.#depth++ > 0) return undefined;
        this.#base = byte === 0x5b ? 1 : 0;
        return this.#base === 1 ? "before" : undefined;
      case 0x5d: // ]
      case 0x7d: // }
        if (this.#depth > 0) this.#depth--;
        if (this.#depth > 0) return undefined;
        return this.#base === 1 ? "before" : "behind";
      default:
        return byte === 0x2c && this.#depth === this.#base ? "before" : undefined; // ,
    }
  }
}
