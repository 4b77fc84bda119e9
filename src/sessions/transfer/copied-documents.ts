/** Copies documents into another store, with their versions and times. */
import {
  documentText,
  type DocumentKey,
  type DocumentPut,
  type StoredDocument,
} from "../../domain/documents/document.ts";
import { defined } from "../../domain/values/defined.ts";
import { eachPage } from "../../domain/values/pages.ts";
import type { FoundDocuments } from "../../store/store.ts";
import type { Core } from "../core/core.ts";

/** Documents of one read. */
const pageSize = 100;
/** Bytes of one read. */
const pageBytes = 4 * 1024 * 1024;

/** All documents of one tenant or of all, page by page. */
export async function* documentPages(
  core: Core,
  tenant?: string,
): AsyncGenerator<readonly StoredDocument[], void, undefined> {
  const range = { ...defined({ tenant }), limit: pageSize, bytesMax: pageBytes };
  for await (const { documents } of eachPage<FoundDocuments, DocumentKey>((after) =>
    core.store.documents({ ...range, ...after }),
  ))
    yield documents;
}

/** Put documents into a store, as they are. A document that has the same or a greater version there stays. Returns the number put. */
export async function putDocuments(to: Core, documents: readonly StoredDocument[]): Promise<number> {
  const outcomes = await Promise.all(
    documents.map((document) => to.commitWithDocuments({ changes: [], documents: [putOf(document)] })),
  );
  return outcomes.filter(({ status }) => status === "ok").length;
}

function putOf({ tenant, scope, key, ...content }: StoredDocument): DocumentPut {
  return { kind: "put", document: { tenant, scope, key }, ...content };
}

/** Those of the documents that another store does not have, in their own tenants or in one tenant. */
export async function missingOf(
  core: Core,
  documents: readonly StoredDocument[],
  tenant?: string,
): Promise<readonly DocumentKey[]> {
  if (documents.length === 0) return [];
  const keys = documents.map(({ scope, key, tenant: own }) => ({ tenant: tenant ?? own, scope, key }));
  const { documents: found } = await core.store.documents({ keys });
  const known = new Set(found.map(documentText));
  return documents.flatMap(({ tenant: own, scope, key }, index) =>
    known.has(documentText(keys[index] ?? { tenant: own, scope, key })) ? [] : [{ tenant: own, scope, key }],
  );
}
