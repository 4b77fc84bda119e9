import { defined } from "../../domain/values/defined.ts";
import { guardNames, guardObject, type OptionNames } from "../../domain/values/option-names.ts";
import { eachItem, pageNames, type Page, type PageQuery } from "../../domain/values/pages.ts";
import type { ConversationInfo, ConversationPage } from "../../index.ts";
import { conversationOfWire, type WireConversation } from "../../protocol/wire-conversations.ts";
import type { Http } from "../http.ts";

/** Options of `create`. */
export interface NewConversation {
  /** A text for people, at most 256 characters. */
  readonly title?: string | null;
  /** The agent that answers. @default the server's choice */
  readonly agent?: string;
}

const newNames: OptionNames<NewConversation> = { title: true, agent: true };

/**
 * The conversations of a device or of a user over HTTP. Another one's conversation is `session_not_found`, as a missing one.
 * `One` is what `create` and `open` return.
 */
export class RemoteConversations<One> {
  readonly #http: Http;
  readonly #path: string;
  readonly #one: (info: ConversationInfo) => Promise<One>;

  /** Made by `Chat` and `RemoteSessions`. @internal */
  constructor(http: Http, path: string, one: (info: ConversationInfo) => Promise<One>) {
    this.#http = http;
    this.#path = path;
    this.#one = one;
  }

  /** One page: pinned ones first, then the others, each by the last activity. @throws SessionError `request_invalid` */
  async list(page: PageQuery = {}): Promise<ConversationPage> {
    guardNames(page, "page", pageNames);
    const { body } = await this.#http.ask({ method: "GET", path: this.#path, query: { ...page } });
    const { items, ...rest } = body as Page<WireConversation>;
    return { ...rest, items: items.map(conversationOfWire) };
  }

  /** All conversations, in the order of `list`, page by page. */
  each(): AsyncGenerator<ConversationInfo, void, undefined> {
    return eachItem((after) => this.list(after));
  }

  /**
   * Creates a conversation; the current one stays, see `select`. The request is sent once: after `store_unavailable` the list
   * shows whether it was created.
   * @throws SessionError `conversations_exceeded`, `agent_unknown`, `rate_limited` …
   */
  async create(options: NewConversation = {}): Promise<One> {
    guardNames(options, "options", newNames);
    const { body } = await this.#http.ask({ method: "POST", path: this.#path, body: options, once: true });
    return await this.#one(conversationOfWire(body as WireConversation));
  }

  /** Opens one of the conversations. @throws SessionError `session_not_found` */
  async open(id: string): Promise<One> {
    return await this.#one(await this.get(id));
  }

  /** One of the conversations as `list` has it. @throws SessionError `session_not_found` */
  async get(id: string): Promise<ConversationInfo> {
    const { body } = await this.#http.ask({ method: "GET", path: this.#pathOf(id) });
    return conversationOfWire(body as WireConversation);
  }

  /** Sets the title; null removes it. @throws SessionError `session_not_found`, `request_invalid` */
  async rename(id: string, title: string | null): Promise<void> {
    await this.#patch(id, { title });
  }

  /** Lists it before the others. @throws SessionError `session_not_found` */
  async pin(id: string): Promise<void> {
    await this.#patch(id, { isPinned: true });
  }

  /** Lists it among the others. @throws SessionError `session_not_found` */
  async unpin(id: string): Promise<void> {
    await this.#patch(id, { isPinned: false });
  }

  /** Makes it the current conversation, which `say` of a chat continues. @throws SessionError `session_not_found` */
  async select(id: string): Promise<void> {
    await this.#patch(id, { isCurrent: true });
  }

  /**
   * Removes the conversation with all its data; with a key it needs the right `admin`. The request is sent once.
   * @throws SessionError `session_not_found`, `legal_hold`
   */
  async remove(id: string): Promise<void> {
    await this.#http.ask({ method: "DELETE", path: this.#pathOf(id), once: true });
  }

  async #patch(id: string, body: object): Promise<void> {
    guardObject(body, "body");
    await this.#http.ask({ method: "PATCH", path: this.#pathOf(id), body: defined(body) });
  }

  #pathOf(id: string): string {
    return `${this.#path}/${encodeURIComponent(id)}`;
  }
}
