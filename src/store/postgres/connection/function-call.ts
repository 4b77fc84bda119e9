import { BigintList } from "./bigint-list.ts";

/** Gets the answer of a call, or its error. */
export type Answered = (error: unknown, answer?: string | null) => void;

/** The members of a connection of `pg` that a query of its own class uses. */
export interface Wire {
  readonly stream: { write(bytes: Uint8Array): unknown };
  /** The texts of the named statements that the server has parsed on this connection. */
  readonly parsedStatements: { readonly [name: string]: string | undefined };
  parse(statement: { readonly name: string; readonly text: string }): void;
}

/**
 * A named statement that returns one row with one text or null, as a query of its own class for `pg`, which calls its methods.
 * The class that `pg` has for all queries writes four messages into four buffers, asks for the types of the columns, and makes
 * objects of result, fields and row. Each commit waits for one such statement.
 */
export class FunctionCall {
  readonly name: string;
  readonly text: string;
  /** `pg` sets it, and replaces it once its timeout has passed. */
  callback: Answered | undefined;
  readonly #messages: Uint8Array;
  /** Undefined until a row has come. */
  #answer: string | null | undefined;

  constructor(name: string, text: string, values: readonly unknown[]) {
    this.name = name;
    this.text = text;
    this.#messages = messagesFor(name, values);
  }

  submit(connection: Wire): null {
    // `pg` notes the name when the server has parsed the statement.
    if (connection.parsedStatements[this.name] === undefined) connection.parse(this);
    connection.stream.write(this.#messages);
    return null;
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    this.#answer = fields[0] ?? null;
  }

  handleCommandComplete(): void {
    // The commit is complete, but an error may follow it until the connection is ready.
  }

  handleReadyForQuery(): void {
    if (this.#answer === undefined) this.callback?.(new Error("the server answered a call without a row"));
    else this.callback?.(null, this.#answer);
  }

  handleError(error: unknown): void {
    this.callback?.(error);
  }
}

const bind = 0x42;
/** The message `Execute` without a limit of rows, and the message `Sync`. */
const executeAndSync = Buffer.from([0x45, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0x53, 0, 0, 0, 4]);
const format = { text: 0, binary: 1 } as const;
/** A shorter text gets room for three bytes a character, which costs less than to count its bytes. */
const shortText = 64;

/** A value that is sent as it is. */
type Sent = string | Buffer | BigintList | null;

/**
 * The messages `Bind`, `Execute` and `Sync` (https://www.postgresql.org/docs/current/protocol-message-formats.html). Bytes are sent
 * as they are, other values as text, as is the result.
 */
export function messagesFor(name: string, values: readonly unknown[]): Uint8Array {
  const sent: Sent[] = [];
  // The code, the length, the portal, the name, two counts of the values, the count of the formats of the result.
  let size = 1 + 4 + 1 + roomOf(name) + 1 + 2 + 2 + 2;
  for (const value of values) {
    const one = isSentAsIs(value) ? (value as Sent) : String(value);
    sent.push(one);
    size += 2 + 4 + (one === null ? 0 : typeof one === "string" ? roomOf(one) : bytesOf(one));
  }
  const bytes = Buffer.allocUnsafe(size + executeAndSync.length);
  bytes[0] = bind;
  let end = bytes.writeUInt8(0, 5);
  end += bytes.write(name, end);
  end = bytes.writeUInt8(0, end);
  end = bytes.writeUInt16BE(sent.length, end);
  for (const one of sent) end = bytes.writeUInt16BE(isBinary(one) ? format.binary : format.text, end);
  end = bytes.writeUInt16BE(sent.length, end);
  for (const one of sent) {
    const start = end + 4;
    const length =
      one === null ? -1 : typeof one === "string" ? bytes.write(one, start) : writeBinary(one, bytes, start);
    end = bytes.writeInt32BE(length, end) + Math.max(0, length);
  }
  end = bytes.writeUInt16BE(0, end);
  bytes.writeInt32BE(end - 1, 1);
  end += executeAndSync.copy(bytes, end);
  return bytes.subarray(0, end);
}

function isSentAsIs(value: unknown): boolean {
  return value === null || typeof value === "string" || isBinary(value);
}

function isBinary(value: unknown): value is Buffer | BigintList {
  return Buffer.isBuffer(value) || value instanceof BigintList;
}

function bytesOf(value: Buffer | BigintList): number {
  return value instanceof BigintList ? value.bytes : value.length;
}

function writeBinary(value: Buffer | BigintList, bytes: Buffer, start: number): number {
  return value instanceof BigintList ? value.writeTo(bytes, start) : value.copy(bytes, start);
}

function roomOf(text: string): number {
  return text.length < shortText ? text.length * 3 : Buffer.byteLength(text);
}
