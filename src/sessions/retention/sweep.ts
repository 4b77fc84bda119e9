import { defined } from "../../domain/values/defined.ts";
import type { Core } from "../core/core.ts";
import { codeOfFailure } from "../core/pass-failures.ts";
import { traceCall } from "../tracing/operation.ts";
import { expiryPass } from "./expiry-pass.ts";
import { retentionPass } from "./retention-pass.ts";
import { versionKeptMs } from "../../domain/documents/document.ts";
import { pageSize, SweepRun, type SweepReport, type SweepRequest } from "./sweep-run.ts";

/**
 * One bounded sweep of four passes: it marks sessions as expired and ends expired handoffs, archives and removes by the
 * retention policies in their order, removes old events, and deletes expired documents. An error of one session is reported in `failures`; the
 * others are still swept.
 * @throws SessionError `argument_invalid`, `duration_invalid`, or the store's if it fails as a whole
 */
export async function sweep(core: Core, tenant: string | undefined, request: SweepRequest): Promise<SweepReport> {
  return await traceCall({ operation: "sweep", tenant }, async () => {
    const run = new SweepRun(core, tenant, request);
    try {
      // Deadlines follow the store's time, not this machine's.
      const { now } = await core.store.instances([]);
      await expiryPass(run, now);
      await retentionPass(run, now);
      if (!run.isDryRun) {
        await eventPass(run, now);
        await documentPass(run, now);
      }
    } catch (error) {
      run.publish(codeOfFailure(error));
      throw error;
    }
    // A dry run changed nothing that a subscriber could count.
    if (!run.isDryRun) run.publish();
    return run.report();
  });
}

/** Remove old events. */
async function eventPass(run: SweepRun, now: number): Promise<void> {
  if (run.eventRetentionMs === null) return;
  const past = { ...defined({ tenant: run.tenant }), before: now - run.eventRetentionMs, limit: pageSize };
  for (let removed = pageSize; removed === pageSize && run.mayContinue();) {
    removed = await run.core.store.deleteEvents(past);
    run.counts.events += removed;
    run.rowsLeft -= removed;
  }
}

/** Delete documents that expired or were deleted a while ago. */
async function documentPass(run: SweepRun, now: number): Promise<void> {
  const past = { ...defined({ tenant: run.tenant }), before: now - versionKeptMs, limit: pageSize };
  for (let deleted = pageSize; deleted === pageSize && run.mayContinue();) {
    deleted = await run.core.store.deleteDocuments(past);
    run.counts.documents += deleted;
    run.rowsLeft -= deleted;
  }
}
