import type { Instance } from "../../domain/record/record.ts";
import { mayLive } from "./process-identity.ts";

/**
 * True where an instance is alive. The heartbeat states how long its writer may be silent; the reader's `staleAfterMs` holds
 * where it states nothing.
 */
export function isLive(instance: Instance, { now, staleAfterMs }: { now: number; staleAfterMs: number }): boolean {
  return now - instance.seenAt <= (instance.staleAfterMs ?? staleAfterMs) && mayLive(instance);
}
