/**
 * Values as text and back, exactly.
 *
 * The text is JSON. Values that JSON lacks are tagged: `{"$type":"date","value":"2026-01-01T00:00:00.000Z"}`, and
 * likewise `bytes` (base64), `bigint` (decimal) and `number` (`-0`). A plain object with its own `$type` is wrapped as
 * `{"$type":"object","value":{…}}`, so no text of a user is mistaken for a tag. Decoding makes no class instances and
 * executes nothing. Properties that are `undefined` are left out, as in JSON. Values that cannot be restored
 * (functions, symbols, cycles, class instances, NaN, holes) are refused with their path.
 */
import { SessionError } from "../../errors.ts";
import type { Expectation } from "../../errors/expectations.ts";

/** A value that every store keeps exactly. */
export type Value =
  | null
  | boolean
  | number
  | string
  | bigint
  | Date
  | Uint8Array
  | readonly Value[]
  | { readonly [key: string]: Value | undefined };

/** Deeper nesting is refused, because it would exhaust the stack of some reader. */
const depthMax = 512;

/** Decimal digits of a bigint: the time to read and write them grows with the square of their number. */
const digitsMax = 1024;

/** The text of a value. @throws SessionError `value_unstorable` with the path of the part that cannot be stored */
export function encode(value: unknown, name = "value"): string {
  return JSON.stringify(plainOf(value, name));
}

/** The value as JSON has it, with its other parts tagged. @throws SessionError as {@link encode} */
export function plainOf(value: unknown, name: string): unknown {
  return isPlain(value, 0) ? value : toPlain(value, { path: [name], ancestors: new Set() });
}

/**
 * As {@link encode}, of an object that this program has just made. The caller names what the object holds: its lists, which this
 * program made too, and its other values. Only these are checked, which takes half the time.
 */
export function encodeMade(
  made: object,
  { lists, others }: { readonly lists: readonly (readonly unknown[])[]; readonly others: readonly unknown[] },
  name: string,
): string {
  for (const other of others) if (other !== undefined && !isPlain(other, 1)) return encode(made, name);
  for (const list of lists) for (const item of list) if (!isPlain(item, 2)) return encode(made, name);
  return JSON.stringify(made);
}

/** Values of most turns are less deep; a deeper one, or one with a cycle, takes the longer way. */
const plainDepthMax = 32;

/** True for a value that surely needs no tag and can be stored: most values. The check makes no objects. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "string":
    case "boolean":
      return true;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0);
    case "object":
      return value === null || (depth < plainDepthMax && isPlainObject(value, depth));
    default:
      return false;
  }
}

function isPlainObject(value: object, depth: number): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return false;
  if (Array.isArray(value)) {
    // More keys than items are properties beside them, and an item without a key is a hole, which is undefined.
    if (prototype !== Array.prototype || Object.keys(value).length !== value.length) return false;
    for (const item of value) if (!isPlain(item, depth + 1)) return false;
    return true;
  }
  if (prototype !== Object.prototype || Object.getOwnPropertySymbols(value).length > 0) return false;
  // The loop reads inherited names too, which JSON leaves out: it may refuse too much, and the longer way takes the own names.
  for (const name in value) {
    if (name === "$type") return false;
    const item = (value as Record<string, unknown>)[name];
    if (item !== undefined && !isPlain(item, depth + 1)) return false;
  }
  return true;
}

/** The value of a text that {@link encode} made. @throws SyntaxError, TypeError for another text */
export function decode(text: string): Value {
  const plain = JSON.parse(text) as Value;
  // Every tag contains this text, so without it there is nothing to convert. A search that begins with the rarest
  // character is many times faster than one that begins with a quotation mark.
  return text.includes('$type"') ? fromPlain(plain) : plain;
}

interface Walk {
  readonly path: (string | number)[];
  readonly ancestors: Set<object>;
}

/** The same value if JSON has it, else a copy with the other parts tagged. */
function toPlain(value: unknown, walk: Walk): unknown {
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "number":
      if (Object.is(value, -0)) return { $type: "number", value: "-0" };
      if (!Number.isFinite(value)) throw unstorable(walk, { value: String(value), expected: "finite_number" });
      return value;
    case "bigint":
      return { $type: "bigint", value: digitsOf(value, walk) };
    case "object":
      return value === null ? null : objectToPlain(value, walk);
    default:
      throw unstorable(walk, {
        value: value === undefined ? "undefined" : `a ${typeof value}`,
        expected: "plain_data",
      });
  }
}

function objectToPlain(value: object, walk: Walk): unknown {
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw unstorable(walk, { value: "an invalid Date", expected: "date" });
    return { $type: "date", value: value.toISOString() };
  }
  if (value instanceof Uint8Array) {
    return { $type: "bytes", value: base64Of(value) };
  }
  if (walk.ancestors.has(value)) throw unstorable(walk, { expected: "acyclic" });
  if (walk.ancestors.size >= depthMax) throw unstorable(walk, { expected: "depth", max: depthMax });
  walk.ancestors.add(value);
  const plain = Array.isArray(value) ? arrayToPlain(value, walk) : recordToPlain(value, walk);
  walk.ancestors.delete(value);
  return plain;
}

