/** That a caller was told of a conflict, for the record of events. */
import { tellConflict } from "../domain/conflict.ts";
import { hasCode, type SessionError } from "../errors.ts";
import { Handle } from "./handle.ts";

/**
 * Do what may meet turns of somebody else. The caller gets the error at once and as it is; that it was told goes into the
 * session's record of events behind that, once for each view that had fallen behind, however often its owner tries again.
 */
export async function tellingConflicts<T>(handle: Handle, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (hasCode(error, "conflict")) keep(handle, error.details);
    throw error;
  }
}

function keep(
  handle: Handle,
  { seenTurn, storedTurn, seenVersion, storedVersion }: SessionError<"conflict">["details"],
): void {
  const { core } = handle;
  // The store is not told of what happens in the fallback.
  if (core.isFallback || seenVersion === undefined || storedVersion === undefined) return;
  if (!handle.isNewConflict({ seenVersion, storedVersion })) return;
  const conflict = { seenTurn, storedTurn, seenVersion, storedVersion };
  // A view of its own: the caller's goes on knowing what it knew.
  const view = new Handle(core, handle.record);
  core.aside(handle.about("conflict"), async () => {
    try {
      await view.write((draft, context) => tellConflict(draft, conflict, context));
    } catch (error) {
      // Removed meanwhile, and its record of events with it.
      if (!hasCode(error, "session_not_found")) throw error;
    }
  });
}
