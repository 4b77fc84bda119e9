import { AsyncLocalStorage } from "node:async_hooks";
import { parseId } from "../../domain/values/ids.ts";

const current = new AsyncLocalStorage<string>();

/**
 * Do `work` under the name of a request or job of your own: every event that comes of it bears that name, however deep
 * inside and however many sessions it touches.
 * @throws SessionError `id_invalid` for a name that cannot be one, and what `work` throws
 */
export function correlated<T>(correlation: string, work: () => T): T {
  return current.run(parseId(correlation, "correlation"), work);
}

/** The name that whoever runs just now goes under. */
export function correlationNow(): string | undefined {
  return current.getStore();
}
