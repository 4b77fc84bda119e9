/**
 * Streams: parts that one producer writes and any number of readers in any process read. A stream is a session in an
 * internal scope with one turn. States of a stream:
 *
 * - *open*: its turn is open, and its producer has the lease. A producer that is gone leaves it open until a reader or an
 *   acquisition recovers it.
 * - *over*: its turn is sealed: `done` by its producer, `failed` by its producer, or `interrupted` without it. Its parts
 *   stay until its time to live has passed.
 */
import { splice, turnsIdentity, type Change } from "../record/change.ts";
import type { SessionKey } from "../record/entry.ts";
import type { Context } from "../record/guards.ts";
import { draftOfNew } from "../record/lifecycle.ts";
import type { SessionRecord } from "../record/record.ts";
import { beginTurn } from "./turns.ts";

/** A stream to begin. */
export interface NewStream {
  readonly key: SessionKey;
  /** The session whose answer it is; null: none. */
  readonly session: string | null;
  readonly ttlMs: number;
  /** The instance of the producer. */
  readonly instance: string;
}

/** The agent of the record, which every session has. */
const agent = "perdure";

/** A record in the place of a stream that does not exist. */
export function absentStream(key: SessionKey, context: Context): SessionRecord {
  return draftOfNew({ ...common, key, user: null, ttlMs: 1 }, undefined, context).record;
}

const common = { agent, metadata: {}, maxAgeMs: null, instructions: null } as const;

/** Begin a stream in the place of the one that was found, or of none: its record, its turn and its lease in one commit. */
export function beginStream(
  found: SessionRecord,
  { key, session, ttlMs, instance }: NewStream,
  context: Context,
): Change {
  // Streams are found by their session through the index of users.
  const fresh = { ...common, key, user: session, ttlMs };
  const draft = draftOfNew(fresh, found.version === 0 ? undefined : found, context);
  for (const log of Object.keys(found.heads)) if (log !== "turns") splice(draft, log, 1, []);
  const writer = { instance, fence: null, seen: turnsIdentity(draft.base), seenTurn: 0 };
  const lease = { instance, ttlMs: null, ticket: null };
  return beginTurn(draft, { turn: { key: null, agent, input: [] }, writer, lease }, context);
}
