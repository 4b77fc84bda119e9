/** Deletes the turns after a turn. */
import { truncateTurns } from "../../domain/turns/turns.ts";
import { SessionError } from "../../errors.ts";
import { withoutForks } from "../handle/detach-forks.ts";
import type { Handle } from "../handle/handle.ts";
import { readTruncated } from "../turns/entry-reader.ts";

/** @throws SessionError as `Session.truncate` */
export async function truncateOn(handle: Handle, after: number): Promise<void> {
  // A turn that a dead writer left open is sealed first, so that its messages are counted.
  await handle.recoverAbandoned();
  const head = handle.seenTurn;
  if (!Number.isInteger(after) || after < 0 || after > head) {
    throw new SessionError("range_invalid", { name: "after", from: after, to: head });
  }
  if (after === head) return;
  const truncated = await readTruncated(handle, { from: after + 1, to: head });
  await handle.countingConflicts(() =>
    withoutForks(handle, () =>
      handle.write((draft, context, writer) => truncateTurns(draft, { after, truncated, writer }, context)),
    ),
  );
}
