/** The conversations of a device over HTTP: to list, search and open, and to talk in. */
import type { Answer } from "../../domain/turns/answer.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardNames, guardObject, guardSignal, type OptionNames } from "../../domain/values/option-names.ts";
import type {
  Branch,
  BranchQuery,
  BusyPolicy,
  ConversationInfo,
  Decisions,
  MessageInput,
  SearchPage,
  ShareInfo,
  ShareOptions,
  Turn,
  TurnRange,
  WaitingTurn,
  WriteKey,
} from "../../index.ts";
import { branchOfWire, foundOfWire, type WireBranch, type WireFound } from "../../protocol/wire.ts";
import { conversationOfWire, type WireConversation } from "../../protocol/wire-conversations.ts";
import { RemoteAttachments } from "../attachments/remote-attachments.ts";
import { approveOver, askOver, cancelOver, encodeKey, runningOver, waitingOver } from "../answer.ts";
import type { Http } from "../http.ts";
import { turnPages } from "../log-pages.ts";
import { RemoteConversations } from "./remote-conversations.ts";
import { shareOver, sharesOver } from "./shares.ts";

const base = "/v1/chat/conversations";

/** Options of a search of a device. */
export interface ConversationsSearch {
  /** The most messages to find. @default 20 */
  readonly limit?: number;
  /** The `next` of the page before. */
  readonly after?: string;
  readonly signal?: AbortSignal;
}

const searchNames: OptionNames<ConversationsSearch> = { limit: true, after: true, signal: true };

/** The conversations of a device, or of its user where the server opens them. */
export class DeviceConversations extends RemoteConversations<DeviceConversation> {
  readonly #http: Http;

  /** Made by `Chat`. @internal */
  constructor(http: Http) {
    super(http, base, (info) => Promise.resolve(new DeviceConversation(http, info)));
    this.#http = http;
  }

  /**
   * One page of the messages and titles of the conversations that have all words of a text, the newest first.
   * @throws SessionError `request_invalid`, `argument_invalid`
   */
  async search(text: string, options: ConversationsSearch = {}): Promise<SearchPage> {
    guardNames(options, "options", searchNames);
    guardSignal(options);
    const { signal, ...page } = options;
    const request = { method: "GET", path: "/v1/chat/search", query: { text, ...page }, signal } as const;
    const found = (await this.#http.ask(request)).body as Omit<SearchPage, "items"> & {
      readonly items: readonly WireFound[];
    };
    return { ...found, items: found.items.map(foundOfWire) };
  }
}

/** Options of a question in a conversation. */
export interface AskOptions {
  /** The policy for a message during a running answer. @default that of the server */
  readonly busy?: BusyPolicy;
  /** Idempotency key: a repeated call is the same turn. @default a new one, so that a lost request can be repeated */
  readonly key?: string;
}

const sayNames: OptionNames<AskOptions & { readonly agent?: string }> = { agent: true, busy: true, key: true };
const editNames: OptionNames<AskOptions> = { busy: true, key: true };
const regenerateNames: OptionNames<AskOptions & { readonly turn?: number }> = { turn: true, busy: true, key: true };
const branchNames: OptionNames<BranchQuery> = { at: true };

/** One conversation of a device. */
export class DeviceConversation {
  readonly #http: Http;
  readonly #path: string;
  #info: ConversationInfo;

  /** Made by `DeviceConversations`. @internal */
  constructor(http: Http, info: ConversationInfo) {
    this.#http = http;
    this.#path = `${base}/${encodeURIComponent(info.id)}`;
    this.#info = info;
  }

  get id(): string {
    return this.#info.id;
  }

  /** As last sent by the server; `refresh` loads it again. */
  get info(): ConversationInfo {
    return this.#info;
  }

