import type { Answer } from "../domain/turns/answer.ts";
import { parseDuration } from "../domain/values/duration.ts";
import type { Turn } from "../domain/turns/turn.ts";
import type {
  ActiveAgent,
  BusyPolicy,
  HandOffOptions,
  LinkCode,
  MessageInput,
  SessionInfo,
  UserDevice,
} from "../index.ts";
import { hasCode } from "../errors.ts";
import { activeAgentOfWire, infoOfWire, type WireActiveAgent, type WireSession } from "../protocol/wire.ts";
import { askOver } from "./answer.ts";
import { Http, type HttpOptions } from "./http.ts";
import { encodeKey } from "./remote-session.ts";
import { turnPages } from "./turn-pages.ts";

/** Where the server is, and which device asks. */
export interface ChatOptions extends Omit<HttpOptions, "headers"> {
  /** A UUID that the device keeps to itself: who knows it has its chat. @default the one that this browser keeps */
  readonly device?: string;
}

/** How something is said. */
export interface SayOptions {
  /** The agent that answers. @default the active agent, else the choice of the server */
  readonly agent?: string;
  /** What to do where an answer is running. @default that of the server */
  readonly busy?: BusyPolicy;
  /** Makes a repetition the same turn. @default a fresh one, so that a lost request is safely repeated */
  readonly key?: string;
}

/** The chat of one device, over HTTP. */
export function chat({ device = browserDevice(), ...options }: ChatOptions): Chat {
  return new Chat(new Http({ ...options, headers: { "x-device-id": device } }));
}

/** A device's conversation. */
export class Chat {
  readonly #http: Http;

  /** Made by `chat`. */
  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Say something. Resolves once it is durable; the answer streams from there, and goes on where a connection was lost.
   * @throws SessionError `busy`, `agent_unknown`, `rate_limited` … ; what goes wrong later, the answer throws
   */
  async say(message: MessageInput, { key = crypto.randomUUID(), ...options }: SayOptions = {}): Promise<Answer> {
    const headers = { "idempotency-key": encodeKey(key) };
    const request = { method: "POST", path: "/v1/chat", body: { message, ...options }, headers } as const;
    return await askOver(this.#http, request, async () => undefined);
  }

  /** What was said last, oldest first; empty for a device that has not said anything. */
  async turns({ last = 20 }: { last?: number } = {}): Promise<readonly Turn[]> {
    return await Array.fromAsync(turnPages(this.#http, "/v1/chat/turns", { last }));
  }

  /** The device's session; undefined where it has not said anything yet. */
  async session(): Promise<SessionInfo | undefined> {
    try {
      const { body } = await this.#http.ask({ method: "GET", path: "/v1/chat/session" });
      return infoOfWire(body as WireSession);
    } catch (error) {
      if (hasCode(error, "session_not_found")) return undefined;
      throw error;
    }
  }

  /** Stop the running answer; false where none runs. */
  async cancel(): Promise<boolean> {
    const { body } = await this.#http.ask({ method: "POST", path: "/v1/chat/cancel" });
    return (body as { cancelled: boolean }).cancelled;
  }

  /** The agent that a handoff made active; null without a handoff. */
  async activeAgent(): Promise<ActiveAgent | null> {
    const { status, body } = await this.#http.ask({ method: "GET", path: "/v1/chat/active-agent" });
    return status === 204 ? null : activeAgentOfWire(body as WireActiveAgent);
  }

  /** Make another agent the active one, for a time. */
  async handOff(agent: string, { ttl }: Pick<HandOffOptions, "ttl"> = {}): Promise<ActiveAgent> {
    const body = { agent, ...(ttl === undefined ? {} : { ttlSeconds: parseDuration(ttl, "ttl") / 1000 }) };
    const answer = await this.#http.ask({ method: "PUT", path: "/v1/chat/active-agent", body });
    return activeAgentOfWire(answer.body as WireActiveAgent);
  }

  /** End the handoff. */
  async endHandoff(): Promise<void> {
    await this.#http.ask({ method: "DELETE", path: "/v1/chat/active-agent" });
  }

  /** A code by which another device comes to share this chat. */
  async linkCode(): Promise<LinkCode> {
    const { body } = await this.#http.ask({ method: "POST", path: "/v1/devices/link-codes" });
    const { code, expiresAt } = body as { code: string; expiresAt: string };
    return { code, expiresAt: new Date(expiresAt) };
  }

  /** Share the chat of the device that showed this code. @throws SessionError `link_code_invalid` */
  async link(code: string): Promise<void> {
    await this.#http.ask({ method: "POST", path: "/v1/devices/link", body: { code }, once: true });
  }

  /** The other devices that share this device's chat by a code, by names that are no device ids. */
  async sharing(): Promise<readonly UserDevice[]> {
    const found: UserDevice[] = [];
    for (let after: string | undefined; ;) {
      const { body } = await this.#http.ask({ method: "GET", path: "/v1/devices/link", query: { after } });
      const { devices, next } = body as { devices: { id: string; linkedAt: string }[]; next?: string };
      found.push(...devices.map(({ id, linkedAt }) => ({ id, linkedAt: new Date(linkedAt) })));
      if (next === undefined) return found;
      after = next;
    }
  }

  /** End the sharing with one device, by the name that `sharing` gives it; false where it does not share the chat. */
  async endSharing(id: string): Promise<boolean> {
    const { body } = await this.#http.ask({ method: "DELETE", path: `/v1/devices/link/${encodeURIComponent(id)}` });
    return (body as { unlinked: boolean }).unlinked;
  }

  /** End the sharing: a linked device gets a fresh chat, the owner keeps its chat for itself. False where nothing was shared. */
  async unlink(): Promise<boolean> {
    const { body } = await this.#http.ask({ method: "DELETE", path: "/v1/devices/link" });
    return (body as { unlinked: boolean }).unlinked;
  }
}

/** Where a browser keeps things, as `localStorage` does. */
export interface KeyValueStorage {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
}

const keptAs = "perdure-device";

/** The device id that this browser keeps, made where there is none. @throws Error where there is no such place */
export function browserDevice(
  keeper: KeyValueStorage | undefined = (globalThis as { localStorage?: KeyValueStorage }).localStorage,
): string {
  if (keeper === undefined) throw new Error("there is no localStorage here; pass the device's id");
  const kept = keeper.getItem(keptAs);
  if (kept !== null) return kept;
  const device = crypto.randomUUID();
  keeper.setItem(keptAs, device);
  return device;
}
