import { defined } from "../../domain/values/defined.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import type {
  Attachment,
  AttachmentRange,
  OpenAttachment,
  PutAttachmentOptions,
  StoredAttachment,
} from "../../index.ts";
import type { WireAttachment, WireAttachments } from "../../protocol/attachment-schemas.ts";
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
    const isWhole = from === 0 && to === undefined;
    const response = await this.#http.open({
      method: "GET",
      path: `${this.#path}/${encodeURIComponent(hash)}`,
      headers: isWhole ? {} : { range: `bytes=${from}-${to ?? ""}` },
    });
    const { headers, body } = response;
    const [, encoded] = /filename\*=UTF-8''(.*)$/.exec(headers.get("content-disposition") ?? "") ?? [];
    const [, whole] = /\/(\d+)$/.exec(headers.get("content-range") ?? "") ?? [];
    return {
      hash,
      type: headers.get("content-type") ?? "application/octet-stream",
      length: Number(whole ?? headers.get("content-length")),
      ...defined({ name: encoded === undefined ? undefined : decodeURIComponent(encoded) }),
      [Symbol.asyncIterator]: () => bytesOf(body),
    };
  }
}

/** Reads by a reader: not every browser can iterate over streams. */
async function* bytesOf(body: ReadableStream<Uint8Array> | null): AsyncGenerator<Uint8Array, void, undefined> {
  const reader = body?.getReader();
  try {
    for (;;) {
      const { done, value } = (await reader?.read()) ?? { done: true };
      if (done || value === undefined) return;
      yield value;
    }
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
}
