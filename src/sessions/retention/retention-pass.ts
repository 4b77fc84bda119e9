/** The pass of the sweep that archives and removes sessions by the retention policies. */
import { removeSession } from "../../domain/record/lifecycle.ts";
import { isSame } from "../../domain/record/change.ts";
import { keyText } from "../../domain/record/entry.ts";
import type { SessionRecord } from "../../domain/record/record.ts";
import { policyFor, type Policy } from "../../domain/record/retention.ts";
import { defined } from "../../domain/values/defined.ts";
import { isInternalScope } from "../../domain/values/internal-scope.ts";
import { hasCode } from "../../errors.ts";
import type { Core } from "../core/core.ts";
import { removalChanges } from "../attachments/removal.ts";
import { detachForks } from "../handle/detach-forks.ts";
import { Handle } from "../handle/handle.ts";
import { removeStreamsOf, streamRemovals } from "../handle/session-streams.ts";
import { pageSize, type SweepRun } from "./sweep-run.ts";

/** Sessions that are archived together: compression takes memory and time. */
const archivesAtOnce = 4;
/** Sweeps of this process pass over a session for this time after its policy failed. */
const failedAgainMs = 3_600_000;
const failedMax = 10_000;
/** Tries of a purge against other writers of its attachments. */
const attemptsMax = 20;

/**
 * The sessions whose policy failed, with the time of their next visit, the oldest first. They are found ahead of the others by
 * every sweep, and one that fails after a long time would use up the time of each.
 */
const failedIn = new WeakMap<Core, Map<string, number>>();

export async function retentionPass(run: SweepRun, now: number): Promise<void> {
  const { policies } = run;
  for (const policy of policies) {
    const { agent, user, state, afterMs, action } = policy;
    const scope = defined({ tenant: run.tenant, agent, user });
    await run.eachRecord({
      query: { order: "settled", ...scope, states: [state], before: now - afterMs, limit: pageSize },
      action,
      atOnce: action === "archive" ? archivesAtOnce : pageSize,
      visit: async (record) => {
        // A session to which the policy does not apply does not count, or it would use up the rows of every sweep.
        if (isInternalScope(record.tenant) || !applies(policies, policy, record)) return;
        if (!isOld(policy, record, now)) return;
        if (!run.isDryRun && hasFailed(run.core, record, now)) return;
        await visitSettled(run, policy, record);
      },
    });
  }
}

/** Plan the action of the policies on a session that the sweep would mark as expired, and then find as settled. */
export function planExpired(run: SweepRun, record: SessionRecord, now: number): void {
  const policy = policyFor(run.policies, record);
  if (policy === undefined || !isOld(policy, record, now) || !applies(run.policies, policy, record)) return;
  run.plan(record, policy.action);
  count(run, policy);
}

async function visitSettled(run: SweepRun, policy: Policy, record: SessionRecord): Promise<void> {
  const { action } = policy;
  run.look();
  const done = await run.attempt(record, action, async () => {
    if (run.isDryRun) run.plan(record, action);
    else if (!(await apply(run.core, policy, record))) return;
    count(run, policy);
  });
  if (done) return;
  // It does not use up the rows of the sessions behind it.
  run.rowsLeft++;
  remember(run.core, record);
}

function count({ counts }: SweepRun, { action }: Policy): void {
  if (action === "archive") counts.archived++;
  else counts.removed++;
}

/** True for a session that is not due for another visit yet. */
function hasFailed(core: Core, record: SessionRecord, now: number): boolean {
  const until = failedIn.get(core)?.get(keyText(record));
  return until !== undefined && now < until;
}

function remember(core: Core, record: SessionRecord): void {
  const failed = failedIn.get(core) ?? new Map<string, number>();
  failedIn.set(core, failed);
  failed.delete(keyText(record));
  failed.set(keyText(record), core.now() + failedAgainMs);
  const [oldest] = failed.keys();
  if (failed.size > failedMax && oldest !== undefined) failed.delete(oldest);
}

/** True if the session has been in its state, and since its restore, for the time of the policy. */
function isOld({ afterMs }: Policy, { stateSince, restoredAt }: SessionRecord, now: number): boolean {
  return Math.max(stateSince, restoredAt ?? stateSince) < now - afterMs;
}

/** True if this policy decides about the session, and has something to do. */
function applies(policies: readonly Policy[], policy: Policy, record: SessionRecord): boolean {
  if (policyFor(policies, record) !== policy) return false;
  return policy.action === "archive" ? record.archive === null : record.legalHold === null;
}

/** False if the session changed meanwhile or is in use: a later sweep visits it again. */
async function apply(core: Core, { action }: Policy, record: SessionRecord): Promise<boolean> {
  return action === "archive" ? await archive(core, record) : await purge(core, record);
}

async function archive(core: Core, record: SessionRecord): Promise<boolean> {
  try {
    const { archiveOn } = await import("./archive.ts");
    return await archiveOn(new Handle(core, record), record);
  } catch (error) {
    const isInUse = (["busy", "turn_open", "turn_waiting", "contended", "session_not_found"] as const).some((code) =>
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
  // Only in the state that was found: a session that was revived meanwhile stays.
  if (found.state !== record.state || found.stateSince !== record.stateSince || found.legalHold !== null) return false;
  if (found.forkedAt > 0) return false;
  for (let attempt = 1; ; attempt++) {
    const beside = (await Promise.all([removalChanges(core, found), streamRemovals(core, found)])).flat();
    if ((await core.commit([removeSession(found), ...beside])).status === "ok") {
      if (beside.length > 0) await removeStreamsOf(core, found);
      return true;
    }
    // Sessions with the same attachments, which are purged together, change the contents of each other.
    if (beside.length === 0 || attempt === attemptsMax) return false;
    const newest = (await core.find(found))?.record;
    if (newest === undefined || !isSame(newest, found)) return false;
  }
}
