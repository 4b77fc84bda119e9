/** Messages with the bytes of their attachments in place of the references. */
import type { Attachment } from "../../domain/attachments/attachment.ts";
import {
  dataUrlOf,
  referencesIn,
  replacedReferences,
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
 * attachments come first; of one that exceeds `requestAttachmentBytesMax` with those after it, and of one that the session does not
 * have, a text names it.
 */
export async function resolvedMessages(
  core: Core,
  session: Referrer,
  messages: readonly Message[],
): Promise<readonly Message[]> {
  if (referencesIn(messages).length === 0) return messages;
  const resolver = new Resolver(core, session);
  const resolved: Message[] = [];
  for (const message of messages.toReversed()) resolved.push(await resolver.message(message));
  return resolved.toReversed();
}

/** A reference, as its message shows it. */
type Shown = { readonly url: string } | { readonly missing: string };

class Resolver {
  readonly #core: Core;
  readonly #session: Referrer;
  readonly #shown = new Map<string, Shown>();
  #bytesLeft: number;

  constructor(core: Core, session: Referrer) {
    this.#core = core;
    this.#session = session;
    this.#bytesLeft = core.options.limits.requestAttachmentBytesMax;
  }

  async message(message: Message): Promise<Message> {
    const references = referencesIn([message]);
    if (references.length === 0) return message;
    for (const reference of references) await this.#resolve(reference);
    const content = (message.content as readonly Value[]).map((part) => this.#part(part));
    return { ...message, content };
  }

  #part(part: Value): Value {
    let missing = "";
    const replaced = replacedReferences(part, (reference) => {
      const shown = this.#shown.get(keyOf(reference));
      if (shown === undefined || "missing" in shown) missing = shown?.missing ?? "";
      return shown === undefined || "missing" in shown ? undefined : shown.url;
    });
    return replaced ?? { type: "text", text: missing };
  }

  async #resolve(reference: ReferenceUrl): Promise<void> {
    if (!this.#shown.has(keyOf(reference))) this.#shown.set(keyOf(reference), await this.#show(reference));
  }

  async #show({ hash, type }: ReferenceUrl): Promise<Shown> {
    let attachment: Attachment;
    try {
      attachment = await findAttachment(this.#core, this.#session, hash);
    } catch (error) {
      if (!hasCode(error, "attachment_not_found")) throw error;
      return { missing: `(attachment of type ${type}, which is no longer stored)` };
    }
    const { length, name } = attachment;
    const { id: session, tenant } = this.#session;
    const url = await this.#core.options.attachmentUrl?.({ ...attachment, type }, { session, tenant });
    if (url !== undefined) return { url };
    if (length > this.#bytesLeft)
      return { missing: `(attachment ${name ?? ""} of type ${type} with ${length} bytes, which is not shown again)` };
    this.#bytesLeft -= length;
    const chunks = await Array.fromAsync(bytesOf(this.#core, this.#session, attachment));
    return { url: dataUrlOf({ type }, Buffer.concat(chunks).toString("base64")) };
  }
}

function keyOf({ hash, type }: ReferenceUrl): string {
  return `${hash}${type}`;
}
