import { guardNumber, invalidArgument } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import type {
  Attachment,
  AttachmentRange,
  OpenAttachment,
  PutAttachmentOptions,
  StoredAttachment,
} from "../../index.ts";
import { SessionError } from "../../errors.ts";
import type { WireAttachment, WireAttachments } from "../../protocol/attachment-schemas.ts";
import { lengthHeader } from "../../protocol/wire.ts";
import type { Http } from "../http.ts";

const putNames: OptionNames<PutAttachmentOptions> = { type: true, name: true };
const rangeNames: OptionNames<AttachmentRange> = { from: true, to: true };

/** The attachments of a session over HTTP. */
export class RemoteAttachments {
  readonly #http: Http;
  readonly #path: string;

  /** Made by `RemoteSession`. @internal */
  constructor(http: Http, session: string) {
    this.#http = http;
    this.#path = `${session}/attachments`;
  }

  /**
   * Stores bytes. A lost request is repeated, but for a stream, which can be read once.
   * @throws SessionError as for a local session
   */
  async put(
    source: Uint8Array | Blob | ReadableStream<Uint8Array>,
    options: PutAttachmentOptions,
  ): Promise<StoredAttachment> {
    const isSource = [Uint8Array, Blob, ReadableStream].some((kind) => source instanceof kind);
    // fetch sends another value as its text.
    if (!isSource) throw invalidArgument("source", source, { expected: "byte_source" });
    guardNames(options, "options", putNames);
    const { type, name } = options;
    const answer = await this.#http.ask({
      method: "POST",
      path: this.#path,
      query: defined({ name }),
      bytes: source,
      headers: { "content-type": type },
      ...(source instanceof ReadableStream && { once: true }),
    });
    return answer.body as WireAttachment;
  }

  /** The attachments of the session, by their hash. @throws SessionError as for a local session */
  async list(): Promise<readonly Attachment[]> {
    const { body } = await this.#http.ask({ method: "GET", path: this.#path });
    return (body as WireAttachments).items;
  }

  /** Opens an attachment, to read its bytes or a range of them once. @throws SessionError as for a local session */
  async open(hash: string, range: AttachmentRange = {}): Promise<OpenAttachment> {
    guardNames(range, "range", rangeNames);
    const { from = 0, to } = range;
    guardNumber(from, "from", 0);
    if (to !== undefined) guardNumber(to, "to", 0);
    if (!isOrdered(from, to)) throw new SessionError("range_invalid", { from, to: to ?? from });
    // No header names zero bytes.
    const isNamed = (from > 0 || to !== undefined) && to !== from - 1;
    let response = await this.#get(hash, isNamed ? `bytes=${from}-${to ?? ""}` : undefined);
    // That of no bytes at the end, perhaps: the type and the name come with the whole.
    if (response.status === 416) {
      await response.body?.cancel().catch(() => undefined);
      response = await this.#get(hash);
    }
    const { headers, body } = response;
    const length = this.#lengthOf(response);
    const last = to ?? length - 1;
    if (from > length || last >= length) {
      await body?.cancel().catch(() => undefined);
      throw new SessionError("range_invalid", { from, to: last, length });
    }
    const [, encoded] = /filename\*=UTF-8''(.*)$/.exec(headers.get("content-disposition") ?? "") ?? [];
    // A proxy may have left out the range.
    const skipped = response.status === 206 ? 0 : from;
    return {
      hash,
      type: headers.get("content-type") ?? "application/octet-stream",
      length,
      ...defined({ name: encoded === undefined ? undefined : decodeURIComponent(encoded) }),
      [Symbol.asyncIterator]: () => bytesOf(body, skipped, last - from + 1),
    };
  }

  async #get(hash: string, range?: string): Promise<Response> {
    return await this.#http.open({
      method: "GET",
      path: `${this.#path}/${encodeURIComponent(hash)}`,
      handled: 416,
      headers: defined({ range }),
    });
  }

  /** The length of the whole. @throws SessionError `store_unavailable` for a response that does not say it */
  #lengthOf({ headers, status }: Response): number {
    const [, whole] = /\/(\d+)$/.exec(headers.get("content-range") ?? "") ?? [];
    const length = headers.get(lengthHeader) ?? whole ?? headers.get("content-length");
    if (length !== null && /^\d{1,15}$/.test(length)) return Number(length);
    throw this.#http.unknownResponse(status);
  }
}

/** Whether the bounds are whole numbers in their order, with no bytes between them at least. */
function isOrdered(from: number, to: number | undefined): boolean {
  return Number.isSafeInteger(from) && from >= 0 && (to === undefined || (Number.isSafeInteger(to) && to >= from - 1));
}

/**
 * A part of the bytes of a body. Reads by a reader: not every browser can iterate over streams.
 * @throws SessionError `store_unavailable` for a body that ends before its last byte: the server found damaged bytes, or the
 *   connection broke
 */
async function* bytesOf(
  body: ReadableStream<Uint8Array> | null,
  skipped: number,
  wanted: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body?.getReader();
  try {
    let [before, left] = [skipped, wanted];
    while (left > 0) {
      const { done, value } = await read(reader);
      if (done || value === undefined) throw broken(new Error(`${left} of its bytes are missing`));
      const part = value.subarray(before, before + left);
      before = Math.max(0, before - value.length);
      left -= part.length;
      if (part.length > 0) yield part;
    }
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
}

async function read(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
): Promise<{ readonly done: boolean; readonly value?: Uint8Array | undefined }> {
  try {
    return (await reader?.read()) ?? { done: true };
  } catch (error) {
    throw broken(error);
  }
}

function broken(cause: unknown): SessionError {
  return new SessionError("store_unavailable", { problem: "stream_broken" }, { cause });
}
