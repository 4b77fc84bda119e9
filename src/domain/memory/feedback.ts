/** Ratings of turns, each by one rater: users, operators, or programs that judge answers. */
import { SessionError } from "../../errors.ts";
import { changeOf, lastOwn, splice, type Change, type Draft } from "../record/change.ts";
import { feedbackLog, type Entry } from "../record/entry.ts";
import { sessionIds, type Context } from "../record/guards.ts";
import { guardLegalHold } from "../record/retention.ts";
import { decode, encode } from "../values/codec.ts";
import { defined } from "../values/defined.ts";
import { isDate } from "../values/limits.ts";
import { guardMemory } from "./summary.ts";

/** The rating of a turn. */
export interface Rating {
  readonly turn: number;
  /** Approval, disapproval, or a score on a scale of the application. */
  readonly rating: "up" | "down" | number;
  readonly comment?: string;
  /** The rater; null: not named. */
  readonly by: string | null;
  readonly at: Date;
}

/** A rating, and the identity of its turn. */
export interface StoredRating {
  readonly rating: Rating;
  readonly identity: string;
}

/** The ratings of one session, at most. */
export const ratingsMax = 1000;

/** The rating of an entry of the log; undefined for one that cannot be read. */
export function readRating({ at, data }: Entry): StoredRating | undefined {
  try {
    const { turn, identity, rating, comment, by } = decode(data) as { readonly [field: string]: unknown };
    const isRead =
      Number.isSafeInteger(turn) &&
      typeof identity === "string" &&
      (rating === "up" || rating === "down" || typeof rating === "number") &&
      (by === null || typeof by === "string") &&
      isDate(at);
    if (!isRead) return undefined;
    const text = typeof comment === "string" ? comment : undefined;
    return {
      rating: { turn: turn as number, rating, by, at: new Date(at), ...defined({ comment: text }) },
      identity,
    };
  } catch {
    return undefined;
  }
}

/**
 * Replace the ratings of the log. `kept`: how many of its first entries stay as they are.
 * @throws SessionError `session_archived`, `write_too_large`; `legal_hold` where ratings are removed or replaced
 */
export function putRatings(
  draft: Draft,
  { ratings, kept }: { readonly ratings: readonly StoredRating[]; readonly kept: number },
  _context: Context,
): Change | null {
  guardMemory(draft.record);
  const count = ratings.length;
  if (count > ratingsMax)
    throw new SessionError("write_too_large", {
      ...sessionIds(draft.record),
      part: "ratings",
      count,
      countMax: ratingsMax,
    });
  const stored = lastOwn(draft.record, feedbackLog);
  if (kept === count && kept === stored) return null;
  if (kept < stored) guardLegalHold(draft.record);
  spliceRatings(draft, { ratings, kept });
  return changeOf(draft);
}

/** Replace the ratings of the log behind the first `kept` ones, in the draft. */
export function spliceRatings(
  draft: Draft,
  { ratings, kept }: { readonly ratings: readonly StoredRating[]; readonly kept: number },
): void {
  const entries = ratings.slice(kept).map(({ rating: { at, ...rating }, identity }, index) => ({
    seq: kept + 1 + index,
    key: null,
    at: at.getTime(),
    data: encode(defined({ ...rating, identity })),
  }));
  splice(draft, feedbackLog, kept + 1, entries);
}
