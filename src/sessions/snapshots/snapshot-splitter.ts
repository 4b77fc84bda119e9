/**
 * Splits the text of a snapshot into its members and the entries of its logs, as the text arrives in chunks. It holds one value in
 * memory. A value is raw JSON: the parser that takes it checks what is inside.
 */
import { formatValue } from "../../domain/values/format-value.ts";
import { checkJson, JsonError, placeWithin, type Place } from "./located-json.ts";

/** A raw value of the document. */
export interface SnapshotValue {
  /**
   * - `document`: the text is no object, but this value.
   * - `member`: a member of the document other than the logs.
   * - `log`: a log that is no array.
   * - `entry`: an item of a log.
   * - `logs`, `end`: the logs begin, a log has ended. The text is empty.
   */
  readonly kind: "document" | "member" | "log" | "entry" | "logs" | "end";
  /** The name of the member or of the log. */
  readonly name: string;
  /** The place of an entry in its log, or the number of its entries at its end; counts from 0. */
  readonly index: number;
  readonly text: string;
  readonly place: Place;
}

/** An object or an array that is open around the values. */
interface Level {
  readonly kind: "document" | "logs" | "log";
  expected: "first" | "name" | "colon" | "value" | "comma";
  /** The names of its members so far. */
  readonly names: Set<string>;
  /** The name of the member that is being read; of a log, its own name. */
  name: string;
  /** The items of a log so far. */
  count: number;
}

/** A value whose end has not come yet. */
interface Collected {
  readonly parts: string[];
  readonly place: Place;
  readonly form: "text" | "nested" | "word";
  depth: number;
  isInText: boolean;
  /** The next character is escaped. */
  isEscaped: boolean;
}

const wanted: Readonly<Record<Level["kind"], Readonly<Record<Level["expected"], string>>>> = {
  document: members(),
  logs: members(),
  log: { ...members(), first: "a value", comma: '"," or "]"' },
};

function members(): Record<Level["expected"], string> {
  const name = "a name in double quotes";
  return { first: name, name, colon: '":"', value: "a value", comma: '"," or "}"' };
}

export class SnapshotSplitter {
  readonly #levels: Level[] = [];
  #isDone = false;
  #value: Collected | undefined;
  #chunk = "";
  #line = 1;
  /** The beginning of the line, relative to the chunk. */
  #lineStart = 0;
  #nextBreak = -1;

