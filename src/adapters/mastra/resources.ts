/** The resources of Mastra, as documents: their working memory is shared by all of their threads. */
import { defined } from "../../domain/values/defined.ts";
import { hasCode, idFor, SessionError, type Documents, type Value } from "../../index.ts";
import { keyOf } from "../keys/composed-keys.ts";
import type { MastraResource } from "./package-mastra.ts";

/** Attempts of one update while other writers change the same resource. */
const attemptsMax = 100;

/** The resource with this id; null if there is none. */
export async function getResource(documents: Documents, id: string): Promise<MastraResource | null> {
  const document = await documents.get(keyOf("resource", id));
  return document === null ? null : (document.value as unknown as MastraResource);
}

/** Puts a resource in place of the stored one. @throws SessionError `value_unstorable`, `document_too_large` */
export async function saveResource(documents: Documents, resource: MastraResource): Promise<MastraResource> {
  await documents.put(keyOf("resource", resource.id), resource as unknown as Value, { user: idFor(resource.id) });
  return resource;
}

/** Changes a resource, or makes one: fields that are undefined stay, and its metadata is merged. */
export async function updateResource(
  documents: Documents,
  {
    resourceId: id,
    workingMemory,
    metadata,
  }: { readonly resourceId: string; readonly workingMemory?: string; readonly metadata?: Record<string, unknown> },
): Promise<MastraResource> {
  const key = keyOf("resource", id);
  for (let attempt = 1; ; attempt++) {
    const found = await documents.get(key);
    const before = found?.value as unknown as MastraResource | undefined;
    const now = new Date();
    const resource: MastraResource = defined({
      id,
      workingMemory: workingMemory ?? before?.workingMemory,
      metadata: { ...before?.metadata, ...metadata },
      createdAt: before?.createdAt ?? now,
      updatedAt: now,
    });
    try {
      const options = { if: found?.version ?? ("absent" as const), user: idFor(id) };
      await documents.put(key, resource as unknown as Value, options);
      return resource;
    } catch (error) {
      if (!hasCode(error, "document_conflict")) throw error;
      if (attempt === attemptsMax)
        throw new SessionError("contended", { sessionId: key, attempts: attempt }, { cause: error });
    }
  }
}
