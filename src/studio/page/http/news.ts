/** The news of the tenant: one stream for the whole page. */
import { follow, liveness } from "./api.ts";

/** A session that changed; undefined: any may have changed. */
export type OnChange = (session: string | undefined) => void;

interface NewsItem {
  readonly session?: string;
  readonly stream?: string;
  /** The reader was away for too long: anything may have changed. */
  readonly reset?: true;
}

const listeners = new Set<OnChange>();
const streamListeners = new Set<() => void>();
let isFollowing = false;
/** Ends the stream; it lasts as long as the page otherwise. */
const closing = new AbortController();

/** Calls the listener for each change of a session, until the returned function is called. */
export function onChange(listener: OnChange): () => void {
  listeners.add(listener);
  if (!isFollowing) void followNews();
  return () => void listeners.delete(listener);
}

/** Calls the listener for each change of a stream, until the returned function is called. */
export function onStreams(listener: () => void): () => void {
  streamListeners.add(listener);
  if (!isFollowing) void followNews();
  return () => void streamListeners.delete(listener);
}

const pollMs = 5000;
let polling: ReturnType<typeof setInterval> | undefined;

/** A store that takes no writes has no subscriptions. */
function poll(): void {
  closing.abort();
  liveness.value = "polling";
  polling ??= setInterval(() => {
    for (const listener of listeners) listener(undefined);
    for (const listener of streamListeners) listener();
  }, pollMs);
}

async function followNews(): Promise<void> {
  isFollowing = true;
  await follow("/v1/news", {
    signal: closing.signal,
    onState: (state) => {
      if (!closing.signal.aborted) liveness.value = state;
    },
    onEvent: ({ event, data }) => {
      if (event === "error" && (data as { code?: string }).code === "store_read_only") poll();
      if (event !== "news") return;
      for (const { session, stream, reset } of (data as { items: readonly NewsItem[] }).items) {
        if (session !== undefined || reset === true) for (const listener of listeners) listener(session);
        if (stream !== undefined || reset === true) for (const listener of streamListeners) listener();
      }
    },
  });
}
