import { guardNumber } from "../../domain/values/invalid-argument.ts";
import { parseFileName, parseHash, parseMediaType, type Attachment } from "../../domain/attachments/attachment.ts";
import { partOf } from "../../domain/attachments/reference-url.ts";
import type { Value } from "../../domain/values/codec.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import { SessionError } from "../../errors.ts";
import { attachmentsOf, bytesOf, findAttachment, type ByteSpan } from "../attachments/list.ts";
import { parseSource, type AttachmentSource } from "../attachments/pieces.ts";
import { putAttachment } from "../attachments/put.ts";
import type { Referrer } from "../attachments/records.ts";
import type { Core } from "../core/core.ts";
import type { Handle } from "../handle/handle.ts";
import { traceCall } from "../tracing/operation.ts";

/** What an attachment is. */
export interface PutAttachmentOptions {
  /** Its media type, such as `image/png`. */
  readonly type: string;
  /** The name of its file, at most 255 characters. @default none */
  readonly name?: string;
}

const putNames: OptionNames<PutAttachmentOptions> = { type: true, name: true };

/** An attachment that was put. */
export interface StoredAttachment extends Attachment {
  /** A part for the content of a message: a picture, or a file. It holds a reference, and a model gets the bytes. */
  readonly part: Value;
}

/** A range of bytes, from 0. */
export interface AttachmentRange {
  /** @default 0 */
  readonly from?: number;
  /** The last byte, included. @default the last one of the attachment */
  readonly to?: number;
}

const rangeNames: OptionNames<AttachmentRange> = { from: true, to: true };

/** A range, or a function that gives the one of an attachment, for example of its last bytes. */
export type RangeOfAttachment = AttachmentRange | ((attachment: Attachment) => AttachmentRange);

/** The bytes of an attachment, as they are read from the store. They can be iterated once at a time, from their beginning. */
export interface OpenAttachment extends Attachment, AsyncIterable<Uint8Array> {}

/**
 * The attachments of one session: bytes of any size beside its messages. The store has each content once for each tenant, and a
 * session opens those alone that were put into it. They are removed with the session.
 */
export class Attachments {
  readonly #handle: Handle;

  /** Made by `Session`. @internal */
  constructor(handle: Handle) {
    this.#handle = handle;
  }

  /**
   * Store bytes, as they arrive. Resolves once they are durable. The same bytes again are the same attachment, with its first type and
   * name. An attachment that no entry of the session names is removed a week later.
   * @throws SessionError `attachment_too_large`, `attachments_exceeded`, `argument_invalid`, `store_unavailable` in the fallback, or
   *   that of the session's state
   */
  async put(source: AttachmentSource, options: PutAttachmentOptions): Promise<StoredAttachment> {
    guardNames(options, "options", putNames);
    const type = parseMediaType(options.type);
    const name = options.name === undefined ? undefined : parseFileName(options.name);
    const bytes = parseSource(source);
    const { core } = this.#handle;
    core.guardStore();
    return await traceCall(this.#handle.about("attachments.put"), async () => {
      // Uploads may take long: the other operations of the session do not wait for them.
      const view = this.#handle.freshView();
      const stored = await core.take(() => putAttachment(view, core, bytes, { type, ...defined({ name }) }));
      this.#handle.learn(view.record);
      return { ...stored, part: partOf(stored) };
    });
  }

  /** Type, length and name of an attachment. @throws SessionError `attachment_not_found`, `argument_invalid` */
  async get(hash: string): Promise<StoredAttachment> {
    const parsed = parseHash(hash);
    return await traceCall(this.#handle.about("attachments.get"), async () => {
      this.#handle.core.guardOpen();
      const found = await findAttachment(this.#handle.core, this.#handle.record, parsed);
      return { ...found, part: partOf(found) };
    });
  }

  /** The attachments of the session, by their hash. */
  async list(): Promise<readonly Attachment[]> {
    return await traceCall(this.#handle.about("attachments.list"), async () => {
      this.#handle.core.guardOpen();
      return await attachmentsOf(this.#handle.core, this.#handle.record);
    });
  }

  /**
   * Open an attachment, to read its bytes or a range of them, with a few of them in memory.
   * @throws SessionError `attachment_not_found`, also for an attachment of another session, `range_invalid`, `argument_invalid`;
   *   while it is read also `store_invalid` where bytes are missing or, in a read of all bytes, are not those that were put: then
   *   the last piece does not come
   */
  async open(hash: string, range: RangeOfAttachment = {}): Promise<OpenAttachment> {
    guardRange(range);
    const parsed = parseHash(hash);
    const { core, record } = this.#handle;
    return await traceCall(this.#handle.about("attachments.open"), async () => {
      core.guardOpen();
      return await openedAttachment(core, record, parsed, range);
    });
  }
}

/** An attachment of a session. @throws SessionError as {@link Attachments.open} */
export async function openedAttachment(
  core: Core,
  session: Referrer,
  hash: string,
  range: RangeOfAttachment,
): Promise<OpenAttachment> {
  guardRange(range);
  const attachment = await findAttachment(core, session, parseHash(hash));
  const asked = typeof range === "function" ? range(attachment) : range;
  guardRange(asked);
  const span = spanOf(asked, attachment);
  return { ...attachment, [Symbol.asyncIterator]: () => bytesOf(core, session, attachment, span) };
}

/** @throws SessionError `argument_invalid` */
function guardRange(range: RangeOfAttachment): void {
  if (typeof range !== "function") guardNames(range, "range", rangeNames);
}

/** @throws SessionError `range_invalid` */
function spanOf({ from = 0, to }: AttachmentRange, { length }: Attachment): ByteSpan {
  const last = to ?? length - 1;
  guardNumber(from, "from", 0);
  guardNumber(last, "to", 0);
  const isWhole = Number.isSafeInteger(from) && Number.isSafeInteger(last);
  if (isWhole && from >= 0 && last >= from - 1 && last < length) return { from, to: last };
  throw new SessionError("range_invalid", { from, to: last, length });
}