  /** @throws JsonError where the text between the values is not JSON, or a name occurs twice */
  *take(chunk: string): Generator<SnapshotValue, void, undefined> {
    this.#chunk = chunk;
    this.#nextBreak = breakFrom(chunk, 0);
    let start = 0;
    for (let at = 0; at < chunk.length;) {
      if (this.#value === undefined) {
        at = skipSpace(chunk, at);
        if (at === chunk.length) break;
        const sign = chunk[at] ?? "";
        const taken = this.#takeSign(sign, at);
        if (taken === undefined) {
          start = at;
          this.#value = collected(sign, this.#placeAt(at));
        } else {
          at++;
          if (taken !== "sign") yield taken;
        }
      } else {
        const end = endOfValue(chunk, at, this.#value);
        if (end === undefined) break;
        const text = this.#end(chunk.slice(start, end));
        at = end;
        start = end;
        if (text !== undefined) yield text;
      }
    }
    this.#value?.parts.push(chunk.slice(start));
    this.#placeAt(chunk.length);
    this.#lineStart -= chunk.length;
    this.#chunk = "";
  }

  /** The end of the text. @throws JsonError where the document is not complete */
  *end(): Generator<SnapshotValue, void, undefined> {
    const place = { line: this.#line, column: 1 - this.#lineStart };
    if (this.#value !== undefined) {
      const text = this.#value.parts.join("");
      if (this.#levels.length > 0 || this.#value.form !== "word") throw cutOff(text, this.#value.place, place);
      const value = this.#end("");
      if (value !== undefined) yield value;
    }
    if (this.#isDone) return;
    const level = this.#levels.at(-1);
    const should = level === undefined ? "a value" : wanted[level.kind][level.expected];
    throw new JsonError(place, `the file ends where ${should} should be`);
  }

  /** Take a sign between the values; undefined where a value begins. */
  #takeSign(sign: string, at: number): SnapshotValue | "sign" | undefined {
    const level = this.#levels.at(-1);
    if (level === undefined) {
      if (this.#isDone) throw this.#unexpected(at, "the end of the file");
      if (sign !== "{") return undefined;
      this.#open("document", "");
      return "sign";
    }
    const closing = level.kind === "log" ? "]" : "}";
    if (sign === closing && (level.expected === "first" || level.expected === "comma")) return this.#close(level, at);
    switch (level.expected) {
      case "comma":
        if (sign !== ",") break;
        level.expected = level.kind === "log" ? "value" : "name";
        return "sign";
      case "colon":
        if (sign !== ":") break;
        level.expected = "value";
        return "sign";
      case "first":
      case "name":
        if (level.kind !== "log" && sign !== '"') break;
        return undefined;
      case "value":
        if (level.kind === "document" && level.name === "logs" && sign === "{") {
          this.#open("logs", "logs");
          return { kind: "logs", name: "logs", index: 0, text: "", place: this.#placeAt(at) };
        }
        if (level.kind === "logs" && sign === "[") {
          this.#open("log", level.name);
          return "sign";
        }
        return undefined;
    }
    throw this.#unexpected(at, wanted[level.kind][level.expected]);
  }

  #open(kind: Level["kind"], name: string): void {
    this.#levels.push({ kind, expected: "first", names: new Set(), name, count: 0 });
  }

  #close({ kind, name, count }: Level, at: number): SnapshotValue | "sign" {
    this.#levels.pop();
    const parent = this.#levels.at(-1);
    if (parent === undefined) this.#isDone = true;
    else parent.expected = "comma";
    return kind === "log" ? { kind: "end", name, index: count, text: "", place: this.#placeAt(at) } : "sign";
  }

  /** The value that ends with this part; undefined for a name. */
  #end(part: string): SnapshotValue | undefined {
    const { parts, place } = this.#value ?? { parts: [], place: { line: 1, column: 1 } };
    this.#value = undefined;
    const text = parts.length === 0 ? part : [...parts, part].join("");
    const level = this.#levels.at(-1);
    if (level === undefined) {
      this.#isDone = true;
      return { kind: "document", name: "", index: 0, text, place };
    }
    if (level.kind !== "log" && level.expected !== "value") {
      level.name = nameOf(text, place);
      if (level.names.has(level.name)) throw new JsonError(place, `the name ${formatValue(level.name)} stands twice`);
      level.names.add(level.name);
      level.expected = "colon";
      return undefined;
    }
    level.expected = "comma";
    const kind = level.kind === "log" ? "entry" : level.kind === "logs" ? "log" : "member";
    return { kind, name: level.name, index: level.count++, text, place };
  }

  /** Each call is for the same place as the last one, or a later one. */
  #placeAt(at: number): Place {
    while (this.#nextBreak >= 0 && this.#nextBreak < at) {
      this.#line++;
      this.#lineStart = this.#nextBreak + 1;
      this.#nextBreak = breakFrom(this.#chunk, this.#lineStart);
    }
    return { line: this.#line, column: at - this.#lineStart + 1 };
  }

  #unexpected(at: number, should: string): JsonError {
    const sign = this.#chunk[at] ?? "";
    const found = sign === '"' ? "a text" : (/^[^\s{}[\]:,"]{1,30}/.exec(this.#chunk.slice(at, at + 30))?.[0] ?? sign);
    return new JsonError(this.#placeAt(at), `there is ${found} where ${should} should be`);
  }
}

function breakFrom(chunk: string, at: number): number {
  return chunk.indexOf("\n", at);
}

function skipSpace(chunk: string, start: number): number {
  let at = start;
  while (isSpace(chunk.charCodeAt(at))) at++;
  return at;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}

function collected(sign: string, place: Place): Collected {
  const form = sign === '"' ? "text" : sign === "{" || sign === "[" ? "nested" : "word";
  return { parts: [], place, form, depth: 0, isInText: false, isEscaped: false };
}

/** The end of the value in this chunk; undefined where it comes later. */
function endOfValue(chunk: string, start: number, value: Collected): number | undefined {
  // A sign that no value begins with is a value for the parser to refuse.
  const first = value.parts.length === 0 ? start + 1 : start;
  for (let at = start; at < chunk.length; at++) {
    if (value.isInText) {
      const closing = endOfText(chunk, at, value);
      if (closing === undefined) return undefined;
      at = closing;
      value.isInText = false;
      if (value.depth === 0) return at + 1;
      continue;
    }
    const code = chunk.charCodeAt(at);
    switch (code) {
      case 0x22: // "
        if (value.form === "word") return Math.max(at, first);
        value.isInText = true;
        break;
      case 0x7b: // {
      case 0x5b: // [
        if (value.form === "word") return Math.max(at, first);
        value.depth++;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        if (value.form === "word") return Math.max(at, first);
        if (--value.depth === 0) return at + 1;
        break;
      default:
        if (value.form === "word" && (code === 0x2c || code === 0x3a || isSpace(code))) return Math.max(at, first);
    }
  }
  return undefined;
}

/** The quotation mark that ends the text in this chunk. */
function endOfText(chunk: string, start: number, value: Collected): number | undefined {
  let from = value.isEscaped ? start + 1 : start;
  value.isEscaped = false;
  for (;;) {
    const end = chunk.indexOf('"', from);
    const until = end < 0 ? chunk.length : end;
    let escapes = 0;
    while (until - escapes > from && chunk.charCodeAt(until - escapes - 1) === 0x5c) escapes++;
    const isEscaped = escapes % 2 === 1;
    if (end < 0) {
      value.isEscaped = isEscaped;
      return undefined;
    }
    if (!isEscaped) return end;
    from = end + 1;
  }
}

/** @throws JsonError */
function nameOf(text: string, place: Place): string {
  try {
    return JSON.parse(text) as string;
  } catch {
    // The check below names the place.
  }
  checkPart(text, place, 1);
  throw new JsonError(place, "the name is not JSON");
}

/** Check one value of a document. @throws JsonError with its place in the document */
export function checkPart(text: string, place: Place, depthMax: number): void {
  try {
    checkJson(text, { depthMax });
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw new JsonError(placeWithin(place, error.place), error.message);
  }
}

/** The error of a document that ends within a value. */
function cutOff(text: string, place: Place, end: Place): JsonError {
  try {
    checkPart(text, place, Number.MAX_SAFE_INTEGER);
  } catch (error) {
    if (error instanceof JsonError) return error;
    throw error;
  }
  return new JsonError(end, 'the file ends where "," should be');
}
