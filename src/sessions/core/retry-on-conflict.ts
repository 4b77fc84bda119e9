import { SessionError } from "../../errors.ts";

/** The session that the attempts write to, and their number. */
export interface Retry {
  readonly sessionId: string;
  readonly tenant: string;
  readonly agent?: string;
  /** @default 20 */
  readonly attemptsMax?: number;
  /** Attempts that the caller has made before. @default 0 */
  readonly done?: number;
}

/**
 * Optimistic concurrency: call `attempt`, with its number, until it returns a value. It returns undefined where another
 * writer changed what it had read; the next attempt reads again.
 * @throws SessionError `contended` after `attemptsMax` attempts, and the errors of `attempt`
 */
export async function retryOnConflict<T>(
  { attemptsMax = 20, done = 0, ...ids }: Retry,
  attempt: (number: number) => Promise<T | undefined>,
): Promise<T> {
  for (let number = done + 1; number <= attemptsMax; number++) {
    const result = await attempt(number);
    if (result !== undefined) return result;
  }
  throw new SessionError("contended", { ...ids, attempts: attemptsMax });
}
