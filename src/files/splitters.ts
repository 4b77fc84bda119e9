/** Splits the bytes of a file into its documents: lines, values one after the other, or the items of lists. */

/** A document, the length of one that exceeded the limit and where it ends in the stream, or an array that does not end. */
export type Piece = { readonly number: number } & (
  | { readonly bytes: Buffer }
  | { readonly length: number; readonly end: number }
  | { readonly isCut: true }
);

export interface Splitter {
  readonly unit: "line" | "item";
  take(chunk: Buffer): Iterable<Piece>;
  end(): Iterable<Piece>;
}

const newline = 0x0a;
export const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x09 || byte === newline || byte === 0x0d;

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

export class Lines implements Splitter {
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

/** Tells the brackets and commas of JSON from the same bytes within texts. */
class Brackets {
  /** The open brackets. */
  depth = 0;
  isInText = false;
  #isEscaped = false;

  /** Passes one byte. False for a byte within a text. */
  pass(byte: number): boolean {
    if (this.isInText) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === backslash) this.#isEscaped = true;
      else if (byte === quote) this.isInText = false;
      return false;
    }
    if (byte === quote) this.isInText = true;
    else if (byte === openBracket || byte === openBrace) this.depth++;
    else if (this.depth > 0 && (byte === closeBracket || byte === closeBrace)) this.depth--;
    return true;
  }
}

const [quote, comma, backslash] = [0x22, 0x2c, 0x5c];
export const openBrace = 0x7b;
const [openBracket, closeBracket, closeBrace] = [0x5b, 0x5d, 0x7d];

/**
 * Splits a file at the brackets of its documents: arrays at their own commas, and objects that stand one after the other. An
 * array that does not end is an error behind its items.
 */
export class Values implements Splitter {
  readonly unit = "item";
  readonly #gathered: Gathered;
  readonly #brackets = new Brackets();
  #number = 1;
  /** The depth of the documents: 1 inside an array of them, else 0. */
  #base = 0;

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
    if (this.#base > 0 && this.#brackets.depth > 0) yield { number: this.#number, isCut: true };
  }

  /** Where a document ends: `before` a bracket or comma of an array of documents, `behind` the last bracket of an object. */
  #cutAt(byte: number): "before" | "behind" | undefined {
    const brackets = this.#brackets;
    if (!brackets.pass(byte)) return undefined;
    switch (byte) {
      case openBracket:
      case openBrace:
        if (brackets.depth > 1) return undefined;
        this.#base = byte === openBracket ? 1 : 0;
        return this.#base === 1 ? "before" : undefined;
      case closeBracket:
      case closeBrace:
        if (brackets.depth > 0) return undefined;
        return this.#base === 1 ? "before" : "behind";
      default:
        return byte === comma && brackets.depth === this.#base ? "before" : undefined;
    }
  }
}

/** Bytes of a name that are looked at. */
const nameBytesMax = 64;

/**
 * The items of lists in an object around them, such as `{"conversations": [...]}`: the lists that have one of the names. Its
 * other fields are passed over, and documents behind the object are values of their own.
 */
export class ListItems implements Splitter {
  readonly unit = "item";
  readonly #names: ReadonlySet<string>;
  readonly #bytesMax: number;
  readonly #gathered: Gathered;
  readonly #brackets = new Brackets();
  #number = 1;
  #isInList = false;
  /** The bytes of the last text in the object itself, which names the list behind it. */
  #name: number[] = [];
  #following: Values | undefined;

  constructor(names: readonly string[], bytesMax: number) {
    this.#names = new Set(names);
    this.#bytesMax = bytesMax;
    this.#gathered = new Gathered(bytesMax);
  }

  /** True behind the end of the object. */
  get isClosed(): boolean {
    return this.#following !== undefined;
  }

  get isInList(): boolean {
    return this.#isInList;
  }

  *take(chunk: Buffer): Iterable<Piece> {
    const brackets = this.#brackets;
    let start = 0;
    for (let at = 0; at < chunk.length && this.#following === undefined; at++) {
      const byte = chunk[at] ?? 0;
      const isOutside = brackets.pass(byte);
      if (this.#isInList) {
        const isEnd = brackets.depth < 2;
        if (!isOutside || !(isEnd || (byte === comma && brackets.depth === 2))) continue;
        this.#gathered.add(chunk.subarray(start, at));
        const piece = this.#gathered.take(this.#number++);
        this.#gathered.skip(1);
        start = at + 1;
        this.#isInList = !isEnd;
        if (piece !== undefined) yield piece;
      } else if (!isOutside || byte === quote) {
        if (brackets.depth === 1) this.#passName(byte, isOutside);
      } else if (byte === openBracket && brackets.depth === 2 && this.#names.has(Buffer.from(this.#name).toString())) {
        this.#gathered.skip(at + 1 - start);
        start = at + 1;
        this.#isInList = true;
      } else if (byte === closeBrace && brackets.depth === 0) {
        this.#following = new Values(this.#bytesMax);
        yield* this.#following.take(chunk.subarray(at + 1));
        return;
      }
    }
    if (this.#following !== undefined) yield* this.#following.take(chunk);
    else if (this.#isInList) this.#gathered.add(chunk.subarray(start));
    else this.#gathered.skip(chunk.length - start);
  }

  *end(): Iterable<Piece> {
    if (this.#following !== undefined) {
      yield* this.#following.end();
      return;
    }
    const piece = this.#isInList ? this.#gathered.take(this.#number) : undefined;
    if (piece !== undefined) yield piece;
    yield { number: this.#number, isCut: true };
  }

  /** Gathers the text that begins with a quote outside of texts. */
  #passName(byte: number, isBeginning: boolean): void {
    if (isBeginning) this.#name = [];
    else if (this.#brackets.isInText && this.#name.length < nameBytesMax) this.#name.push(byte);
  }
}
