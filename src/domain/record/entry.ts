/**
 * Where a session lives. Tenant leads every key and every predicate; there is no way to name a session without it.
 */
export interface SessionKey {
  readonly tenant: string;
  readonly id: string;
}

/** One text for a key, to index maps by; the separator cannot occur in either part. */
export function keyText(key: SessionKey): string {
  return `${key.tenant}\u0000${key.id}`;
}

/** A named, append-only list of a session. Adapters may have their own beside these. */
export type LogName = "turns" | "chunks" | "events" | "instructions" | (string & {});

/** One row of a log. */
export interface Entry {
  /** Its place in the log: 1, 2, 3 … without gaps; the log of events may have lost its beginning. */
  readonly seq: number;
  /** The idempotency key, unique within its log. */
  readonly key: string | null;
  /** When it was made, epoch ms; for people, never for order. */
  readonly at: number;
  /** Text made by the codec. */
  readonly data: string;
}

/**
 * Replace what `log` holds from `from` on by `entries`, whose seq run on from there. Where their seq lie before `from`, the
 * entries come in front of what stands: the last one has the seq before the first entry that stands, and `from` lies behind
 * the last entry, so that nothing is replaced.
 */
export interface Splice {
  readonly log: LogName;
  readonly from: number;
  readonly entries: readonly Entry[];
}
