/** Puts, lists and opens the attachments of a session. */
import { z } from "zod";
import { defined } from "../../../domain/values/defined.ts";
import { SessionError } from "../../../errors.ts";
import type { Attachment, OpenAttachment, RangeOfAttachment, Session } from "../../../index.ts";
import { idInPath } from "../../../protocol/schemas.ts";
import { attachmentAnswer, attachmentsAnswer } from "../../../protocol/attachment-schemas.ts";
import { lengthHeader } from "../../../protocol/wire.ts";
import { problemResponse } from "../../http/problem-response.ts";
import { addRoute, brokenBody, jsonAnswer, type RequestContext } from "../../http/route.ts";
import type { Shared } from "../../http/server-context.ts";
import { rangeIn } from "./byte-range.ts";

/** The library checks ids and hashes, and reports why they are invalid. */
const hashInPath: z.ZodType<{ id: string; hash: string }> = z.object({
  id: z.string().min(1).max(4096),
  hash: z.string().min(1).max(4096),
});

const fileQuery: z.ZodType<{ name?: string | undefined }> = z.object({
  name: z.string().max(4096).optional().meta({ description: "the name of the file" }),
});

export function addAttachmentRoutes(shared: Shared): void {
  addRoutesBelow(shared, {
    path: "/v1/sessions/{id}/attachments",
    of: "a session",
    puts: "write",
    reads: "read",
    found: async (c, id) => await c.get("sessions").get(id),
  });
}

/** The routes of the attachments of some sessions. */
interface AttachmentPlace {
  readonly path: string;
  /** The owner of the attachments, for the summaries. */
  readonly of: string;
  /** The scopes of uploads and of reads. */
  readonly puts: "write" | "device";
  readonly reads: "read" | "device";
  /** The session that the caller reaches under this id. @throws SessionError `session_not_found` for another one */
  readonly found: (c: RequestContext, id: string) => Promise<Session>;
  /** The bytes of an upload, within a budget. @default no budget @throws SessionError `device_budget_exceeded` */
  readonly counted?: (
    c: RequestContext,
    session: Session,
    bytes: AsyncIterable<Uint8Array>,
  ) => AsyncIterable<Uint8Array>;
}

/** Add the routes to put, list and open the attachments of the sessions that a caller reaches. */
export function addRoutesBelow(shared: Shared, { path, of, puts, reads, found, counted }: AttachmentPlace): void {
  addRoute(
    shared,
    {
      method: "post",
      path,
      summary: `Put an attachment of ${of}: the body is its bytes, as they arrive, and Content-Type its type`,
      scope: puts,
      headers: ["Content-Type"],
      params: idInPath,
      query: fileQuery,
      takesBytes: true,
      answers: { 201: { description: "the attachment, and a part for a message", schema: attachmentAnswer } },
    },
    async (c, { params, query: { name } }) => {
      const session = await found(c, params.id);
      const type = c.req.header("content-type") ?? "application/octet-stream";
      const bytes = counted === undefined ? bytesOf(c) : counted(c, session, bytesOf(c));
      return jsonAnswer(c, await session.attachments.put(bytes, { type, ...defined({ name }) }), 201);
    },
  );

  addRoute(
    shared,
    {
      method: "get",
      path,
      summary: `List the attachments of ${of}`,
      scope: reads,
      params: idInPath,
      answers: { 200: { description: "the attachments, by their hash", schema: attachmentsAnswer } },
    },
    async (c, { params }) => jsonAnswer(c, { items: await (await found(c, params.id)).attachments.list() }),
  );

  addRoute(
    shared,
    {
      ...openingRoute,
      path: `${path}/{hash}`,
      summary: `Get the bytes of an attachment of ${of}, or with Range a range of them`,
      scope: reads,
      params: hashInPath,
    },
    async (c, { params: { id, hash } }) => {
      const { attachments } = await found(c, id);
      return await openedReply(c, (range) => attachments.open(hash, range));
    },
  );
}

