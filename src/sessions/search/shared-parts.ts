import { headOf } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { SessionError } from "../../errors.ts";
import type { MessageQuery } from "../../store/store.ts";
import type { Core } from "../core/core.ts";

/** A session, and where its turns are. */
export interface SharedParts {
  readonly record: SessionRecord;
  /** The session and those that it shares turns with, each up to the last shared turn. */
  readonly parts: NonNullable<MessageQuery["sessions"]>;
}

/** @throws SessionError `session_not_found` */
export async function sharedParts({ store }: Pick<Core, "store">, key: SessionKey): Promise<SharedParts> {
  const load = async (id: string): Promise<SessionRecord | undefined> =>
    (await store.load([{ key: { tenant: key.tenant, id }, tails: [] }])).sessions[0]?.record;
  const record = await load(key.id);
  if (record === undefined) throw new SessionError("session_not_found", { sessionId: key.id, tenant: key.tenant });
  const parts = [{ id: key.id, to: Number.MAX_SAFE_INTEGER }];
  let to = Number.MAX_SAFE_INTEGER;
  for (let { parent } = record; parent !== null;) {
    const { id, born, at } = parent;
    const ancestor = await load(id);
    // A parent that is gone shares nothing: the fork has the turns by then.
    if (ancestor === undefined || ancestor.createdAt !== born) break;
    to = Math.min(to, at, headOf(ancestor, "turns"));
    parts.push({ id, to });
    parent = ancestor.parent;
  }
  return { record, parts };
}
