/**
 * The session that an id of a framework names. There is one rule for all frameworks whose sessions have ids of their own:
 *
 * 1. The option `sessionOf` of the application names it, and no other one.
 * 2. Without the option it is the session that the framework has begun, such as `adk/APP/USER/SESSION`.
 * 3. Where there is none, it is the session with the id itself, which another framework has begun, if the caller may have it: it belongs to
 *    the same user, and the framework does not know it by another address.
 */
import { idFor, type SessionInfo } from "../../index.ts";

/** The names of a session. */
export interface SessionNames {
  /** The id as the framework has it. */
  readonly name: string;
  /** The id of the session that the framework begins. */
  readonly own: string;
  /** The id that the application names; undefined: it names none. */
  readonly chosen?: string | undefined;
  /** True where the caller may have the session of another framework. */
  readonly mayHave: (info: SessionInfo) => boolean;
}

/** A session that was opened. */
interface Opened {
  readonly session: { readonly info: SessionInfo };
}

/** The session of these names; undefined where there is none. @param open gives undefined where no session has the id */
export async function namedSession<Found extends Opened>(
  { name, own, chosen, mayHave }: SessionNames,
  open: (id: string) => Promise<Found | undefined>,
): Promise<Found | undefined> {
  const found = await open(chosen ?? own);
  if (found !== undefined || chosen !== undefined) return found;
  const other = await open(idFor(name));
  return other !== undefined && mayHave(other.session.info) ? other : undefined;
}
