/** The JSON documents of a file: one per line, the items of arrays, or objects one after the other. */
import { SessionError } from "../errors.ts";
import type { ByteRange } from "./bytes.ts";
import { isSpace, Lines, ListItems, openBrace, Values, type Piece, type Splitter } from "./splitters.ts";

/** A document, or the error that prevented reading it. */
export type SourceDocument =
  | { readonly source: string; readonly bytes: Buffer }
  /** `range` is the place of a document that exceeds the limit. */
  | { readonly source: string; readonly error: SessionError; readonly range: ByteRange };

/** Lists whose items are documents of their own, in an object that is too long to be read at once. */
export interface DocumentLists {
  readonly names: readonly string[];
  /** True where the first item of a list shows that its items are documents. */
  readonly isDocument: (item: Buffer) => boolean;
}

/** The file that is read. */
export interface DocumentsOptions {
  readonly file: string;
  /** The most bytes of one document. */
  readonly bytesMax: number;
  /** @default none */
  readonly lists?: DocumentLists;
}

/** @throws SessionError the errors of the stream */
export async function* documentsOf(
  stream: AsyncIterable<Uint8Array>,
  options: DocumentsOptions,
): AsyncGenerator<SourceDocument, void, undefined> {
  const { file, bytesMax } = options;
  let splitter: Splitter | undefined;
  let count = 0;
  let markLength = 0;
  const named = (piece: Piece): SourceDocument => {
    count++;
    const source = `${file}:${splitter?.unit === "line" ? piece.number : `item ${count}`}`;
    if ("bytes" in piece) return { source, bytes: piece.bytes };
    if ("isCut" in piece) {
      const error = new SessionError("snapshot_invalid", { source: file, expected: "array_end" });
      return { source: file, error, range: { start: 0, end: 0 } };
    }
    const { length, end } = piece;
    const error = new SessionError("snapshot_too_large", { source, bytes: length, bytesMax });
    return { source, error, range: { start: markLength + end - length, end: markLength + end } };
  };
  let held: Buffer[] = [];
  let heldBytes = 0;
  let wantedBytes = 0;
  const choose = (isWhole: boolean): Buffer => {
    const marked = Buffer.concat(held);
    const head = withoutMark(marked);
    markLength = marked.length - head.length;
    const chosen = splitterFor(head, options, isWhole);
    if (typeof chosen === "number") wantedBytes = chosen;
    else splitter = chosen;
    held = splitter === undefined ? [marked] : [];
    return head;
  };
  for await (const chunk of stream) {
    let bytes: Buffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (splitter === undefined) {
      held.push(bytes);
      heldBytes += bytes.length;
      if (heldBytes < wantedBytes) continue;
      bytes = choose(false);
    }
    for (const piece of splitter?.take(bytes) ?? []) yield named(piece);
  }
  if (splitter === undefined) {
    const head = choose(true);
    for (const piece of splitter!.take(head)) yield named(piece);
  }
  for (const piece of splitter!.end()) yield named(piece);
}

/** Some editors put a byte order mark in front of a file. */
function withoutMark(head: Buffer): Buffer {
  return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? head.subarray(3) : head;
}

/** As much of a file's beginning as the choice of a splitter looks at. */
const headBytes = 65_536;

/** An object that is longer than this may be read item by item. */
const longBytes = 1024 * 1024;
/** An object with a longer first item is read at once. */
const searchedBytes = 16 * 1024 * 1024;

/** Chooses the splitter by the beginning of the file; the number of bytes that are needed, if more are. */
function splitterFor(head: Buffer, { bytesMax, lists }: DocumentsOptions, isWhole: boolean): Splitter | number {
  const splitter = splitterByLines(head, bytesMax, isWhole);
  if (splitter === undefined) return head.length + 1;
  if (isWhole || lists === undefined || head.find((byte) => !isSpace(byte)) !== openBrace) return splitter;
  const items = new ListItems(lists.names, Number.MAX_SAFE_INTEGER);
  const [first] = [...items.take(head)];
  if (items.isClosed) return splitter;
  if (head.length < longBytes) return longBytes;
  if (first !== undefined && "bytes" in first)
    return lists.isDocument(first.bytes) ? new ListItems(lists.names, bytesMax) : splitter;
  // The first item of the list may end later.
  return items.isInList && head.length < searchedBytes ? 2 * head.length : splitter;
}

/** Chooses the splitter by the first two lines of the file; undefined if more bytes are needed. */
function splitterByLines(head: Buffer, bytesMax: number, isWhole: boolean): Splitter | undefined {
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
