/** Deletes the turns after a turn. */
import { guardNumber } from "../../domain/values/invalid-argument.ts";
import { isShared } from "../../domain/branches/branching.ts";
import { guardSeen, sessionIds } from "../../domain/record/guards.ts";
import { truncateTurns } from "../../domain/turns/turns.ts";
import { SessionError } from "../../errors.ts";
import { withoutForks } from "../handle/detach-forks.ts";
import type { Handle } from "../handle/handle.ts";
import { visitSoon } from "../attachments/removal.ts";
import { removeSharing } from "../branches/branches.ts";
import { retryOnConflict } from "../core/retry-on-conflict.ts";
import { putStaying, stayingUpTo } from "../turn-marks/turn-changes.ts";
import { readTruncated } from "../turns/entry-reader.ts";

/** @throws SessionError as `Session.truncate` */
export async function truncateOn(handle: Handle, after: number): Promise<void> {
  guardNumber(after, "after", 0);
  // A turn that a dead writer left open is sealed first, so that its messages are counted.
  await handle.recoverAbandoned();
  const head = handle.seenTurn;
  // Another writer may have appended the turns that this call is to delete.
  if (after >= head) await handle.countingConflicts(() => guardSeenAll(handle));
  if (!Number.isInteger(after) || after < 0 || after > head) {
    throw new SessionError("range_invalid", { name: "after", from: after, to: head });
  }
  if (after === head) return;
  // Branches that share turns to delete go first.
  if (isShared(handle.record, after)) await handle.countingConflicts(() => removeSharing(handle, after));
  const truncated = await readTruncated(handle, { from: after + 1, to: head });
  await handle.countingConflicts(() =>
    withoutForks(handle, () =>
      retryOnConflict(sessionIds(handle.record), async (attempt) => {
        if (attempt > 1) await handle.peek();
        const staying = await stayingUpTo(handle.core, handle.record, after);
        const written = await handle.write((draft, context, writer) =>
          putStaying(draft, staying, context) ? truncateTurns(draft, { after, truncated, writer }, context) : null,
        );
        return written.status === "ok" ? true : undefined;
      }),
    ),
  );
  await visitSoon(handle.core, handle.record);
}

/** @throws SessionError `conflict` if the store has turns that the owner of the handle has not seen */
async function guardSeenAll(handle: Handle): Promise<void> {
  await handle.peek();
  await handle.write((draft, _context, writer) => {
    guardSeen(draft.record, writer);
    return null;
  });
}