/** Add the route to open the attachments that a shared session shows. */
export function addSharedAttachmentRoute(shared: Shared): void {
  addRoute(
    shared,
    {
      ...openingRoute,
      path: "/v1/shared/attachments/{hash}",
      summary: "Get the bytes of an attachment that a shared session shows, or with Range a range of them",
      scope: "share",
      params: z.object({ hash: z.string().min(1).max(4096) }),
    },
    async (c, { params: { hash } }) => {
      const session = c.get("shared");
      return await openedReply(c, (range) => session.openAttachment(hash, range));
    },
  );
}

const openingRoute = {
  method: "get",
  headers: ["Range"],
  answers: {
    200: { description: "the bytes", bytes: true },
    206: { description: "the bytes of the range", bytes: true },
    416: { description: "the attachment ends before the range" },
  },
} as const;

/** The bytes, or the range of them whose bounds depend on their length. */
async function openedReply(
  c: RequestContext,
  open: (range: RangeOfAttachment) => Promise<OpenAttachment>,
): Promise<Response> {
  const rangeOf = ({ length }: Attachment): ReturnType<typeof rangeIn> => rangeIn(c.req.header("range"), length);
  const opened = await open((attachment) => {
    const range = rangeOf(attachment);
    return range === "beyond" ? noBytes : (range ?? {});
  });
  const range = rangeOf(opened);
  if (range === "beyond") {
    const { length } = opened;
    c.header("content-range", `bytes */${length}`);
    return problemResponse(c, new SessionError("range_invalid", { ...beyond(c, length), length }), 416);
  }
  return await bytesReply(c, opened, range);
}

/** The bounds of the header of a range beyond the end, as its sender gave them. */
function beyond(c: RequestContext, length: number): { readonly from: number; readonly to: number } {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(c.req.header("range") ?? "") ?? [];
  if (first === "") return { from: length, to: length - 1 };
  return { from: Number(first), to: last === "" ? Number(first) : Number(last) };
}

const noBytes = { from: 0, to: -1 } as const;

/** The bytes of the body. A client that disconnects meanwhile breaks it. */
async function* bytesOf(c: RequestContext): AsyncGenerator<Uint8Array, void, undefined> {
  const { body } = c.req.raw;
  if (body === null) return;
  try {
    for await (const bytes of body) yield bytes as Uint8Array;
  } catch (error) {
    throw brokenBody(error);
  }
}

/**
 * Browsers save an attachment, and never show it as a page of this server. The first piece is read before the status is sent: bytes that
 * are missing are an error, and no connection that breaks.
 */
async function bytesReply(
  c: RequestContext,
  opened: OpenAttachment,
  range: { readonly from: number; readonly to: number } | undefined,
): Promise<Response> {
  const pieces = opened[Symbol.asyncIterator]();
  const first = await pieces.next();
  // The body of this response is not read.
  if (c.req.method === "HEAD") await pieces.return?.();
  const { hash, type, length } = opened;
  const { from, to } = range ?? { from: 0, to: length - 1 };
  const headers = {
    "content-type": type,
    "content-length": String(to - from + 1),
    [lengthHeader]: String(length),
    "content-disposition": dispositionOf(opened),
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
    "accept-ranges": "bytes",
    etag: `"${hash}"`,
    ...defined({ "content-range": range && `bytes ${from}-${to}/${length}` }),
  };
  return c.body(streamOf(first, pieces), range === undefined ? 200 : 206, headers);
}

/** The pieces from the first one on. A reader that cancels the stream ends them. */
function streamOf(first: IteratorResult<Uint8Array>, pieces: AsyncIterator<Uint8Array>): ReadableStream<Uint8Array> {
  let read: IteratorResult<Uint8Array> | undefined = first;
  return new ReadableStream(
    {
      async pull(controller) {
        const next = read ?? (await pieces.next());
        read = undefined;
        if (next.done === true) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await pieces.return?.();
      },
    },
    { highWaterMark: 0 },
  );
}

function dispositionOf({ name }: Attachment): string {
  if (name === undefined) return "attachment";
  const encoded = encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    (one) => `%${one.charCodeAt(0).toString(16)}`,
  );
  return `attachment; filename*=UTF-8''${encoded}`;
}
