import type { Answer } from "../domain/turns/answer.ts";
import { parseDuration } from "../domain/values/duration.ts";
import type { Turn } from "../domain/turns/turn.ts";
import { defined } from "../domain/values/defined.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { guardNames, guardObject, type OptionNames } from "../domain/values/option-names.ts";
import { eachItem, pageNames, type Page, type PageQuery } from "../domain/values/pages.ts";
import type {
  ActiveAgent,
  BusyPolicy,
  Decisions,
  EntryRange,
  HandOffOptions,
  LinkCode,
  MessageInput,
  SessionInfo,
  UserDevice,
  WaitingTurn,
  WriteKey,
} from "../index.ts";
import { hasCode } from "../errors.ts";
import { activeAgentOfWire, infoOfWire, type WireActiveAgent, type WireSession } from "../protocol/wire.ts";
import { approveOver, askOver, cancelOver, encodeKey, runningOver, waitingOver } from "./answer.ts";
import { DeviceConversations } from "./conversations/device-conversations.ts";
import { headerSecret, Http, type HttpOptions } from "./http.ts";
import { turnPages } from "./log-pages.ts";

/** Server and device of a chat. */
export interface ChatOptions extends Omit<HttpOptions, "headers"> {
  /**
   * The device's UUID, which it keeps secret: it gives access to the chat. With `key` also the id of a channel, if the
   * server has `deviceIds: "any"`.
   * @default the one stored in this browser
   */
  readonly device?: string;
  /** The API key of a program that serves a channel; a browser has none. */
  readonly key?: string;
}

/** Options of `say`. */
export interface SayOptions {
  /**
   * The agent that answers.
   * @default the active agent, else the server's choice
   */
  readonly agent?: string;
  /**
   * Policy for a message during a running answer.
   * @default that of the server
   */
  readonly busy?: BusyPolicy;
  /**
   * Idempotency key: a repeated call is the same turn.
   * @default a new one, so that a lost request can be repeated
   */
  readonly key?: string;
}

const chatNames: OptionNames<ChatOptions> = { url: true, device: true, key: true, retries: true, fetch: true };
const sayNames: OptionNames<SayOptions> = { agent: true, busy: true, key: true };
const handOffNames: OptionNames<Pick<HandOffOptions, "ttl">> = { ttl: true };

/**
 * The chat of one device, over HTTP.
 * @throws SessionError `argument_invalid` for an option that does not exist, and for a device or a key that cannot be one
 */
export function chat(given: ChatOptions): Chat {
  guardNames(given, "options", chatNames);
  const { device = browserDevice(), key, ...options } = given;
  const authorization = key === undefined ? undefined : `Bearer ${headerSecret("key", key)}`;
  return new Chat(
    new Http({ ...options, headers: defined({ "x-device-id": headerSecret("device", device), authorization }) }),
  );
}

/** A device's conversation. */
export class Chat {
  readonly #http: Http;

  /** Made by `chat`. @internal */
  constructor(http: Http) {
    this.#http = http;
  }

