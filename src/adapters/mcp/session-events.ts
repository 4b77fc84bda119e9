/**
 * The changes of a tenant's sessions, from the news, for open subscriptions. States: *idle*, without a subscription; *reading*
 * the news, from the first subscription to the end of the last one.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { defined } from "../../domain/values/defined.ts";
import { hasCode } from "../../errors.ts";
import type { NewsItem, Sessions } from "../../index.ts";
import type { McpEvent, McpEventBus } from "./package-mcp.ts";
import { resourceUri } from "./resources.ts";

/** The pause before the news are read again after a failure, ms. */
const againMs = 1000;

/** With more sessions the list counts as changed once more for each. */
const knownMax = 10_000;

export class SessionEvents implements McpEventBus {
  readonly #sessions: Sessions;
  readonly #report: (error: unknown) => void;
  readonly #listeners = new Set<(event: McpEvent) => void>();
  /** Called where changes may be missing: the subscribers begin again. */
  readonly #lost: () => void;
  /** Sessions that exist: those that were heard of. */
  readonly #known = new Set<string>();
  #reading: { readonly stop: AbortController; readonly begun: Promise<void> } | undefined;

  constructor(
    sessions: Sessions,
    { report, lost }: { readonly report: (error: unknown) => void; readonly lost: () => void },
  ) {
    this.#sessions = sessions;
    this.#report = report;
    this.#lost = lost;
  }

  publish(event: McpEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  /** Resolves once the news are read: each later change is heard. */
  async begin(): Promise<void> {
    this.#reading ??= this.#read();
    await this.#reading.begun;
  }

  subscribe(listener: (event: McpEvent) => void): () => void {
    this.#listeners.add(listener);
    this.#reading ??= this.#read();
    return () => {
      this.#listeners.delete(listener);
      this.rest();
    };
  }

  /** Ends the reading where no subscription is open; a later one begins it again. */
  rest(): void {
    if (this.#listeners.size > 0) return;
    this.#reading?.stop.abort();
    this.#reading = undefined;
  }

  #read(): { readonly stop: AbortController; readonly begun: Promise<void> } {
    const stop = new AbortController();
    const begun = Promise.withResolvers<void>();
    void this.#readUntil(stop.signal, begun.resolve).finally(begun.resolve);
    return { stop, begun: begun.promise };
  }

  async #readUntil(signal: AbortSignal, begun: () => void): Promise<void> {
    let cursor: string | undefined;
    while (!signal.aborted) {
      try {
        for await (const { cursor: next, items } of this.#sessions.news(defined({ after: cursor, signal }))) {
          // The reset at the beginning is no loss: the subscribers hear of all that follows.
          if (cursor !== undefined && items.some((item) => "reset" in item)) this.#lost();
          cursor = next;
          begun();
          this.#publishItems(items);
        }
        return;
      } catch (error) {
        if (signal.aborted || hasCode(error, "closed")) return;
        this.#report(error);
        await sleep(againMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  /** The list of sessions changes where one is removed, and where one that was not heard of changes: it may be new. */
  #publishItems(items: readonly NewsItem[]): void {
    let isListChanged = false;
    for (const item of items) {
      if (!("session" in item)) continue;
      const { session } = item;
      if ("removed" in item) this.#known.delete(session);
      isListChanged ||= !this.#known.has(session);
      if (!("removed" in item)) this.#learn(session);
      this.publish({ kind: "resource_updated", uri: resourceUri(session) });
    }
    if (isListChanged) this.publish({ kind: "resources_list_changed" });
  }

  #learn(session: string): void {
    if (this.#known.size >= knownMax) this.#known.clear();
    this.#known.add(session);
  }
}
