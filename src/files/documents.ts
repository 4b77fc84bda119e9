/** The JSON documents of a file: one per line, the items of arrays, or objects one after the other. */
import { defined } from "../domain/values/defined.ts";
import { SessionError } from "../errors.ts";
import type { ByteRange } from "./bytes.ts";
import {
  isSpace,
  Lines,
  ListItems,
  newline,
  openBrace,
  Values,
  type FieldNames,
  type Piece,
  type Splitter,
} from "./splitters.ts";

/** A document, or the error that prevented reading it. */
export type SourceDocument =
  /** `list` is the name of the list of an object that the document is an item of. */
  | { readonly source: string; readonly bytes: Buffer; readonly list?: string }
  /** `range` is the place of a document that exceeds the limit. */
  | { readonly source: string; readonly error: SessionError; readonly range: ByteRange };

/** The fields beside the lists of an object, behind the items of its lists. */
export interface BesideLists {
  readonly source: string;
  readonly beside: FieldNames;
}

/** Lists whose items are documents of their own, in an object around them. */
export interface DocumentLists {
  readonly names: readonly string[];
  /** True for an item that shows that the lists have documents. */
  readonly isDocument: (item: Buffer) => boolean;
  /** True where the object itself is a document. */
  readonly isWhole: (object: Buffer) => boolean;
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
export function documentsOf(
  stream: AsyncIterable<Uint8Array>,
  options: Omit<DocumentsOptions, "lists">,
): AsyncGenerator<SourceDocument, void, undefined>;
export function documentsOf(
  stream: AsyncIterable<Uint8Array>,
  options: DocumentsOptions,
): AsyncGenerator<SourceDocument | BesideLists, void, undefined>;
export async function* documentsOf(
  stream: AsyncIterable<Uint8Array>,
  options: DocumentsOptions,
): AsyncGenerator<SourceDocument | BesideLists, void, undefined> {
  const { file, bytesMax } = options;
  let splitter: Splitter | undefined;
  let markLength = 0;
  const named = (piece: Piece): SourceDocument | BesideLists => {
    const { number, list } = piece;
    const document = `${file}:${splitter?.unit === "line" ? number : `item ${number}`}`;
    const source = list === undefined ? document : `${document} item ${list.item}`;
    if ("bytes" in piece) return { source, bytes: piece.bytes, ...defined({ list: list?.name }) };
    if ("beside" in piece) return { source, beside: piece.beside };
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
  try {
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
  } catch (error) {
    // The documents before the damage of a short file are read, as those of a long one are.
    if (splitter === undefined && held.length > 0) {
      const head = choose(true);
      for (const piece of splitter!.take(head)) yield named(piece);
    }
    throw error;
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

/** An object that is longer than this is read item by item without a look at its end. */
const longBytes = 1024 * 1024;
/** An object without a document in this many bytes, or in this many items, is read at once. */
const searchedBytes = 16 * 1024 * 1024;
const searchedItems = 100;

/** Chooses the splitter by the beginning of the file; the number of bytes that are needed, if more are. */
function splitterFor(head: Buffer, { bytesMax, lists }: DocumentsOptions, isWhole: boolean): Splitter | number {
  const splitter = splitterByLines(head, bytesMax, isWhole);
  if (splitter === undefined) return head.length + 1;
  const start = head.findIndex((byte) => !isSpace(byte));
  if (lists === undefined || head[start] !== openBrace) return splitter;
  const { unit } = splitter;
  const lineEnd = unit === "line" ? head.indexOf(newline, start) : -1;
  const object = head.subarray(start, lineEnd < 0 ? undefined : lineEnd);
  const items = new ListItems(lists.names, { bytesMax: Number.MAX_SAFE_INTEGER, unit });
  const pieces = [...items.take(object)].flatMap((piece) => ("bytes" in piece && piece.list ? [piece.bytes] : []));
  const { isClosed, isInList } = items;
  // A line that ends within the object is damaged.
  if (lineEnd >= 0 && !isClosed) return splitter;
  const isSeen = isWhole || isClosed;
  if (!isSeen && head.length < longBytes) return longBytes;
  const hasDocuments = pieces.slice(0, searchedItems).some((item) => lists.isDocument(item));
  if (hasDocuments)
    return isClosed && lists.isWhole(object) ? splitter : new ListItems(lists.names, { bytesMax, unit });
  // The first document may follow, or end later.
  const mayFollow = !isSeen && head.length < searchedBytes && pieces.length < searchedItems;
  return mayFollow && (isInList || pieces.length > 0) ? 2 * head.length : splitter;
}

/** Chooses the splitter by the first two lines of the file; undefined if more bytes are needed. */
function splitterByLines(head: Buffer, bytesMax: number, isWhole: boolean): Splitter | undefined {
  const lines = head.toString("latin1", 0, headBytes).split("\n");
  const isSeen = isWhole || head.length >= headBytes;
  const [first = "", second = ""] = (isSeen ? lines : lines.slice(0, -1)).filter((line) => line.trim() !== "");
  if (second === "" && !isSeen) return undefined;
  const isArray = first.trimStart().startsWith("[");
  // A first line that is longer than what is looked at, or the only one.
  if (second === "" && !(isWhole && isArray)) return isArray ? new Values(bytesMax) : new Lines(bytesMax);
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