  /** The conversations of the device; the chat itself is the current one. */
  get conversations(): DeviceConversations {
    return new DeviceConversations(this.#http);
  }

  /**
   * Sends a message. Resolves once it is durable; then the answer streams, and resumes after a lost connection.
   * @throws SessionError `busy`, `agent_unknown`, `rate_limited` … ; a later error is thrown by the answer
   */
  async say(message: MessageInput, given: SayOptions = {}): Promise<Answer> {
    guardNames(given, "options", sayNames);
    const { key = crypto.randomUUID(), ...options } = given;
    const headers = { "idempotency-key": encodeKey(key) };
    const request = { method: "POST", path: "/v1/chat", body: { message, ...options }, headers } as const;
    return await askOver(this.#http, request, async () => undefined);
  }

  /**
   * Reads the turns, oldest first; none if the device has no session.
   * @throws SessionError `range_invalid`, `argument_invalid`, `request_invalid`
   */
  turns(range: EntryRange = {}): AsyncGenerator<Turn, void, undefined> {
    guardObject(range, "range");
    return turnPages(
      this.#http,
      "/v1/chat",
      range.last === undefined && range.to === undefined ? { from: 1, ...range } : range,
    );
  }

  /** The device's session; undefined before its first message. */
  async session(): Promise<SessionInfo | undefined> {
    try {
      const { body } = await this.#http.ask({ method: "GET", path: "/v1/chat/session" });
      return infoOfWire(body as WireSession);
    } catch (error) {
      if (hasCode(error, "session_not_found")) return undefined;
      throw error;
    }
  }

  /**
   * The answer that runs now, from its beginning, such as after a reload of the page; undefined if none runs.
   * @throws SessionError `id_invalid`, `rate_limited` … ; a later error is thrown by the answer
   */
  async running(): Promise<Answer | undefined> {
    return await runningOver(this.#http, "/v1/chat");
  }

  /**
   * Stops the running answer; false if none runs. With a key only the message of this key, also while it waits: then
   * `say` rejects with `aborted`.
   */
  async cancel(options: WriteKey = {}): Promise<boolean> {
    return await cancelOver(this.#http, "/v1/chat", options);
  }

  /** The turn that waits for the approval of tool calls; null if none does. @throws SessionError `key_forbidden` */
  async waiting(): Promise<WaitingTurn | null> {
    return await waitingOver(this.#http, "/v1/chat");
  }

  /**
   * Decides on the tool calls for which the turn waits. The server runs the tools, and the answer continues. A server takes
   * decisions of devices with its option `deviceApprovals` only.
   * @throws SessionError `key_forbidden`, `turn_not_waiting`, `argument_invalid` …; a later error is thrown by the answer
   */
  async approve(token: string, decisions: Decisions): Promise<Answer> {
    return await approveOver(this.#http, "/v1/chat", { token, decisions }, async () => undefined);
  }

  /** The active agent; null if none is. */
  async activeAgent(): Promise<ActiveAgent | null> {
    const { status, body } = await this.#http.ask({ method: "GET", path: "/v1/chat/active-agent" });
    return status === 204 ? null : activeAgentOfWire(body as WireActiveAgent);
  }

  /** Makes an agent the active one, for a time. */
  async handOff(agent: string, options: Pick<HandOffOptions, "ttl"> = {}): Promise<ActiveAgent> {
    guardNames(options, "options", handOffNames);
    const { ttl } = options;
    const body = {
      agent,
      ...defined({ ttlSeconds: ttl === undefined ? undefined : parseDuration(ttl, "ttl") / 1000 }),
    };
    const answer = await this.#http.ask({ method: "PUT", path: "/v1/chat/active-agent", body });
    return activeAgentOfWire(answer.body as WireActiveAgent);
  }

  /** Ends the handoff. */
  async endHandoff(): Promise<void> {
    await this.#http.ask({ method: "DELETE", path: "/v1/chat/active-agent" });
  }

  /** A code with which another device can join this chat. */
  async linkCode(): Promise<LinkCode> {
    const { body } = await this.#http.ask({ method: "POST", path: "/v1/devices/link-codes" });
    const { code, expiresAt } = body as { code: string; expiresAt: string };
    return { code, expiresAt: new Date(expiresAt) };
  }

  /**
   * Joins the chat of the device that showed this code.
   * @throws SessionError `link_code_invalid`
   */
  async link(code: string): Promise<void> {
    await this.#http.ask({ method: "POST", path: "/v1/devices/link", body: { code }, once: true });
  }

  /** One page of the other devices that share this chat through a code, by names that are no device ids. */
  async listSharing(page: PageQuery = {}): Promise<Page<UserDevice>> {
    guardNames(page, "page", pageNames);
    const { body } = await this.#http.ask({ method: "GET", path: "/v1/devices/link", query: { ...page } });
    const { items, next } = body as { items: { id: string; linkedAt: string }[]; next?: string };
    return defined({ items: items.map(({ id, linkedAt }) => ({ id, linkedAt: new Date(linkedAt) })), next });
  }

  /** All devices of `listSharing`. */
  eachSharing(): AsyncGenerator<UserDevice, void, undefined> {
    return eachItem((after) => this.listSharing(after));
  }

  /** Removes one device from the chat, by its name in `listSharing`; false if it does not share the chat. */
  async endSharing(id: string): Promise<boolean> {
    const { body } = await this.#http.ask({ method: "DELETE", path: `/v1/devices/link/${encodeURIComponent(id)}` });
    return (body as { unlinked: boolean }).unlinked;
  }

  /** Ends the sharing: a linked device gets a new chat, the owner keeps its own. False if nothing was shared. */
  async unlink(): Promise<boolean> {
    const { body } = await this.#http.ask({ method: "DELETE", path: "/v1/devices/link" });
    return (body as { unlinked: boolean }).unlinked;
  }
}

/** Key-value storage of a browser, such as `localStorage`. */
export interface KeyValueStorage {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
}

const keptAs = "perdure-device";

/**
 * The device id stored in this browser, created if missing.
 * @throws SessionError `argument_invalid` without such a storage
 */
export function browserDevice(
  storage: KeyValueStorage | undefined = (globalThis as { localStorage?: KeyValueStorage }).localStorage,
): string {
  const { getItem, setItem } = Object(storage) as Partial<KeyValueStorage>;
  if (storage === undefined || typeof getItem !== "function" || typeof setItem !== "function")
    throw invalidArgument("storage", storage, { expected: "storage" });
  const kept = storage.getItem(keptAs);
  if (kept !== null) return kept;
  const device = crypto.randomUUID();
  storage.setItem(keptAs, device);
  return device;
}
