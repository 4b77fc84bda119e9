/** The title and the pin of one session of any owner, as operators change them: no activity. */
import type { Change, Draft } from "../../domain/record/change.ts";
import type { SessionKey } from "../../domain/record/entry.ts";
import type { Context } from "../../domain/record/guards.ts";
import { isPinned, pinSession, renameSession } from "../../domain/record/pin.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { parseId } from "../../domain/values/ids.ts";
import { parseTitle } from "../../domain/values/labels.ts";
import { SessionError } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "../handle/handle.ts";

/** Set the title; null removes it. @throws SessionError `session_not_found`, `argument_invalid`, that of the session's state */
export async function renameOn(core: Core, key: SessionKey, title: string | null): Promise<string | null> {
  const parsed = parseTitle(title);
  return (await changed(core, key, (draft, context) => renameSession(draft, parsed, context))).title;
}

/** List the session before the others of its user, or among them. @throws SessionError as `renameOn` */
export async function pinOn(core: Core, key: SessionKey, pinned: boolean): Promise<boolean> {
  return isPinned(await changed(core, key, (draft, context) => pinSession(draft, pinned, context)));
}

async function changed(
  core: Core,
  { tenant, id }: SessionKey,
  rule: (draft: Draft, context: Context) => Change | null,
): Promise<SessionRecord> {
  const sessionId = parseId(id, "sessionId");
  await core.learnTime();
  const record = (await core.find({ tenant, id: sessionId }))?.record;
  if (record === undefined) throw new SessionError("session_not_found", { sessionId, tenant });
  const handle = new Handle(core, record);
  await handle.write(rule);
  return handle.record;
}
