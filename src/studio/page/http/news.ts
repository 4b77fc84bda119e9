/** The news of the tenant: one stream for the whole page. */
import { follow, liveness } from "./api.ts";

/** A session that changed; undefined: any may have changed. */
export type OnChange = (session: string | undefined) => void;

const listeners = new Set<OnChange>();
let isFollowing = false;

/** Calls the listener for each change of a session, until the returned function is called. */
export function onChange(listener: OnChange): () => void {
  listeners.add(listener);
  if (!isFollowing) void followNews();
  return () => void listeners.delete(listener);
}

async function followNews(): Promise<void> {
  isFollowing = true;
  await follow("/v1/news", {
    // The stream lasts as long as the page.
    signal: new AbortController().signal,
    onState: (state) => (liveness.value = state),
    onEvent: ({ event, data }) => {
      if (event !== "news") return;
      for (const item of (data as { items: readonly { session?: string; reset?: true }[] }).items)
        if (item.session !== undefined || item.reset === true) for (const listener of listeners) listener(item.session);
    },
  });
  isFollowing = false;
}
