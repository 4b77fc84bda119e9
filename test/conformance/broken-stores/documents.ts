/** Stores that break the contract when they write, find or delete documents. */
import type { DocumentChange } from "../../../src/domain/documents/document.ts";
import { isDocumentChange, sessionChanges, type Transaction } from "../../../src/domain/record/change.ts";
import type { DocumentQuery, DocumentRange, Store } from "../../../src/store/store.ts";
import type { Breakage, NamedBreakage } from "./breakage.ts";

export const documentBreakages: readonly NamedBreakage[] = [
  [
    "never compares the versions of documents",
    "document-is-compared: a put",
    mapDocuments(({ expected: _, ...change }) => change as DocumentChange),
  ],
  [
    "takes an expired document for a stored one",
    "document-is-compared: a document that is absent",
    mapDocuments((change) =>
      change.expected === "absent" && change.document.key === "expired" ? { ...change, expected: 5 } : change,
    ),
  ],
  [
    "writes the greater version that a change lacks",
    "document-versions-grow: while",
    (store) => ({
      commit: async (batch) => {
        const outcomes = await store.commit(batch);
        const [outcome] = outcomes;
        if (outcome?.status !== "document_conflict") return outcomes;
        const { lastVersion } = outcome;
        const raised = mapEach(batch, (change) =>
          change.kind === "touch" ? change : { ...change, version: Math.max(change.version, lastVersion + 1) },
        );
        return await store.commit(raised);
      },
    }),
  ],
  [
    "revives what a touch finds expired",
    "document-versions-grow: a touch",
    (store) => ({
      commit: async (batch) => {
        const outcomes = await store.commit(batch);
        const [change] = batch[0] ?? [];
        if (outcomes[0]?.status !== "document_conflict" || change === undefined) return outcomes;
        if (!isDocumentChange(change) || change.kind !== "touch") return outcomes;
        const { document, expiresAt } = change;
        const version = outcomes[0].lastVersion + 1;
        return await store.commit([
          [{ kind: "put", document, version, user: null, createdAt: 0, updatedAt: 0, expiresAt, data: "1" }],
        ]);
      },
    }),
  ],
  [
    "writes documents apart from sessions",
    "documents-land-together: the changes",
    (store) => ({
      commit: async (batch) => {
        const documents = batch.map((transaction) => transaction.filter(isDocumentChange));
        const outcomes = await store.commit(batch.map(sessionChanges));
        const further = await store.commit(documents);
        return outcomes.map((outcome, index) => (outcome.status === "ok" ? (further[index] ?? outcome) : outcome));
      },
    }),
  ],
  ...(["from", "to"] as const).map((bound): NamedBreakage => [
    `ignores ${bound} when it finds documents`,
    "documents-are-found",
    mapQueries(({ [bound as "to"]: _, ...query }: DocumentQuery & { to?: string }) => query),
  ]),
  [
    "ends after the first page of documents",
    "documents-are-found",
    (store) => ({ documents: async (query) => ({ ...(await store.documents(query)), next: undefined }) }),
  ],
  [
    "begins every page of documents at the beginning",
    "documents-are-found",
    mapQueries(({ after: _, ...query }: DocumentQuery & { after?: unknown }) => query),
  ],
  [
    "finds documents without a bound of bytes",
    "documents-are-bounded",
    mapQueries(({ bytesMax: _, ...query }: DocumentQuery & { bytesMax?: unknown }) => query),
  ],
  [
    "counts all documents of a tenant",
    "scope-is-in-the-key: documents",
    (store) => ({
      countDocuments: ({ tenant }: DocumentRange) => store.countDocuments(tenant === undefined ? {} : { tenant }),
    }),
  ],
  [
    "finds documents of every user",
    "documents-are-found: those of one user",
    mapQueries(({ user: _, ...query }: DocumentQuery & { user?: unknown }) => query),
  ],
  [
    "finds documents of every scope",
    "scope-is-in-the-key: documents",
    mapQueries((query) => {
      if ("keys" in query) return query;
      const { limit, tenant } = query;
      return tenant === undefined ? { limit } : { limit, tenant };
    }),
  ],
  ["deletes no documents", "deleted-documents-are-gone", () => ({ deleteDocuments: async () => 0 })],
  [
    "deletes all documents of a user at once",
    "deleted-documents-are-gone: those of a user",
    (store) => ({ deleteDocuments: (selection) => store.deleteDocuments({ ...selection, limit: 1e6 }) }),
  ],
  [
    "deletes what has not expired before the time",
    "deleted-documents-are-gone: those that expired",
    (store) => ({
      deleteDocuments: (selection) =>
        store.deleteDocuments("before" in selection ? { ...selection, before: selection.before + 1 } : selection),
    }),
  ],
];

function mapDocuments(map: (change: DocumentChange) => DocumentChange): Breakage {
  return (store) => ({ commit: (batch) => store.commit(mapEach(batch, map)) });
}

function mapEach(batch: readonly Transaction[], map: (change: DocumentChange) => DocumentChange): Transaction[] {
  return batch.map((transaction) => transaction.map((change) => (isDocumentChange(change) ? map(change) : change)));
}

function mapQueries(map: (query: DocumentQuery) => DocumentQuery): (store: Store) => Partial<Store> {
  return (store) => ({ documents: (query) => store.documents(map(query)) });
}
