import { hasCode } from "../errors.ts";
import { removeUnreadable } from "./session/unreadable-session.ts";
import { coreOf, type Sessions } from "./sessions.ts";
import { traceCall } from "./tracing/operation.ts";

/** Remove a session with all its data, also one whose record cannot be read. @throws SessionError `session_not_found`, `legal_hold` */
export async function removeSession(sessions: Sessions, id: string): Promise<void> {
  const core = coreOf(sessions);
  try {
    await (await sessions.get(id)).remove();
  } catch (error) {
    if (!hasCode(error, "session_unreadable")) throw error;
    await traceCall({ operation: "remove", tenant: sessions.tenant, session: id }, async () => {
      await removeUnreadable(core, error);
    });
  }
}