function arrayToPlain(value: readonly unknown[], walk: Walk): unknown {
  const prototype: unknown = Object.getPrototypeOf(value);
  // Array.prototype is an array itself, in every realm; that of a class which extends it is not.
  if (!Array.isArray(prototype)) throw instanceOf(prototype, walk);
  guardToJson(value, walk);
  const keys = Object.keys(value);
  if (keys.length > value.length) {
    walk.path.push(keys[value.length] ?? "");
    throw unstorable(walk, { value: "a property of an array", expected: "plain_data" });
  }
  let copy: unknown[] | undefined;
  for (let index = 0; index < value.length; index++) {
    walk.path.push(index);
    const item = value[index];
    const plain = toPlain(item, walk);
    if (plain !== item) copy ??= value.slice();
    if (copy !== undefined) copy[index] = plain;
    walk.path.pop();
  }
  return copy ?? value;
}

function recordToPlain(value: object, walk: Walk): unknown {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    // A plain object of another realm (a worker, a vm) has that realm's Object.prototype above it and nothing above that.
    if (Object.getPrototypeOf(prototype) !== null || !Object.hasOwn(prototype as object, "isPrototypeOf")) {
      throw instanceOf(prototype, walk);
    }
  }
  guardToJson(value, walk);
  if (Object.getOwnPropertySymbols(value).length > 0)
    throw unstorable(walk, { value: "an object with a symbol as a property name", expected: "plain_data" });
  const record = value as Record<string, unknown>;
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(record)) {
    walk.path.push(key);
    const item = record[key];
    if (item !== undefined) {
      const plain = toPlain(item, walk);
      if (plain !== item) {
        copy ??= { ...record };
        setOwn(copy, key, plain);
      }
    }
    walk.path.pop();
  }
  const plain = copy ?? record;
  return Object.hasOwn(record, "$type") ? { $type: "object", value: plain } : plain;
}

function digitsOf(value: bigint, walk: Walk): string {
  // Hexadecimal digits take no such time, and are fewer.
  const isShort = value.toString(16).length <= digitsMax + 1;
  const digits = isShort ? value.toString() : "";
  if (isShort && digits.replace("-", "").length <= digitsMax) return digits;
  throw unstorable(walk, { value: "a longer bigint", expected: "bigint", max: digitsMax });
}

/** JSON.stringify would call it and store its result instead. */
function guardToJson(value: object, walk: Walk): void {
  if (typeof (value as { toJSON?: unknown }).toJSON === "function")
    throw unstorable(walk, { value: "an object with a method toJSON", expected: "plain_data" });
}

function instanceOf(prototype: unknown, walk: Walk): SessionError {
  const { constructor } = (prototype ?? {}) as { constructor?: unknown };
  const name = typeof constructor === "function" && constructor.name !== "" ? constructor.name : "a class";
  return unstorable(walk, { value: `an instance of ${name}`, expected: "plain_data" });
}

function unstorable(walk: Walk, expectation: Expectation): SessionError {
  let path = "";
  for (const step of walk.path) {
    path += typeof step === "number" ? `[${step}]` : path === "" ? step : `.${step}`;
  }
  return new SessionError("value_unstorable", {
    path: path.length > 200 ? `${path.slice(0, 200)}…` : path,
    ...expectation,
  });
}

function fromPlain(plain: Value): Value {
  if (typeof plain !== "object" || plain === null) return plain;
  if (Array.isArray(plain)) return plain.map(fromPlain);
  const record = plain as Record<string, Value>;
  if (Object.hasOwn(record, "$type")) return untag(record);
  return mapOwn(record);
}

function untag(record: Record<string, Value>): Value {
  const { $type: type, value } = record;
  if (type === "object") return mapOwn(value as Record<string, Value>);
  if (typeof value !== "string") throw new TypeError(`a stored value has the unknown tag ${JSON.stringify(type)}`);
  switch (type) {
    case "date":
      return dateOf(value);
    case "bytes":
      return bytesOf(value);
    case "bigint":
      if (value.length > digitsMax + 1) throw new TypeError(`a bigint has more than ${digitsMax} digits`);
      return BigInt(value);
    case "number":
      if (value !== "-0") throw new TypeError(`a stored number is ${JSON.stringify(value)}`);
      return -0;
    default:
      throw new TypeError(`a stored value has the unknown tag ${JSON.stringify(type)}`);
  }
}

function dateOf(text: string): Date {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) throw new TypeError(`a stored date is ${JSON.stringify(text)}`);
  return date;
}

/** Browsers, which decode responses over HTTP, have no Buffer. */
const hasBuffer = typeof Buffer !== "undefined";

export function base64Of(bytes: Uint8Array): string {
  if (hasBuffer) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function bytesOf(base64: string): Uint8Array {
  if (hasBuffer) return new Uint8Array(Buffer.from(base64, "base64"));
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function mapOwn(record: Record<string, Value>): Value {
  const copy: Record<string, Value> = {};
  for (const key of Object.keys(record)) setOwn(copy, key, fromPlain(record[key] ?? null));
  return copy;
}

/** Assign as JSON.parse does: `__proto__` becomes a property like any other. */
function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  } else {
    target[key] = value;
  }
}

/** Parts of a text, each of which takes at most so many bytes as a JSON string. */
export function slicesOf(text: string, bytesMax: number): readonly string[] {
  // A UTF-16 unit of JSON text takes up to 3 bytes. The halves of a pair that a slice parts take 6 each: leave room for those.
  const length = Math.max(1, Math.floor(bytesMax / 3));
  return Array.from({ length: Math.ceil(text.length / length) }, (_, at) => text.slice(at * length, (at + 1) * length));
}
