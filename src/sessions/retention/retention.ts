/** What the sweep does by the policies of retention: puts away what is cold, and removes what is past its time. */
import type { Policy } from "../../domain/record/retention.ts";
import { policyFor } from "../../domain/record/retention.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { removeSession } from "../../domain/record/lifecycle.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { detachForks } from "../core/detach-forks.ts";
import { Handle } from "../core/handle.ts";

/** The policies of the options and, behind them, what `retention` says of all that has expired or ended. */
export function policiesOf(core: Core, retentionMs: number | null): readonly Policy[] {
  if (retentionMs === null) return core.options.retention;
  const last = (["expired", "ended"] as const).map((state): Policy => ({
    state,
    afterMs: retentionMs,
    action: "purge",
  }));
  return [...core.options.retention, ...last];
}

/** True where this policy, and none before it, has something to do with the session. */
export function applies(policies: readonly Policy[], policy: Policy, record: SessionRecord): boolean {
  if (policyFor(policies, record) !== policy) return false;
  return policy.action === "archive" ? record.archive === null : record.legalHold === null;
}

/** False where the session changed meanwhile, or is in use: then it is looked at again later. */
export async function apply(core: Core, { action }: Policy, record: SessionRecord): Promise<boolean> {
  return action === "archive" ? await putAway(core, record) : await purge(core, record);
}

async function putAway(core: Core, record: SessionRecord): Promise<boolean> {
  try {
    const { archiveOn } = await import("./archive.ts");
    return await archiveOn(new Handle(core, record), record);
  } catch (error) {
    const isInUse = (["busy", "turn_open", "contended", "session_not_found"] as const).some((code) =>
      hasCode(error, code),
    );
    if (isInUse) return false;
    throw error;
  }
}

async function purge(core: Core, record: SessionRecord): Promise<boolean> {
  let found = record;
  if (record.forkedAt > 0) {
    const handle = new Handle(core, record);
    await detachForks(handle);
    found = handle.record;
  }
  // Of the very state that was found: a session that was revived meanwhile stays.
  if (found.state !== record.state || found.stateSince !== record.stateSince || found.legalHold !== null) return false;
  return found.forkedAt === 0 && (await core.commit([removeSession(found)])).status === "ok";
}
