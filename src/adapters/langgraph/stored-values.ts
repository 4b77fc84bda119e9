/**
 * Values of a graph as values that Perdure stores, and back, exactly. Perdure keeps plain data, dates, bytes and bigints. Other
 * values have a tag in the field `$lg`: messages and other objects of LangChain, maps, sets, regular expressions, errors,
 * documents, `undefined`, and numbers that JSON lacks. A plain object with a field `$lg` of its own is tagged as well, so no data
 * is taken for a tag. Functions, symbols, cycles and instances of all other classes are refused with their path.
 */
import { SessionError, type Value } from "../../index.ts";
import { defined } from "../../domain/values/defined.ts";
import {
  fieldsOfMessage,
  isMessage,
  messageClasses,
  messageOf,
  nameOf,
  type MessageClasses,
} from "../langchain/package-core.ts";
import { DeltaSnapshot } from "./package-checkpoint.ts";

type Stored = { readonly [name: string]: Value };

/** Deeper values are refused, as in a turn. */
const depthMax = 500;

/** @throws SessionError `value_unstorable` with the path of the part that cannot be stored */
export function toStored(value: unknown, path: string): Value {
  return new Encoder(path).encode(value);
}

class Encoder {
  readonly #path: (string | number)[];
  readonly #ancestors = new Set<object>();

  constructor(path: string) {
    this.#path = [path];
  }

  encode(value: unknown): Value {
    switch (typeof value) {
      case "undefined":
        return { $lg: "undefined" };
      case "number":
        return Number.isFinite(value) ? value : { $lg: "number", value: String(value) };
      case "object":
        return value === null ? null : this.#object(value);
      case "function":
      case "symbol":
        throw this.#refused(`a ${typeof value}`);
      default:
        return value as Value;
    }
  }

  #object(value: object): Value {
    if (value instanceof Uint8Array || value instanceof Date) return value;
    if (this.#ancestors.has(value)) throw this.#refused(undefined, "acyclic");
    if (this.#ancestors.size >= depthMax) throw this.#refused(undefined, "depth");
    this.#ancestors.add(value);
    const stored = Array.isArray(value) ? this.#list(value) : this.#fieldsOrInstance(value);
    this.#ancestors.delete(value);
    return stored;
  }

  #list(list: readonly unknown[]): Value {
    let changed: Value[] | undefined;
    for (let index = 0; index < list.length; index++) {
      const stored = this.#at(index, list[index]);
      if (changed === undefined && (stored !== list[index] || !(index in list)))
        changed = list.slice(0, index) as Value[];
      changed?.push(stored);
    }
    return changed ?? (list as readonly Value[]);
  }

