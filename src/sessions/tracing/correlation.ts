import { AsyncLocalStorage } from "node:async_hooks";
import { parseId } from "../../domain/values/ids.ts";
import { parseFunction } from "../../domain/values/invalid-argument.ts";

const current = new AsyncLocalStorage<string>();

/**
 * Run `work` under the name of a request or job: every event that it causes carries the name, in all sessions and at
 * any depth of calls.
 * @throws SessionError `id_invalid` for an invalid name, and the errors of `work`
 */
export function correlated<T>(correlation: string, work: () => T): T {
  return current.run(parseId(correlation, "correlation"), parseFunction(work, "work"));
}

/** The correlation of the running async context. */
export function correlationNow(): string | undefined {
  return current.getStore();
}
