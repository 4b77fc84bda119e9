/** The latest snapshot of a session. */
import { failedPrecondition, type GenkitSnapshot } from "./package-genkit.ts";
import type { StoredSnapshot } from "./stored-snapshot.ts";

/**
 * The snapshot that no other one follows; of several, the one that was created last. Undefined where there is none.
 * @param all in the order in which they were first saved
 * @throws GenkitError `FAILED_PRECONDITION` where each one is followed, and for several with `rejectsBranches`
 */
export async function leafOf(
  sessionId: string,
  all: readonly StoredSnapshot[],
  rejectsBranches: boolean,
): Promise<StoredSnapshot | undefined> {
  if (all.length === 0) return undefined;
  const parents = new Set(all.map((one) => fieldsOf(one).parentId));
  const [first, ...others] = all.filter((one) => !parents.has(fieldsOf(one).snapshotId));
  const advice = "resume by snapshotId instead";
  if (first === undefined)
    throw await failedPrecondition(
      `session ${sessionId} has no latest snapshot: each one is followed by another; ${advice}`,
    );
  if (others.length > 0 && rejectsBranches)
    throw await failedPrecondition(
      `session ${sessionId} has ${others.length + 1} branches, so no latest snapshot; ${advice}`,
    );
  return others.reduce((last, one) => (fieldsOf(one).createdAt > fieldsOf(last).createdAt ? one : last), first);
}

export function fieldsOf({ snapshot }: StoredSnapshot): GenkitSnapshot {
  return snapshot as unknown as GenkitSnapshot;
}
