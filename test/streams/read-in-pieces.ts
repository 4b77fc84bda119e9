import { hasCode, SessionError, type Sessions } from "../../src/index.ts";

/**
 * The parts of a stream as a reader gets them that leaves after every few parts, or after an error of the store, and reads on
 * from its cursor. A stream that is lost ends like any other.
 */
export async function readInPieces(sessions: Sessions, id: string, chance: () => number): Promise<unknown[]> {
  const parts: unknown[] = [];
  let after: string | undefined;
  for (;;) {
    const leaveAfter = 1 + Math.floor(chance() * 30);
    let read = 0;
    try {
      for await (const { cursor, part } of sessions.streams.read(id, after === undefined ? {} : { after })) {
        parts.push(part);
        after = cursor;
        if (++read >= leaveAfter) break;
      }
      if (read < leaveAfter) return parts;
    } catch (error) {
      if (hasCode(error, "stream_failed")) return parts;
      if (!(error instanceof SessionError && error.retryable)) throw error;
    }
  }
}

/** The numbers from 1 up to this one. */
export function numbersUpTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}
