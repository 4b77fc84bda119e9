/**
 * Parses JSON with the place of each value, for files that people write: an error names the line and column, and a reader of the
 * values can name theirs. `JSON.parse` does neither reliably, and takes the last of two equal names.
 */
import { formatValue } from "../../domain/values/format-value.ts";

/** A value and its place. */
export type LocatedValue = Place &
  (
    | { readonly kind: "object"; readonly members: ReadonlyMap<string, LocatedMember> }
    | { readonly kind: "array"; readonly items: readonly LocatedValue[] }
    | { readonly kind: "plain"; readonly value: string | number | boolean | null }
  );

/** A member of an object and the place of its name. */
export interface LocatedMember {
  readonly name: Place;
  readonly value: LocatedValue;
}

/** A line and a column, which count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** The place in the whole text of a place in a part that begins at `outer`. */
export function placeWithin(outer: Place, { line, column }: Place): Place {
  return line === 1 ? { line: outer.line, column: outer.column + column - 1 } : { line: outer.line + line - 1, column };
}

/** The text is not JSON. */
export class JsonError extends Error {
  override readonly name = "JsonError";
  readonly place: Place;

  constructor(place: Place, reason: string) {
    super(reason);
    this.place = place;
  }
}

const depthMax = 100;

/** @throws JsonError with the place where the text stops being JSON */
export function parseLocatedJson(text: string): LocatedValue {
  // Some editors put a byte order mark in front of a file.
  const scanner = new Scanner(text.replace(/^\uFEFF/, ""));
  const value = readValue(scanner, 0);
  if (!scanner.atEnd) throw scanner.unexpected("the end of the file");
  return value;
}

/**
 * Check a JSON text. It keeps only the names of the open objects.
 * @throws JsonError with the place where the text stops being JSON, is nested deeper than `depthMax`, or has a name twice
 */
export function checkJson(text: string, { depthMax }: { readonly depthMax: number }): void {
  const scanner = new Scanner(text);
  checkValue(scanner, depthMax);
  if (!scanner.atEnd) throw scanner.unexpected("the end of the file");
}

function checkValue(scanner: Scanner, levels: number): void {
  const { place } = scanner;
  const isObject = scanner.take("{");
  if (!isObject && !scanner.take("[")) {
    if (!scanner.skipPlain()) throw scanner.unexpected("a value");
    return;
  }
  if (levels === 0) throw new JsonError(place, "it is nested too deep");
  if (isObject) checkMembers(scanner, levels - 1);
  else checkItems(scanner, levels - 1);
}

function checkMembers(scanner: Scanner, levels: number): void {
  const names = new Set<string>();
  if (scanner.take("}")) return;
  do {
    const name = readName(scanner, names);
    names.add(name);
    checkValue(scanner, levels);
  } while (scanner.take(","));
  if (!scanner.take("}")) throw scanner.unexpected('"," or "}"');
}

function checkItems(scanner: Scanner, levels: number): void {
  if (scanner.take("]")) return;
  do checkValue(scanner, levels);
  while (scanner.take(","));
  if (!scanner.take("]")) throw scanner.unexpected('"," or "]"');
}

/** The name of the next member, and the colon after it. */
function readName(scanner: Scanner, earlier: { has(name: string): boolean }): string {
  const { place } = scanner;
  const name = scanner.takeText();
  if (name === undefined) throw scanner.unexpected("a name in double quotes");
  if (earlier.has(name)) throw new JsonError(place, `the name ${formatValue(name)} occurs twice`);
  if (!scanner.take(":")) throw scanner.unexpected('":"');
  return name;
}

function readValue(scanner: Scanner, depth: number): LocatedValue {
  const place = scanner.place;
  if (depth > depthMax) throw new JsonError(place, `it is nested deeper than ${depthMax}`);
  if (scanner.take("{")) return { ...place, kind: "object", members: readMembers(scanner, depth) };
  if (scanner.take("[")) return { ...place, kind: "array", items: readItems(scanner, depth) };
  const value = scanner.takePlain();
  if (value === undefined) throw scanner.unexpected("a value");
  return { ...place, kind: "plain", value };
}