  /** The files and pictures beside the messages. One has at most as many bytes as the server takes in a body of a device. */
  get attachments(): RemoteAttachments {
    return new RemoteAttachments(this.#http, this.#path);
  }

  /** Loads the title, the number of turns and the other fields. @throws SessionError `session_not_found` */
  async refresh(): Promise<ConversationInfo> {
    const { body } = await this.#http.ask({ method: "GET", path: this.#path });
    this.#info = conversationOfWire(body as WireConversation);
    return this.#info;
  }

  /**
   * Sends a message. Resolves once it is durable; then the answer streams, and resumes after a lost connection.
   * @throws SessionError `busy`, `agent_unknown`, `session_not_found` … ; a later error is thrown by the answer
   */
  async say(message: MessageInput, options: AskOptions & { readonly agent?: string } = {}): Promise<Answer> {
    guardNames(options, "options", sayNames);
    return await this.#ask("consult", { message }, options);
  }

  /** Sends a turn in other words; a branch keeps the earlier version. @throws SessionError `range_invalid`, and as `say` */
  async edit(turn: number, message: MessageInput, options: AskOptions = {}): Promise<Answer> {
    guardNames(options, "options", editNames);
    return await this.#ask("consult", { message, edit: turn }, options);
  }

  /** Asks for another answer, by default of the last turn; a branch keeps the earlier one. @throws SessionError as `edit` */
  async regenerate(options: AskOptions & { readonly turn?: number } = {}): Promise<Answer> {
    guardNames(options, "options", regenerateNames);
    return await this.#ask("regenerate", {}, options);
  }

  /** The answer that runs now, from its beginning; undefined if none runs. @throws SessionError `session_not_found` */
  async running(): Promise<Answer | undefined> {
    return await runningOver(this.#http, this.#path);
  }

  /** Stops the running answer; false if none runs. With a key only the message of this key, also while it waits. */
  async cancel(options: WriteKey = {}): Promise<boolean> {
    return await cancelOver(this.#http, this.#path, options);
  }

  /** The turn that waits for the approval of tool calls; null if none does. @throws SessionError `key_forbidden` */
  async waiting(): Promise<WaitingTurn | null> {
    return await waitingOver(this.#http, this.#path);
  }

  /**
   * Decides on the tool calls for which the turn waits, as `approve` of a chat. A server takes decisions of devices with its option
   * `deviceApprovals` only.
   * @throws SessionError `key_forbidden`, `turn_not_waiting`, `argument_invalid` …; a later error is thrown by the answer
   */
  async approve(token: string, decisions: Decisions): Promise<Answer> {
    return await approveOver(this.#http, this.#path, { token, decisions }, async () => undefined);
  }

  /** Reads the turns, oldest first, of any branch. @throws SessionError `range_invalid`, `session_not_found` */
  turns(range: TurnRange = {}): AsyncGenerator<Turn, void, undefined> {
    guardObject(range, "range");
    const isWhole = range.last === undefined && range.to === undefined;
    return turnPages(this.#http, this.#path, isWhole ? { from: 1, ...range } : range);
  }

  /** Lists the branches, or with `at` the versions of a turn. @throws SessionError `session_not_found` */
  async branches(query: BranchQuery = {}): Promise<readonly Branch[]> {
    guardNames(query, "query", branchNames);
    const { at } = query;
    const { body } = await this.#http.ask({ method: "GET", path: `${this.#path}/branches`, query: { at } });
    return (body as { readonly items: readonly WireBranch[] }).items.map(branchOfWire);
  }

  /** Makes a branch the current one. @throws SessionError `branch_not_found`, `busy`, `session_not_found` */
  async switchTo(branch: string): Promise<void> {
    await this.#http.ask({ method: "POST", path: `${this.#path}/switch`, body: { branch } });
  }

  /** Makes a read-only link. Only this call returns the token. @throws SessionError `shares_exceeded`, `session_not_found` */
  async share(options: ShareOptions = {}): Promise<ShareInfo & { readonly token: string }> {
    return await shareOver(this.#http, this.#path, options);
  }

  /** The shares of the conversation that are valid. @throws SessionError `session_not_found` */
  async shares(): Promise<readonly ShareInfo[]> {
    return await sharesOver(this.#http, this.#path);
  }

  /** Revokes a share by its id; false where the conversation has no such share. @throws SessionError `session_not_found` */
  async unshare(share: string): Promise<boolean> {
    const path = `${this.#path}/shares/${encodeURIComponent(share)}`;
    return ((await this.#http.ask({ method: "DELETE", path })).body as { readonly revoked: boolean }).revoked;
  }

  async #ask(route: "consult" | "regenerate", body: object, options: AskOptions): Promise<Answer> {
    const { key = crypto.randomUUID(), ...rest } = options;
    const headers = { "idempotency-key": encodeKey(key) };
    const request = { method: "POST", path: `${this.#path}/${route}`, body: defined({ ...body, ...rest }), headers };
    return await askOver(this.#http, { ...request, method: "POST" }, async () => undefined);
  }
}
