import { headOf } from "../../domain/record/change.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import { sessionIds } from "../../domain/record/guards.ts";
import { stateAt } from "../../domain/record/states.ts";
import { SessionError } from "../../errors.ts";
import type { Handle } from "../handle/handle.ts";
import { readLog } from "../core/log-reader.ts";
import { parseWholeNumber } from "../options/arguments.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import type { Found, SessionView } from "../polling/change-poller.ts";
import { addContext } from "../tracing/operation.ts";
import { logEntryOf, type LogEntry } from "./log-entry.ts";
import { pageBehind } from "./page-behind.ts";

/** The start and the end of following a log. */
export interface FollowOptions {
  /** The number of the last entry that the caller has. @default 0 */
  readonly after?: number;
  /** Ends without an error. */
  readonly signal?: AbortSignal;
}

const followNames: OptionNames<FollowOptions> = { after: true, signal: true };

/** Follows a log. A follower reads when the session changes, at its own pace, and keeps no queue. */
export async function* followLog(
  handle: Handle,
  log: LogName,
  options: FollowOptions,
): AsyncGenerator<LogEntry, void, undefined> {
  guardNames(options, "options", followNames);
  const { after = 0, signal } = options;
  let position = parseWholeNumber(after, "after", 0);
  const { core, key } = handle;
  core.guardOpen();
  const news = new News(signal);
  const watch = core.poller.watch(key, { needs: "record" }, (found) => news.put(found));
  watch.look();
  let last: Entry | undefined;
  try {
    for (let found = await news.next(); found !== undefined; found = await news.next()) {
      const view = viewOf(handle, found);
      for await (const entry of grown(handle, view, { log, position, last })) {
        ({ seq: position } = entry);
        last = entry;
        yield logEntryOf(log, entry);
        if (signal?.aborted === true) return;
      }
      const state = stateAt(view.record, core.now());
      if (state !== "active" && state !== "inactive") return;
    }
  } catch (error) {
    const { tenant, id: session } = key;
    throw addContext(error, { command: "log", tenant, session });
  } finally {
    watch.stop();
    news.end();
  }
}

/** @throws SessionError `session_not_found`, or the store's */
function viewOf({ record }: Handle, found: Found): SessionView {
  if (found.status === "found") return found.view;
  if (found.status === "failed") throw found.error;
  throw new SessionError("session_not_found", sessionIds(record));
}

/** The entries behind a position, up to the end of the log in a view. The last one that was given must be there still. */
async function* grown(
  { core }: Handle,
  { record }: SessionView,
  { log, position, last }: { readonly log: LogName; readonly position: number; readonly last: Entry | undefined },
): AsyncGenerator<Entry, void, undefined> {
  const end = headOf(record, log);
  if (end < position) throw rewritten();
  const { readMax: limit, readBytesMax: bytesMax } = core.options.limits;
  let before = last;
  for (let next = position + 1; next <= end;) {
    const query = { log, from: next, to: end, order: "ascending", limit, bytesMax } as const;
    const page = await pageBehind(before, query, (range) => readLog(core, record, range));
    if (page === undefined) throw rewritten();
    // They were truncated since the view: the next view shows it.
    if (page.length === 0) return;
    yield* page;
    before = page.at(-1);
    next = (before?.seq ?? end) + 1;
  }

  function rewritten(): SessionError {
    return new SessionError("conflict", { ...sessionIds(record), log, seenVersion: record.version });
  }
}

/** The newest view of a session, until its follower takes it. */
class News {
  #found: Found | undefined;
  #isOver = false;
  #waiting: PromiseWithResolvers<void> | undefined;
  readonly #signal: AbortSignal | undefined;

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
    if (signal?.aborted === true) this.end();
    signal?.addEventListener("abort", this.end, { once: true });
  }

  put(found: Found): void {
    this.#found = found;
    this.#waiting?.resolve();
  }

  readonly end = (): void => {
    this.#isOver = true;
    this.#signal?.removeEventListener("abort", this.end);
    this.#waiting?.resolve();
  };

  /** Undefined at the end. */
  async next(): Promise<Found | undefined> {
    if (this.#found === undefined && !this.#isOver) {
      this.#waiting = Promise.withResolvers();
      await this.#waiting.promise;
    }
    const found = this.#isOver ? undefined : this.#found;
    this.#found = undefined;
    return found;
  }
}
