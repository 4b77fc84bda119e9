/**
 * JSON that remembers where everything stands, for files that people write: an error names the line and column, and what
 * reads the values can name theirs. `JSON.parse` tells neither reliably, and takes the last of two equal names in silence.
 */

/** A value and where it begins. */
export type LocatedValue = Place &
  (
    | { readonly kind: "object"; readonly members: ReadonlyMap<string, LocatedMember> }
    | { readonly kind: "array"; readonly items: readonly LocatedValue[] }
    | { readonly kind: "plain"; readonly value: string | number | boolean | null }
  );

/** A member of an object and where its name stands. */
export interface LocatedMember {
  readonly name: Place;
  readonly value: LocatedValue;
}

/** Both count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
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
  // A byte order mark is what some editors put in front of a file.
  const scanner = new Scanner(text.replace(/^\uFEFF/, ""));
  const value = readValue(scanner, 0);
  if (!scanner.atEnd) throw scanner.unexpected("the end of the file");
  return value;
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
    const place = scanner.place;
    const name = scanner.takeText();
    if (name === undefined) throw scanner.unexpected("a name in double quotes");
    if (members.has(name)) throw new JsonError(place, `the name ${JSON.stringify(name)} stands twice`);
    if (!scanner.take(":")) throw scanner.unexpected('":"');
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

/** The grammar of RFC 8259, token by token. */
// oxlint-disable-next-line no-control-regex -- control characters are what a JSON text may not hold
const textToken = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
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

  /** Step over this sign, if it is what comes next. */
  take(sign: string): boolean {
    if (this.#text[this.#at] !== sign) return false;
    this.#at++;
    this.#match(space);
    return true;
  }

  takeText(): string | undefined {
    const token = this.#take(textToken);
    return token === undefined ? undefined : (JSON.parse(token) as string);
  }

  takePlain(): string | number | boolean | null | undefined {
    const token = this.#take(textToken) ?? this.#take(plainToken);
    return token === undefined ? undefined : (JSON.parse(token) as string | number | boolean | null);
  }

  unexpected(wanted: string): JsonError {
    const place = this.place;
    const found = this.atEnd ? "the file ends" : `there is ${this.#found()}`;
    return new JsonError(place, `${found} where ${wanted} should be`);
  }

  #found(): string {
    if (this.#text[this.#at] === '"') {
      return this.#match(textToken) === undefined ? "a text that is not closed or not escaped" : "a text";
    }
    return this.#match(word) ?? "something";
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
