/** Attachments over HTTP. */
import { z } from "zod";
import type { Attachment, StoredAttachment } from "../index.ts";

const fields = {
  hash: z.string().meta({ description: "the SHA-256 of the bytes, in hexadecimal" }),
  type: z.string(),
  length: z.number(),
  name: z.string().optional(),
};

export const attachmentAnswer: z.ZodType = z.object({
  ...fields,
  part: z.unknown().meta({ description: "a part for the content of a message" }),
});

export const attachmentsAnswer: z.ZodType = z.object({ items: z.array(z.object(fields)) });

/** An attachment that was put, as the server sends it. */
export type WireAttachment = StoredAttachment;
/** The attachments of a session, as the server sends them. */
export interface WireAttachments {
  readonly items: readonly Attachment[];
}
