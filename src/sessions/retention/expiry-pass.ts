/** The pass of the sweep over sessions that are due: marks them as expired, and ends expired handoffs. */
import { isContentScope, isObjectScope, isReferenceScope } from "../../domain/attachments/attachment.ts";
import { stagedScope } from "../../domain/copies/staged.ts";
import { clearExpiredHandoff } from "../../domain/record/handoff.ts";
import { expiredSince, expireSession, postponeSweep, removeSession } from "../../domain/record/lifecycle.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { stateAt } from "../../domain/record/states.ts";
import { internalScope, isInternalScope, tenantOfScope } from "../../domain/values/internal-scope.ts";
import { hasCode } from "../../errors.ts";
import { interruptions } from "../../errors/answer-problems.ts";
import type { Core } from "../core/core.ts";
import { visitedAt } from "../attachments/records.ts";
import { visitAttachment } from "../attachments/removal.ts";
import { markChange } from "../marks/mark.ts";
import { sharedByPointer } from "../marks/sharing-devices.ts";
import { Handle } from "../handle/handle.ts";
import { endsPass } from "../core/pass-failures.ts";
import { planExpired } from "./retention-pass.ts";
import { pageSize, type SweepRun } from "./sweep-run.ts";

/** A session on which the sweep failed is due again after this time, behind those that are due earlier. */
const failedAgainMs = 3_600_000;

export async function expiryPass(run: SweepRun, now: number): Promise<void> {
  for (const scope of scopesOf(run.tenant)) {
    const query = { order: "due", ...scope, before: now, limit: pageSize } as const;
    await run.eachRecord({ query, action: "expire", visit: (record) => visitDue(run, record, now) });
  }
}

/** A tenant's sessions, and the internal records that belong to it; one scope for all tenants. */
function scopesOf(tenant: string | undefined): readonly { readonly tenant?: string }[] {
  if (tenant === undefined) return [{}];
  const internal = ["devices", "erasures", "streams", "contents", "attachments", "objects"].map((kind) => ({
    tenant: internalScope(tenant, kind),
  }));
  return [{ tenant }, ...internal, { tenant: stagedScope(tenant) }];
}

async function visitDue(run: SweepRun, record: SessionRecord, now: number): Promise<void> {
  run.look();
  run.lagMs = Math.max(run.lagMs, now - record.sweepAt);
  const isInternal = isInternalScope(record.tenant);
  if (run.isDryRun) {
    if (isInternal || stateAt(record, now) !== "expired") return;
    run.counts.expired++;
    run.plan(record, "expire");
    planExpired(run, { ...record, state: "expired", stateSince: expiredSince(record) }, now);
    return;
  }
  const done = await run.attempt(record, "expire", async () => {
    if (isOfAttachments(record)) {
      await visitAttachment(run.core, record, now);
      return;
    }
    if (isInternal) {
      await removeExpired(run.core, record);
      return;
    }
    const { expires, endsHandoff } = await mark(run.core, record);
    if (expires) run.counts.expired++;
    if (endsHandoff) run.counts.handoffs++;
  });
  // A session that fails would otherwise be the first one of every sweep.
  if (!done) await postpone(run.core, record);
}

/** End an expired handoff, and mark the session as expired if its time is up and no writer is at work; else postpone. */
async function mark(core: Core, record: SessionRecord): Promise<{ expires: boolean; endsHandoff: boolean }> {
  const handle = new Handle(core, record);
  let expires = false;
  let endsHandoff = false;
  await unlessRemoved(() =>
    handle.write(
      (draft, context) => {
        endsHandoff = clearExpiredHandoff(draft, context);
        const change = expireSession(draft, context);
        expires = change !== null;
        return change ?? postponeSweep(draft, context);
      },
      { recovers: "dead", reason: interruptions.writer_gone_expired },
    ),
  );
  return { expires, endsHandoff };
}

/** Postpone without recovery, which may be the step that failed. */
async function postpone(core: Core, record: SessionRecord): Promise<void> {
  try {
    const loaded = await core.find(record);
    if (loaded === undefined) return;
    // A record of attachments never expires: its visits alone clean up.
    if (isOfAttachments(record)) await core.commit([visitedAt(loaded.record, core.now() + failedAgainMs)]);
    else await new Handle(core, loaded.record).write((draft, context) => postponeSweep(draft, context, failedAgainMs));
  } catch (error) {
    // The failure of the session is reported already; the next sweep visits it again.
    if (endsPass(error)) throw error;
  }
}

function isOfAttachments({ tenant }: SessionRecord): boolean {
  return isContentScope(tenant) || isReferenceScope(tenant) || isObjectScope(tenant);
}

/** Remove an internal record whose time is up; one that was used meanwhile is postponed. */
async function removeExpired(core: Core, record: SessionRecord): Promise<void> {
  const handle = new Handle(core, record);
  if (await removeSharing(handle)) return;
  await unlessRemoved(() =>
    handle.write((draft, context) =>
      stateAt(draft.record, context.now) === "expired" ? removeSession(draft.base) : postponeSweep(draft, context),
    ),
  );
}

/**
 * Remove the expired pointer of a device that wrote in a shared session, and leave its mark: a later erasure finds the session
 * by the mark. False where nothing is to be marked, or the pointer changed meanwhile.
 */
async function removeSharing({ core, record }: Handle): Promise<boolean> {
  if (record.tenant !== internalScope(tenantOfScope(record.tenant), "devices")) return false;
  const shared = await sharedByPointer(core, record);
  if (shared === undefined || stateAt(record, core.now()) !== "expired") return false;
  const mark = await markChange(core, record.id, shared);
  const changes = [removeSession(record), ...(mark === null ? [] : [mark])];
  return (await core.commit(changes)).status === "ok";
}

/** Another process may remove the session during the sweep: then nothing is left to do. */
async function unlessRemoved(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!hasCode(error, "session_not_found")) throw error;
  }
}
