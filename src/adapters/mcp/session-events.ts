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

export class SessionEvents implements McpEventBus {
  readonly #sessions: Sessions;
  readonly #report: (error: unknown) => void;
  readonly #listeners = new Set<(event: McpEvent) => void>();
  /** Called where changes may be missing: the subscribers begin again. */
  readonly #lost: () => void;
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
          for (const item of items) this.#publishItem(item);
        }
        return;
      } catch (error) {
        if (signal.aborted || hasCode(error, "closed")) return;
        this.#report(error);
        await sleep(againMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  #publishItem(item: NewsItem): void {
    if (!("session" in item)) return;
    this.publish({ kind: "resource_updated", uri: resourceUri(item.session) });
    const isNew = "version" in item && item.version === 1;
    if (isNew || "removed" in item) this.publish({ kind: "resources_list_changed" });
  }
}
