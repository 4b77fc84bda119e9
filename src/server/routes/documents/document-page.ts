/** A page of documents: of a scope, or of some keys. It ends after a number of documents or bytes. */
import { defined } from "../../../domain/values/defined.ts";
import { formatValue } from "../../../domain/values/format-value.ts";
import { SessionError } from "../../../errors.ts";
import type { Document, DocumentPage, Documents } from "../../../index.ts";
import { toJson } from "../../../protocol/json.ts";
import { wireDocument } from "../../../protocol/wire-documents.ts";
import type { RequestContext } from "../../http/route.ts";
import { pageReply, unreadableData } from "../../replies/list-reply.ts";

/** The documents of a request. */
export interface DocumentQuery {
  readonly prefix?: string | undefined;
  /** The `next` of the page before. */
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  readonly key?: readonly string[] | undefined;
}

const bytesMax = 1024 * 1024;
/** Keys of one read: the documents of one read are in memory at once. */
const keysAtOnce = 10;

/** @throws SessionError `request_invalid`, `id_invalid`, `argument_invalid`, and the store's */
export async function documentsReply(
  c: RequestContext,
  documents: Documents,
  { key: keys, ...query }: DocumentQuery,
): Promise<Response> {
  const page = keys === undefined ? await documents.list(defined(query)) : await pageOfKeys(documents, keys, query);
  const unreadable = (page.unreadable ?? []).map((key) => ({ key, reason: unreadableData }));
  return await pageReply(c, { ...page, unreadable }, { wire: wireDocument, nameOf: ({ key }) => ({ key }) });
}

/** The documents with these keys, in the order of the keys. `next` is the last key of the page. */
async function pageOfKeys(
  documents: Documents,
  keys: readonly string[],
  { after, ...others }: Omit<DocumentQuery, "key">,
): Promise<DocumentPage> {
  for (const name of ["prefix", "limit"] as const) {
    if (others[name] === undefined) continue;
    throw new SessionError("request_invalid", { path: `query.${name}`, expected: "beside", known: ["key"] });
  }
  const wanted = [...new Set(keys)];
  const items: Document[] = [];
  let bytes = 0;
  for (let index = startOf(wanted, after); index < wanted.length; index += keysAtOnce) {
    const found = await documents.getMany(wanted.slice(index, index + keysAtOnce));
    for (const key of wanted.slice(index, index + keysAtOnce)) {
      const document = found.get(key);
      if (document === undefined) continue;
      bytes += Buffer.byteLength(toJson(document.value));
      const last = items.at(-1);
      if (last !== undefined && bytes > bytesMax) return { items, next: last.key };
      items.push(document);
    }
  }
  return { items };
}

/** @throws SessionError `request_invalid` */
function startOf(keys: readonly string[], after: string | undefined): number {
  if (after === undefined) return 0;
  const index = keys.indexOf(after);
  if (index >= 0) return index + 1;
  throw new SessionError("request_invalid", { path: "query.after", value: formatValue(after), expected: "cursor" });
}