function readMembers(scanner: Scanner, depth: number): ReadonlyMap<string, LocatedMember> {
  const members = new Map<string, LocatedMember>();
  if (scanner.take("}")) return members;
  do {
    const { place } = scanner;
    const name = readName(scanner, members);
    members.set(name, { name: place, value: readValue(scanner, depth + 1) });
  } while (scanner.take(","));
  if (!scanner.take("}")) throw scanner.unexpected('"," or "}"');
  return members;
}

function readItems(scanner: Scanner, depth: number): readonly LocatedValue[] {
  const items: LocatedValue[] = [];
  if (scanner.take("]")) return items;
  do items.push(readValue(scanner, depth + 1));
  while (scanner.take(","));
  if (!scanner.take("]")) throw scanner.unexpected('"," or "]"');
  return items;
}

/** The grammar of RFC 8259, token by token. A pattern for a whole text would exhaust its stack at some million characters. */
// oxlint-disable-next-line no-control-regex -- control characters are what a JSON text may not hold
const textPiece = /[^"\\\u0000-\u001f]+|(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})){1,1000}/y;
const plainToken = /(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.])/y;
const space = /[ \t\r\n]*/y;
const word = /[^\s{}[\]:,"]{1,30}|./y;

class Scanner {
  readonly #text: string;
  #at = 0;
  #line = 1;
  #lineStart = 0;

  constructor(text: string) {
    this.#text = text;
    this.#match(space);
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  get place(): Place {
    return { line: this.#line, column: this.#at - this.#lineStart + 1 };
  }

  /** Step over this sign, if it is next. */
  take(sign: string): boolean {
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    this.#match(space);
    return true;
  }

  takeText(): string | undefined {
    const token = this.#takeTextToken();
    return token === undefined ? undefined : (JSON.parse(token) as string);
  }

  takePlain(): string | number | boolean | null | undefined {
    const token = this.#takeTextToken() ?? this.#take(plainToken);
    return token === undefined ? undefined : (JSON.parse(token) as string | number | boolean | null);
  }

  /** Step over a text, a number or a word of JSON. */
  skipPlain(): boolean {
    return (this.#takeTextToken() ?? this.#take(plainToken)) !== undefined;
  }

  unexpected(wanted: string): JsonError {
    const place = this.place;
    const found = this.atEnd ? "the end of the file" : this.#found();
    return new JsonError(place, `found ${found}, expected ${wanted}`);
  }

  #found(): string {
    if (this.#text[this.#at] === '"') {
      return this.#takeTextToken() === undefined ? "a text that is not closed or not escaped" : "a text";
    }
    return this.#match(word) ?? "something";
  }

  /** The next text, with its quotation marks; undefined where the next token is none. */
  #takeTextToken(): string | undefined {
    const start = this.#at;
    if (this.#text[start] !== '"') return undefined;
    let end = start + 1;
    for (textPiece.lastIndex = end; textPiece.test(this.#text);) end = textPiece.lastIndex;
    if (this.#text[end] !== '"') return undefined;
    this.#at = end + 1;
    this.#match(space);
    return this.#text.slice(start, end + 1);
  }

  #take(token: RegExp): string | undefined {
    const found = this.#match(token);
    if (found !== undefined) this.#match(space);
    return found;
  }

  #match(token: RegExp): string | undefined {
    token.lastIndex = this.#at;
    const found = token.exec(this.#text)?.[0];
    if (found !== undefined) this.#moveOver(found);
    return found;
  }

  #moveOver(token: string): void {
    this.#at += token.length;
    // Only the space between tokens holds line breaks.
    const breaks = token.split("\n");
    if (breaks.length === 1) return;
    this.#line += breaks.length - 1;
    this.#lineStart = this.#at - (breaks.at(-1) ?? "").length;
  }
}
