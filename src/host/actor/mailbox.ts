/** The messages that wait for one session, bounded by their number and by their bytes. */
import type { SessionKey } from "../../domain/record/entry.ts";
import { SessionError } from "../../errors.ts";
import { contextOfCall } from "../../sessions/tracing/operation.ts";
import type { Within } from "../../store/calls/async-context.ts";

/** A waiting message, with the callbacks that settle the call that sent it. */
export interface QueuedMessage {
  readonly message: unknown;
  readonly bytes: number;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
  /** Runs work in the sender's async context; the loop that answers runs in that of the call that started it. */
  readonly runInContext: Within | undefined;
  /** How often its delivery was attempted. */
  attempts: number;
}

/** Limits of a mailbox. */
export interface MailboxLimits {
  readonly mailboxMax: number;
  readonly mailboxBytesMax: number;
}

/** The waiting messages of one session, in order. */
export class Mailbox {
  readonly #key: SessionKey;
  readonly #limits: MailboxLimits;
  readonly #messages: QueuedMessage[] = [];
  #bytes = 0;

  constructor(key: SessionKey, limits: MailboxLimits) {
    this.#key = key;
    this.#limits = limits;
  }

  get length(): number {
    return this.#messages.length;
  }

  get first(): QueuedMessage | undefined {
    return this.#messages[0];
  }

  /**
   * Appends a message. Resolves or rejects with its answer. A message that waits alone may have any size.
   * @throws SessionError `mailbox_full`, before anything is queued
   */
  push(message: unknown): Promise<unknown> {
    const bytes = messageBytes(message, this.#limits.mailboxBytesMax);
    this.#guardLimits(bytes);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#messages.push({ message, bytes, resolve, reject, runInContext: contextOfCall(), attempts: 0 });
    this.#bytes += bytes;
    return promise;
  }

  #guardLimits(bytes: number): void {
    const { mailboxMax, mailboxBytesMax } = this.#limits;
    const waiting = this.length;
    const isFull = waiting >= mailboxMax || (waiting > 0 && this.#bytes + bytes > mailboxBytesMax);
    if (!isFull) return;
    throw new SessionError("mailbox_full", {
      sessionId: this.#key.id,
      tenant: this.#key.tenant,
      waiting,
      waitingMax: mailboxMax,
      bytes: this.#bytes,
      bytesMax: mailboxBytesMax,
    });
  }

  /** Puts a message back in front of the others, to be delivered again. */
  putBack(message: QueuedMessage): void {
    this.#messages.unshift(message);
    this.#bytes += message.bytes;
  }

  shift(): QueuedMessage | undefined {
    const message = this.#messages.shift();
    this.#bytes -= message?.bytes ?? 0;
    return message;
  }

  /** Rejects all waiting messages, each with an error of its own. */
  rejectAll(error: () => Error): void {
    this.#bytes = 0;
    for (const message of this.#messages.splice(0)) message.reject(error());
  }
}

/** Bytes counted for each value, beside the bytes of its text or buffer. */
const valueBytes = 8;

/**
 * The size of a message: strings in UTF-8, buffers as they are, a few bytes for each other value. Counting stops once the
 * size exceeds `bytesMax`.
 */
export function messageBytes(message: unknown, bytesMax: number): number {
  const seen = new Set<object>();
  const open: unknown[] = [message];
  let bytes = 0;
  while (open.length > 0 && bytes <= bytesMax) {
    const value = open.pop();
    bytes += valueBytes;
    if (typeof value === "string") bytes += Buffer.byteLength(value);
    if (typeof value !== "object" || value === null || seen.has(value)) continue;
    seen.add(value);
    if (ArrayBuffer.isView(value)) open.push(value.buffer);
    else if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer) bytes += value.byteLength;
    else if (value instanceof Map) for (const pair of value) open.push(...pair);
    else if (value instanceof Set) for (const item of value) open.push(item);
    else if (Array.isArray(value)) for (const item of value) open.push(item);
    else {
      for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(value))) {
        bytes += Buffer.byteLength(name);
        open.push(descriptor.value); // a getter is not called
      }
    }
  }
  return bytes;
}
