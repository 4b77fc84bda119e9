/** Splits the bytes of a file into its documents: lines, values one after the other, or the items of lists. */

/**
 * A document, the length of one that exceeded the limit and where it ends in the stream, an array that does not end, or the fields
 * beside the lists of an object.
 */
export type Piece = {
  /** The number of its line, or of its document among those of the file. */
  readonly number: number;
  /** The list of the object that the document is an item of. */
  readonly list?: ListPlace;
} & (
  | { readonly bytes: Buffer }
  | { readonly length: number; readonly end: number }
  | { readonly isCut: true }
  | { readonly beside: FieldNames }
);

/** The place of an item in the lists of an object. */
export interface ListPlace {
  readonly name: string;
  /** The number of the item among those of all lists. */
  readonly item: number;
}

export interface Splitter {
  readonly unit: "line" | "item";
  take(chunk: Buffer): Iterable<Piece>;
  end(): Iterable<Piece>;
}

export const newline = 0x0a;
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
  take(place: Pick<Piece, "number" | "list">): Piece | undefined {
    const [parts, length] = [this.#parts, this.#length];
    this.#parts = [];
    this.#length = 0;
    if (length > this.#bytesMax) return { ...place, length, end: this.#at };
    const [first] = parts;
    const bytes = parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
    return bytes.every(isSpace) ? undefined : { ...place, bytes };
  }
}

export class Lines implements Splitter {
  readonly unit = "line";
  readonly #gathered: Gathered;
  #number: number;

  /** `number` is that of the first line. */
  constructor(bytesMax: number, number = 1) {
    this.#gathered = new Gathered(bytesMax);
    this.#number = number;
  }

  *take(chunk: Buffer): Iterable<Piece> {
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      this.#gathered.add(chunk.subarray(start, end));
      const piece = this.#gathered.take({ number: this.#number++ });
      this.#gathered.skip(1);
      if (piece !== undefined) yield piece;
      start = end + 1;
    }
    this.#gathered.add(chunk.subarray(start));
  }

  *end(): Iterable<Piece> {
    const piece = this.#gathered.take({ number: this.#number });
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

const [quote, comma, colon, backslash] = [0x22, 0x2c, 0x3a, 0x5c];
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
  #number: number;
  /** The depth of the documents: 1 inside an array of them, else 0. */
  #base = 0;

  /** `number` is that of the first document. */
  constructor(bytesMax: number, number = 1) {
    this.#gathered = new Gathered(bytesMax);
    this.#number = number;
  }

  *take(chunk: Buffer): Iterable<Piece> {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      const cut = this.#cutAt(chunk[at] ?? 0);
      if (cut === undefined) continue;
      const end = cut === "behind" ? at + 1 : at;
      this.#gathered.add(chunk.subarray(start, end));
      const piece = this.#gathered.take({ number: this.#number });
      if (cut === "before") this.#gathered.skip(1);
      start = at + 1;
      if (piece === undefined) continue;
      this.#number++;
      yield piece;
    }
    this.#gathered.add(chunk.subarray(start));
  }

  *end(): Iterable<Piece> {
    const piece = this.#gathered.take({ number: this.#number });
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

/** The first names of fields, and how many fields there are. */
export interface FieldNames {
  readonly names: readonly string[];
  readonly count: number;
}

const namesMax = 100;
/** The characters of a name that are kept. */
const nameLengthMax = 64;

/** Counts fields by their names. */
export class FieldCount implements FieldNames {
  readonly names: string[] = [];
  count = 0;

  add(name: string): void {
    if (this.names.length < namesMax) this.names.push(name.slice(0, nameLengthMax));
    this.count++;
  }
}

/** Bytes of a name that are looked at. */
const nameBytesMax = 8 * nameLengthMax;
/** The longest of the values that say nothing: `null`, and empty texts, lists and objects. */
const emptyBytesMax = 4;

/**
 * The items of lists in an object around them, such as `{"conversations": [...]}`: the lists that have one of the names. Behind
 * them are the names of its other fields, those without a value left out. What follows the object is split as the rest of the
 * file is.
 */
export class ListItems implements Splitter {
  readonly unit: Splitter["unit"];
  readonly #names: ReadonlySet<string>;
  readonly #bytesMax: number;
  readonly #gathered: Gathered;
  readonly #brackets = new Brackets();
  /** The number of the line of the object. */
  #line = 1;
  #item = 1;
  /** The name of the list whose items are read. */
  #list: string | undefined;
  /** The bytes of the name of a field, and the first bytes of its value. */
  #name: number[] = [];
  #value: number[] | undefined;
  readonly #beside = new FieldCount();
  #following: Splitter | undefined;

  constructor(names: readonly string[], { bytesMax, unit }: { readonly bytesMax: number } & Pick<Splitter, "unit">) {
    this.unit = unit;
    this.#names = new Set(names);
    this.#bytesMax = bytesMax;
    this.#gathered = new Gathered(bytesMax);
  }

  /** True behind the end of the object. */
  get isClosed(): boolean {
    return this.#following !== undefined;
  }

  get isInList(): boolean {
    return this.#list !== undefined;
  }

  *take(chunk: Buffer): Iterable<Piece> {
    const brackets = this.#brackets;
    let start = 0;
    for (let at = 0; at < chunk.length && this.#following === undefined; at++) {
      const byte = chunk[at] ?? 0;
      const isOutside = brackets.pass(byte);
      const { depth } = brackets;
      if (this.#list !== undefined) {
        const isEnd = depth < 2;
        if (!isOutside || !(isEnd || (byte === comma && depth === 2))) continue;
        this.#gathered.add(chunk.subarray(start, at));
        const piece = this.#takeItem();
        this.#gathered.skip(1);
        start = at + 1;
        if (isEnd) this.#list = undefined;
        if (piece !== undefined) yield piece;
      } else if (depth === 0) {
        if (byte === newline) this.#line++;
        if (!isOutside || byte !== closeBrace) continue;
        yield* this.#endObject();
        yield* this.#following!.take(chunk.subarray(at + 1));
        return;
      } else if (depth === 1 && isOutside && byte === comma) this.#endField();
      else if (depth === 1 && isOutside && byte === colon) this.#value = [];
      else if (this.#value === undefined) this.#passName(byte, isOutside);
      else if (byte === openBracket && depth === 2 && this.#names.has(this.#fieldName)) {
        this.#list = this.#fieldName;
        this.#gathered.skip(at + 1 - start);
        start = at + 1;
        this.#value = undefined;
      } else if (this.#value.length <= emptyBytesMax && !(isOutside && isSpace(byte))) this.#value.push(byte);
    }
    if (this.#following !== undefined) return;
    if (this.#list === undefined) this.#gathered.skip(chunk.length - start);
    else this.#gathered.add(chunk.subarray(start));
  }

  *end(): Iterable<Piece> {
    if (this.#following !== undefined) {
      yield* this.#following.end();
      return;
    }
    const piece = this.#list === undefined ? undefined : this.#takeItem();
    if (piece !== undefined) yield piece;
    yield* this.#endObject();
    yield { number: this.#number, isCut: true };
  }

  /** The number of the object. */
  get #number(): number {
    return this.unit === "line" ? this.#line : 1;
  }

  get #fieldName(): string {
    const text = Buffer.from(this.#name).toString();
    try {
      return JSON.parse(`"${text}"`) as string;
    } catch {
      // It is cut within an escape.
      return text;
    }
  }

  #takeItem(): Piece | undefined {
    const list = { name: this.#list ?? "", item: this.#item };
    const piece = this.#gathered.take({ number: this.#number, list });
    if (piece !== undefined) this.#item++;
    return piece;
  }

  #passName(byte: number, isOutside: boolean): void {
    if (isOutside && byte === quote) this.#name = [];
    else if (this.#brackets.isInText && this.#name.length < nameBytesMax) this.#name.push(byte);
  }

  #endField(): void {
    const value = this.#value && Buffer.from(this.#value).toString();
    if (value !== undefined && !["", "null", '""', "[]", "{}"].includes(value)) this.#beside.add(this.#fieldName);
    this.#value = undefined;
  }

  *#endObject(): Iterable<Piece> {
    this.#endField();
    const next = this.#number;
    this.#following = this.unit === "line" ? new Lines(this.#bytesMax, next) : new Values(this.#bytesMax, next + 1);
    yield { number: next, beside: this.#beside };
  }
}
