/** Read-only links to a session over HTTP: made by their owner, read by the token. */
import { guardNames, guardObject, guardSignal, type OptionNames } from "../../domain/values/option-names.ts";
import type {
  AttachmentRange,
  EntryRange,
  OpenAttachment,
  SharedInfo,
  SharedNews,
  SharedTurn,
  ShareInfo,
  ShareOptions,
  WatchOptions,
} from "../../index.ts";
import {
  sharedOfWire,
  sharedTurnOfWire,
  shareOfWire,
  type WireShare,
  type WireShared,
  type WireSharedTurn,
} from "../../protocol/wire-conversations.ts";
import { RemoteAttachments } from "../attachments/remote-attachments.ts";
import { headerSecret, Http, type HttpOptions } from "../http.ts";
import { logPages } from "../log-pages.ts";
import { resumeEvents } from "../resume-events.ts";

const shareNames: OptionNames<ShareOptions> = { ttl: true };

/** Makes a share of the session or conversation at a path. The request is sent once: repeated, it would make another one. */
export async function shareOver(
  http: Http,
  path: string,
  options: ShareOptions,
): Promise<ShareInfo & { readonly token: string }> {
  guardNames(options, "options", shareNames);
  const { body } = await http.ask({ method: "POST", path: `${path}/shares`, body: options, once: true });
  return shareOfWire(body as WireShare & { readonly token: string });
}

/** The valid shares of the session or conversation at a path. */
export async function sharesOver(http: Http, path: string): Promise<readonly ShareInfo[]> {
  const { body } = await http.ask({ method: "GET", path: `${path}/shares` });
  return (body as { readonly items: readonly WireShare[] }).items.map((share) => shareOfWire(share));
}

/** The server, and the token of a share. */
export interface OpenShareOptions extends Omit<HttpOptions, "headers"> {
  /** As returned by `share`. */
  readonly token: string;
}

const openNames: OptionNames<OpenShareOptions> = { url: true, token: true, retries: true, fetch: true };
const watchNames: OptionNames<Pick<WatchOptions, "after" | "signal">> = { after: true, signal: true };

/**
 * The session that a token shares, to read over HTTP. Nothing is sent until it is needed, and nothing has to be closed.
 * @throws SessionError `argument_invalid` for an option that does not exist, and for a token that cannot be one
 */
export function openShare(given: OpenShareOptions): RemoteSharedSession {
  guardNames(given, "options", openNames);
  const { token, ...options } = given;
  return new RemoteSharedSession(
    new Http({ ...options, headers: { authorization: `Bearer ${headerSecret("token", token)}` } }),
  );
}

/** A shared session over HTTP. Each request asks the server whether the share is still valid. */
export class RemoteSharedSession {
  readonly #http: Http;

  /** Made by `openShare`. @internal */
  constructor(http: Http) {
    this.#http = http;
  }

  /** The title and the number of turns. @throws SessionError `share_not_found` */
  async info(): Promise<SharedInfo> {
    return sharedOfWire((await this.#http.ask({ method: "GET", path: "/v1/shared" })).body as WireShared);
  }

  /** The turns, oldest first. @throws SessionError `share_not_found`, `range_invalid`, `request_invalid` */
  turns(range: EntryRange = {}): AsyncGenerator<SharedTurn, void, undefined> {
    guardObject(range, "range");
    const isWhole = range.last === undefined && range.to === undefined;
    const asked = isWhole ? { from: 1, ...range } : range;
    return logPages(this.#http, "/v1/shared/turns", asked, (turn) => sharedTurnOfWire(turn as WireSharedTurn));
  }

  /**
   * Opens an attachment that a message shows, or a range of it, to read once.
   * @throws SessionError `attachment_not_found`, `share_not_found`, `range_invalid`, `argument_invalid`
   */
  async openAttachment(hash: string, range: AttachmentRange = {}): Promise<OpenAttachment> {
    return await new RemoteAttachments(this.#http, "/v1/shared").open(hash, range);
  }

  /**
   * Watches the session: turns as they begin and end, from those after `after` on, by default from now on. A stream that breaks is
   * resumed: a turn may come again. Ends with the session's life.
   * @throws SessionError `share_not_found`, also once the share is revoked or has expired
   */
  async *watch(options: Pick<WatchOptions, "after" | "signal"> = {}): AsyncGenerator<SharedNews, void, void> {
    guardNames(options, "options", watchNames);
    guardSignal(options);
    const { signal } = options;
    const after = options.after ?? (await this.info()).turns;
    const request = { method: "GET", path: "/v1/shared/watch", signal } as const;
    const resume = { lastId: `${after}.0`, continues: () => Promise.resolve(true) };
    for await (const { event, data } of resumeEvents(this.#http, request, resume)) {
      if (event === "end") return;
      if (event === "turn")
        yield { type: "turn", turn: sharedTurnOfWire((data as { readonly turn: WireSharedTurn }).turn) };
      if (event === "truncated") yield { type: "truncated", after: (data as { readonly after: number }).after };
    }
  }
}
