/** The messages that wait for one session, bounded by their number and by their bytes. */
import type { SessionKey } from "../domain/record/entry.ts";
import { SessionError } from "../errors.ts";
import type { Within } from "../store/calls/async-context.ts";

/** A message that waits, and what settles the call that sent it. */
export interface Letter {
  readonly message: unknown;
  readonly bytes: number;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
  /** The async context of the sender: the loop that answers runs in that of the call that woke it. */
  readonly within: Within | undefined;
  /** How many lives have been at it. */
  tries: number;
}

/** How much may wait. */
export interface MailboxLimits {
  readonly mailboxMax: number;
  readonly mailboxBytesMax: number;
}

export class Mailbox {
  readonly #letters: Letter[] = [];
  #bytes = 0;

  get length(): number {
    return this.#letters.length;
  }

  get first(): Letter | undefined {
    return this.#letters[0];
  }

  /** Refuses a message beyond the limits; a message that waits alone may have any size. @throws SessionError `mailbox_full` */
  guardRoom(key: SessionKey, bytes: number, { mailboxMax, mailboxBytesMax }: MailboxLimits): void {
    const waiting = this.length;
    const isFull = waiting >= mailboxMax || (waiting > 0 && this.#bytes + bytes > mailboxBytesMax);
    if (!isFull) return;
    throw new SessionError("mailbox_full", {
      sessionId: key.id,
      tenant: key.tenant,
      waiting,
      waitingMax: mailboxMax,
      bytes: this.#bytes,
      bytesMax: mailboxBytesMax,
    });
  }

  push(letter: Letter): void {
    this.#letters.push(letter);
    this.#bytes += letter.bytes;
  }

  /** Put a letter in front of the others, to be tried again. */
  putBack(letter: Letter): void {
    this.#letters.unshift(letter);
    this.#bytes += letter.bytes;
  }

  shift(): Letter | undefined {
    const letter = this.#letters.shift();
    this.#bytes -= letter?.bytes ?? 0;
    return letter;
  }

  takeAll(): readonly Letter[] {
    this.#bytes = 0;
    return this.#letters.splice(0);
  }
}

/** What each value costs beside its text or bytes. */
const valueBytes = 8;

/**
 * The bytes of a message: texts in UTF-8, buffers as they are, some bytes for each other value. Counting ends where it is
 * beyond `bytesMax`.
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
