import type { RequestContext } from "./http/route.ts";

/** Asks the host of the request, if it gave a context, to stay alive until the work settles. */
export function waitUntil(c: RequestContext, work: Promise<unknown>): void {
  const settled = work.then(
    () => undefined,
    () => undefined,
  );
  lifetimeOf(c)?.waitUntil(settled);
}

function lifetimeOf(c: RequestContext): RequestContext["executionCtx"] | undefined {
  try {
    return c.executionCtx;
  } catch {
    // The getter throws where the host gave none.
    return undefined;
  }
}
