/** Ends what followed writers left open once they have ended: a reader that follows them would otherwise wait for ever. */
import { keyText, type SessionKey } from "../../domain/record/entry.ts";
import type { Core } from "../core/core.ts";
import { Handle } from "./handle.ts";

/** How often the writer of a followed session is checked, ms. */
const recoverMs = 1000;

interface Followed {
  followers: number;
  readonly timer: NodeJS.Timeout;
}

/** The followed sessions of each process: one check for all followers of a session. */
const followed = new WeakMap<Core, Map<string, Followed>>();

/**
 * Recovers a watched session once a second, for all its followers in this process, until the returned function is called: a
 * turn that a dead writer left open is sealed.
 */
export function recoverFollowed(core: Core, key: SessionKey): () => void {
  const text = keyText(key);
  const sessions = followed.get(core) ?? new Map<string, Followed>();
  followed.set(core, sessions);
  const session = sessions.get(text) ?? {
    followers: 0,
    // The next second tries again what failed.
    timer: setInterval(() => void recover(core, key).catch(() => undefined), recoverMs).unref(),
  };
  sessions.set(text, session);
  session.followers++;
  let follows = true;
  return () => {
    if (!follows) return;
    follows = false;
    if (--session.followers > 0) return;
    clearInterval(session.timer);
    sessions.delete(text);
  };
}

/** The record of a watched session is at most one poll old, and the write compares it. */
async function recover(core: Core, key: SessionKey): Promise<void> {
  const record = core.poller.recordOf(key);
  if (record !== undefined && record.openTurn !== null) await new Handle(core, record).recoverAbandoned();
}
