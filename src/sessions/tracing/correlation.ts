import { AsyncLocalStorage } from "node:async_hooks";
import { parseId } from "../../domain/values/ids.ts";

const current = new AsyncLocalStorage<string>();

/**
 * Run `work` under the name of your request or job: every event that it causes carries that name, in all sessions and at any
 * depth of calls.
 * @throws SessionError `id_invalid` for a name that cannot be one, and what `work` throws
 */
export function correlated<T>(correlation: string, work: () => T): T {
  return current.run(parseId(correlation, "correlation"), work);
}

/** The correlation of the running async context. */
export function correlationNow(): string | undefined {
  return current.getStore();
}