  #fieldsOrInstance(value: object): Value {
    const prototype: unknown = Object.getPrototypeOf(value);
    if (prototype === Object.prototype || prototype === null) return this.#fields(value);
    if (isMessage(value))
      return { $lg: "message", class: nameOf(value), fields: this.#entries(fieldsOfMessage(value)) };
    if (value instanceof Map)
      return {
        $lg: "map",
        value: Array.from(value, ([key, item]) => [this.#at("key", key), this.#at(String(key), item)]),
      };
    if (value instanceof Set) return { $lg: "set", value: Array.from(value, (item, index) => this.#at(index, item)) };
    if (value instanceof RegExp) return { $lg: "regexp", source: value.source, flags: value.flags };
    if (value instanceof Error) return { $lg: "error", name: value.name, message: value.message };
    return this.#instance(value as Readonly<Record<string, unknown>>);
  }

  /** Objects of LangGraph and LangChain, which are known by their fields: their classes differ between versions. */
  #instance(value: Readonly<Record<string, unknown>>): Value {
    const { lg_name: name, lc_serializable: isSerializable, node, args, timeout } = value;
    switch (name) {
      case "DeltaSnapshot":
        return { $lg: "delta", value: this.#at("value", value["value"]) };
      case "Send":
        return this.#fields({ node, args, ...defined({ timeout }) });
      case "Overwrite":
      case "Command":
        return this.encode((value as { toJSON(): unknown }).toJSON());
      default:
    }
    if (isSerializable === true) return this.#serializable(value);
    const { constructor } = value;
    const className = typeof constructor === "function" ? constructor.name : "";
    if (className === "Document" && typeof value["pageContent"] === "string")
      return { $lg: "document", fields: this.#fields({ ...value }) };
    throw this.#refused(`an instance of ${className === "" ? "a class" : className}`);
  }

  /** An object that LangChain itself stores as JSON; one that holds a secret, or another object that it cannot store, is refused. */
  #serializable(value: object): Value {
    const text = JSON.stringify(value);
    if (/"type":"(?:secret|not_implemented)"/.test(text))
      throw this.#refused(`an instance of ${value.constructor.name}`);
    return { $lg: "lc", value: JSON.parse(text) as Value };
  }

  #fields(value: object): Value {
    const record = value as Readonly<Record<string, unknown>>;
    if (Object.hasOwn(record, "$lg")) return { $lg: "object", value: this.#entries(Object.entries(record)) };
    let isChanged = false;
    const entries: [string, Value][] = [];
    for (const name of Object.keys(record)) {
      const stored = this.#at(name, record[name]);
      isChanged ||= stored !== record[name];
      entries.push([name, stored]);
    }
    // A symbol as a name is refused where the value is stored.
    return isChanged ? Object.fromEntries(entries) : (record as Stored);
  }

  #entries(entries: Iterable<readonly [string, unknown]>): Stored {
    return Object.fromEntries(Array.from(entries, ([name, item]) => [name, this.#at(name, item)]));
  }

  #at(step: string | number, value: unknown): Value {
    this.#path.push(step);
    const stored = this.encode(value);
    this.#path.pop();
    return stored;
  }

  #refused(value: string | undefined, expected: "plain_data" | "acyclic" | "depth" = "plain_data"): SessionError {
    let path = "";
    for (const step of this.#path) path += typeof step === "number" ? `[${step}]` : path === "" ? step : `.${step}`;
    return new SessionError("value_unstorable", {
      path: path.length > 200 ? `${path.slice(0, 200)}…` : path,
      expected,
      ...defined({ value, max: expected === "depth" ? depthMax : undefined }),
    });
  }
}

/** @throws Error for a message or an object that the installed packages of LangChain do not have */
export async function fromStored(stored: Value): Promise<unknown> {
  if (typeof stored !== "object" || stored === null) return stored;
  const classes = await messageClasses();
  const decoder = new Decoder(classes);
  const value = decoder.decode(stored);
  if (decoder.missing.size === 0) return value;
  const made = await Promise.all(
    Array.from(decoder.missing, async (fields) => [fields, await instanceOf(fields)] as const),
  );
  return new Decoder(classes, new Map(made)).decode(stored);
}

/** Decodes at once. An object that can only be made asynchronously is taken from those that were made, or noted as missing. */
class Decoder {
  readonly #classes: MessageClasses;
  readonly #made: ReadonlyMap<Stored, unknown>;
  readonly missing = new Set<Stored>();

  constructor(classes: MessageClasses, made: ReadonlyMap<Stored, unknown> = new Map()) {
    this.#classes = classes;
    this.#made = made;
  }

  decode(stored: Value): unknown {
    if (typeof stored !== "object" || stored === null || stored instanceof Date || stored instanceof Uint8Array)
      return stored;
    if (Array.isArray(stored)) return this.#list(stored as readonly Value[]);
    const fields = stored as Stored;
    return Object.hasOwn(fields, "$lg") ? this.#tagged(fields) : this.#fields(fields);
  }

  #list(stored: Value): unknown[] {
    return (stored as readonly Value[]).map((item) => this.decode(item));
  }

  #fields(stored: Value): Record<string, unknown> {
    // fromEntries makes a property of the name __proto__, like any other.
    return Object.fromEntries(
      Object.entries(stored as Stored).map(([name, item]) => [name, this.decode(item ?? null)]),
    );
  }

  #tagged(stored: Stored): unknown {
    const { $lg: tag, value = null } = stored;
    switch (tag) {
      case "undefined":
        return undefined;
      case "number":
        return Number(value);
      case "object":
        return this.#fields(value);
      case "message":
        return messageOf(this.#classes, stored["class"] as string, this.#fields(stored["fields"] ?? null));
      case "map":
        return new Map(this.#list(value) as [unknown, unknown][]);
      case "set":
        return new Set(this.#list(value));
      case "regexp":
        return new RegExp(stored["source"] as string, stored["flags"] as string);
      case "error":
        return errorOf(stored["name"] as string, stored["message"] as string);
      case "delta":
        return new DeltaSnapshot(this.decode(value));
      case "document":
      case "lc":
        if (!this.#made.has(stored)) this.missing.add(stored);
        return this.#made.get(stored);
      default:
        throw new TypeError(`a stored value has the unknown tag ${JSON.stringify(tag)}`);
    }
  }
}

/** An object of a class that is loaded when it is first needed. */
async function instanceOf(stored: Stored): Promise<unknown> {
  return stored["$lg"] === "document"
    ? await documentOf(stored["fields"] ?? null)
    : await loaded(stored["value"] ?? null);
}

const errorClasses: readonly ErrorConstructor[] = [
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
];

/** An error of a class of JavaScript; one of another class is an `Error` with its name. */
function errorOf(name: string, message: string): Error {
  const ErrorClass = errorClasses.find((one) => one.name === name) ?? Error;
  const error = new ErrorClass(message);
  if (error.name !== name) error.name = name;
  return error;
}

async function documentOf(stored: Value): Promise<unknown> {
  // @ts-ignore -- The package is a peer: its types may be absent.
  const { Document } = (await import("@langchain/core/documents")) as {
    readonly Document: new (fields: object) => object;
  };
  return new Document((await fromStored(stored)) as object);
}

async function loaded(value: Value): Promise<unknown> {
  // @ts-ignore -- The package is a peer: its types may be absent.
  const { load } = (await import("@langchain/core/load")) as { load(this: void, text: string): Promise<unknown> };
  return await load(JSON.stringify(value));
}
