import type { Instance } from "../../domain/record/record.ts";
import { mayLive } from "./process-identity.ts";

/**
 * Whether an instance lives, by its own word: the writer of the heartbeat says how long it may be silent, because it alone
 * knows how often it beats. `staleAfterMs` of the reader holds for one that does not say.
 */
export function isLive(instance: Instance, { now, staleAfterMs }: { now: number; staleAfterMs: number }): boolean {
  return now - instance.seenAt <= (instance.staleAfterMs ?? staleAfterMs) && mayLive(instance);
}
