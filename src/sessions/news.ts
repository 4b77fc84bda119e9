/** The news of a tenant: its sessions, streams and documents, as they change, in any process. */
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { decodeNewsCursor } from "../store/news.ts";
import type { Core } from "./core/core.ts";
import type { News } from "./polling/news-feed.ts";

/** Options of the news: their beginning and their end. */
export interface NewsOptions {
  /** The cursor of the last news that the reader has. @default from now on, with a reset first */
  readonly after?: string;
  /** Ends the news without an error. */
  readonly signal?: AbortSignal;
}

const optionNames: OptionNames<NewsOptions> = { after: true, signal: true };

/** @throws SessionError `argument_invalid`, `closed` */
export function newsOn(core: Core, tenant: string, options: NewsOptions): AsyncGenerator<News, void, undefined> {
  guardNames(options, "news", optionNames);
  core.guardOpen();
  const { after, signal } = options;
  if (after !== undefined) guardCursor(after);
  return readNews(core, tenant, { after, signal });
}

function guardCursor(after: unknown): void {
  if (typeof after !== "string") throw invalidArgument("after", after, { expected: "cursor" });
  decodeNewsCursor(after);
}

async function* readNews(
  core: Core,
  tenant: string,
  { after, signal }: { readonly after: string | undefined; readonly signal: AbortSignal | undefined },
): AsyncGenerator<News, void, undefined> {
  if (signal?.aborted === true) return;
  core.guardOpen();
  await core.learnTime();
  const reader = core.newsFeeds.read(tenant, after);
  signal?.addEventListener("abort", reader.leave, { once: true });
  try {
    for (let news = await reader.next(); news !== undefined; news = await reader.next()) yield news;
  } finally {
    signal?.removeEventListener("abort", reader.leave);
    reader.leave();
  }
}
