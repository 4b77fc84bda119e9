/** Messages with the bytes of their attachments in place of the references. */
import type { Attachment } from "../../domain/attachments/attachment.ts";
import { lostMarkIn } from "../../domain/attachments/detached-data.ts";
import {
  dataUrlOf,
  readReferenceUrl,
  replacedUrls,
  urlsIn,
  type ReferenceUrl,
} from "../../domain/attachments/reference-url.ts";
import type { Message } from "../../domain/turns/turn.ts";
import type { Value } from "../../domain/values/codec.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { bytesOf, findAttachment } from "./list.ts";
import type { Referrer } from "./records.ts";

/**
 * The messages as they leave the store: data URLs in place of references, or the URLs that `attachmentUrl` gives. The newest
 * messages come first, and each place of an attachment counts. Where one exceeds `requestAttachmentBytesMax` with those before it,
 * and where the session does not have it or its bytes are lost, a text names it. `onLost` gets the hashes of lost bytes.
 * @throws SessionError `attachment_store_failed`
 */
export async function resolvedMessages(
  core: Core,
  session: Referrer,
  messages: readonly Message[],
  onLost?: (hashes: ReadonlySet<string>) => Promise<void>,
): Promise<readonly Message[]> {
  if (urlsIn(messages, readShown).length === 0) return messages;
  const resolver = new Resolver(core, session);
  const resolved: Message[] = [];
  for (const message of messages.toReversed()) resolved.push(await resolver.message(message));
  if (resolver.lostHashes.size > 0) await onLost?.(resolver.lostHashes);
  return resolved.toReversed();
}

/** A reference, or the mark of data whose bytes are lost: an endpoint refuses both. */
type ShownUrl = ReferenceUrl & { readonly isLost?: true };

function readShown(text: string): ShownUrl | undefined {
  const reference = readReferenceUrl(text);
  if (reference !== undefined) return reference;
  const mark = lostMarkIn(text);
  return mark && { hash: mark.hash, type: mark.type ?? "application/octet-stream", isLost: true };
}

/** A reference, as its message shows it. */
type Shown = { readonly url: string; readonly inline?: Attachment } | { readonly missing: string };

class Resolver {
  readonly #core: Core;
  readonly #session: Referrer;
  readonly #shown = new Map<string, Shown>();
  #bytesLeft: number;
  /** The hashes of attachments and data whose bytes are lost. */
  readonly lostHashes: Set<string> = new Set();

  constructor(core: Core, session: Referrer) {
    this.#core = core;
    this.#session = session;
    this.#bytesLeft = core.options.limits.requestAttachmentBytesMax;
  }

  async message(message: Message): Promise<Message> {
    if (urlsIn([message], readShown).length === 0) return message;
    const { content } = message;
    if (!Array.isArray(content)) return { ...message, content: await this.#part(content as Value) };
    const parts: Value[] = [];
    for (const part of content as readonly Value[]) parts.push(await this.#part(part));
    return { ...message, content: parts };
  }

  async #part(part: Value): Promise<Value> {
    for (const url of urlsIn([{ content: [part] }], readShown)) await this.#resolve(url);
    let missing = "";
    const textFor = (reference: ShownUrl): string | undefined => {
      const shown = this.#shown.get(keyOf(reference));
      if (shown === undefined || "missing" in shown) missing = shown?.missing ?? "";
      return shown === undefined || "missing" in shown ? undefined : shown.url;
    };
    const instead = (): Value => ({ type: "text", text: missing });
    return replacedUrls(part, { read: readShown, textFor, instead }) ?? instead();
  }

  async #resolve(reference: ShownUrl): Promise<void> {
    const key = keyOf(reference);
    const shown = this.#shown.get(key);
    if (shown === undefined) this.#shown.set(key, await this.#show(reference));
    else if ("url" in shown && shown.inline !== undefined) {
      // Each place of it has the bytes once more.
      if (shown.inline.length > this.#bytesLeft) this.#shown.set(key, notShown(reference, shown.inline));
      else this.#bytesLeft -= shown.inline.length;
    }
  }

  async #show({ hash, type, isLost }: ShownUrl): Promise<Shown> {
    if (isLost === true) return this.#lost({ hash, type });
    let attachment: Attachment;
    try {
      attachment = await findAttachment(this.#core, this.#session, hash);
    } catch (error) {
      if (!hasCode(error, "attachment_not_found")) throw error;
      return { missing: `(attachment of type ${type}, which is no longer stored)` };
    }
    const { length } = attachment;
    const { id: session, tenant } = this.#session;
    const url = await this.#core.options.attachmentUrl?.({ ...attachment, type }, { session, tenant });
    if (url !== undefined) return { url };
    if (length > this.#bytesLeft) return notShown({ type }, attachment);
    this.#bytesLeft -= length;
    let chunks: readonly Uint8Array[];
    try {
      chunks = await Array.fromAsync(bytesOf(this.#core, this.#session, attachment));
    } catch (error) {
      if (!hasCode(error, "store_invalid")) throw error;
      this.#bytesLeft += length;
      return this.#lost({ ...attachment, type });
    }
    return { url: dataUrlOf({ type }, Buffer.concat(chunks).toString("base64")), inline: attachment };
  }

  #lost({ hash, type, name }: Pick<Attachment, "hash" | "type" | "name">): Shown {
    this.lostHashes.add(hash);
    return { missing: `(${titled(name)} of type ${type}, whose bytes are lost)` };
  }
}

function notShown({ type }: Pick<ReferenceUrl, "type">, { name, length }: Attachment): Shown {
  return { missing: `(${titled(name)} of type ${type} with ${length} bytes, which is not shown again)` };
}

function titled(name: string | undefined): string {
  return name === undefined ? "attachment" : `attachment ${name}`;
}

function keyOf({ hash, type, isLost }: ShownUrl): string {
  return `${isLost === true ? "lost " : ""}${hash}${type}`;
}
