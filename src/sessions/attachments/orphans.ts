/** The doctor's search for objects of the attachment store that no content names. */
import { attachmentScopes, objectScope } from "../../domain/attachments/attachment.ts";
import { timeOfId } from "../../domain/values/ids.ts";
import type { Core } from "../core/core.ts";
import { isMarker, openedAttachmentStore } from "./marked-store.ts";
import { calling, objectName, readName } from "./objects.ts";

/** An object that was put less than this time ago may be on its way. */
const youngMs = 86_400_000;

/**
 * Objects that no content names and that no process writes or deletes, and markers of other sessions. Perdure deletes none of them: two stores of sessions may have
 * been given the same attachment store by mistake. `tenants`: those that have attachments.
 * @throws SessionError `attachment_store_failed`
 */
export async function* orphanedObjects(
  core: Core,
  tenants: ReadonlySet<string>,
): AsyncGenerator<{ readonly tenant: string | null; readonly what: string }, void, undefined> {
  const attachmentStore = openedAttachmentStore(core);
  if (attachmentStore === undefined) return;
  const tenantOf = new Map([...tenants].map((tenant) => [readName(objectName(tenant, noId))?.folder, tenant]));
  const names = attachmentStore.list()[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await calling(() => names.next());
      if (next.done === true) return;
      const name = attachmentStore.isOwnMarker(next.value) ? undefined : readName(next.value);
      if (name === undefined || timeOfId(name.id) > core.now() - youngMs) continue;
      if (isMarker(next.value)) {
        const what = `the object ${next.value} of the attachment store is a marker of other sessions, or of a process that was killed; delete it if these sessions alone use that store`;
        yield { tenant: null, what };
        continue;
      }
      const tenant = tenantOf.get(name.folder) ?? null;
      if (tenant !== null && (await isKnown(core, tenant, name.id))) continue;
      const what = `no attachment has the object ${next.value} of the attachment store; delete it if these sessions alone use that store`;
      yield { tenant, what };
    }
  } finally {
    await names.return?.();
  }
}

/** An id that no object has. */
const noId = "0".repeat(26);

async function isKnown(core: Core, tenant: string, id: string): Promise<boolean> {
  if ((await core.find({ tenant: objectScope(tenant), id })) !== undefined) return true;
  const { contents } = attachmentScopes(tenant);
  return (await core.store.count({ tenant: contents, user: id, now: core.now() })) > 0;
}
