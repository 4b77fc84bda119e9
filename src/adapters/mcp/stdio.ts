/** A client over stdin and stdout: it has started the process, so it needs no key. */
import type { Sessions } from "../../index.ts";
import { openRight } from "./admission.ts";
import { packageStdio, type McpEvent, type McpHandler, type McpTransport, type ProtocolServer } from "./package-mcp.ts";
import { protocolServer, type ServerParts } from "./protocol-server.ts";
import { SessionEvents } from "./session-events.ts";

/** The server of the connection, and the resources that a client of 2025 has subscribed to. */
interface Connected {
  readonly server: ProtocolServer;
  /** Undefined for a client of 2026, whose subscriptions the package knows. */
  readonly subscribed: Set<string> | undefined;
}

/** Serves until the client leaves. */
export async function serveOverStdio(
  parts: ServerParts,
  { sessions, report }: { readonly sessions: Sessions; readonly report: (error: unknown) => void },
): Promise<void> {
  const { serveStdio, StdioServerTransport } = await packageStdio();
  let current: Connected | undefined;
  const events = new SessionEvents(sessions, {
    report,
    // The client cannot be made to subscribe again: it lists again.
    lost: () => events.publish({ kind: "resources_list_changed" }),
  });
  const unsubscribe = { events: (): void => undefined };
  /** The news are read from the first subscription on. */
  const follow = async (): Promise<void> => {
    unsubscribe.events();
    unsubscribe.events = events.subscribe((event) => void send(current, event)?.catch(report));
    await events.begin();
  };
  const connection = new StdioConnection(new StdioServerTransport(), { beforeListen: follow });
  const handle = serveStdio(
    ({ era }) => {
      const caller = { sessions, right: openRight, waitUntil: (): void => undefined } as const;
      const mcp = protocolServer(parts, caller, { subscribes: true });
      const server = mcp.server as ProtocolServer;
      current = { server, subscribed: era === "modern" ? undefined : subscriptionsOf(server, follow) };
      return mcp;
    },
    { transport: connection, onerror: report },
  );
  await connection.closed;
  unsubscribe.events();
  await handle.close();
}

function send(connected: Connected | undefined, event: McpEvent): Promise<void> | undefined {
  if (connected === undefined) return undefined;
  const { server, subscribed } = connected;
  if (event.kind === "resources_list_changed") return server.sendResourceListChanged();
  const { uri } = event;
  return subscribed === undefined || subscribed.has(uri) ? server.sendResourceUpdated({ uri }) : undefined;
}

/** The subscriptions of a client of 2025, which subscribes to each resource by itself. */
function subscriptionsOf(server: ProtocolServer, follow: () => Promise<void>): Set<string> {
  const subscribed = new Set<string>();
  type UriRequest = { readonly params: { readonly uri: string } };
  const subscribe = async ({ params }: UriRequest): Promise<object> => {
    const isFirst = subscribed.size === 0;
    subscribed.add(params.uri);
    if (isFirst) await follow();
    return {};
  };
  const unsubscribe = ({ params }: UriRequest): object => {
    subscribed.delete(params.uri);
    return {};
  };
  server.setRequestHandler("resources/subscribe", subscribe as McpHandler);
  server.setRequestHandler("resources/unsubscribe", unsubscribe as McpHandler);
  return subscribed;
}

/** A connection that delays a subscription until the news are read, so that its client misses no change. */
class StdioConnection implements McpTransport {
  onmessage: McpTransport["onmessage"];
  onclose: McpTransport["onclose"];
  onerror: McpTransport["onerror"];
  /** Resolves once the client has gone. */
  readonly closed: Promise<void>;
  readonly #transport: McpTransport;
  readonly #beforeListen: () => Promise<void>;
  readonly #markClosed: () => void;
  /** The messages behind a subscription that is delayed. */
  #delayed: Promise<void> | undefined;

  constructor(transport: McpTransport, { beforeListen }: { readonly beforeListen: () => Promise<void> }) {
    this.#transport = transport;
    this.#beforeListen = beforeListen;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#markClosed = resolve;
  }

  async start(): Promise<void> {
    // The handlers of a transport are fields.
    Object.assign(this.#transport, {
      onmessage: (message: never, extra?: never) => this.#receive(message, extra),
      onclose: () => {
        this.onclose?.();
        this.#markClosed();
      },
      onerror: (error: Error) => this.onerror?.(error),
    });
    await this.#transport.start();
  }

  async send(message: never, options?: never): Promise<void> {
    await this.#transport.send(message, options);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  #receive(message: never, extra?: never): void {
    const deliver = (): void => this.onmessage?.(message, extra);
    const isListen = (message as { readonly method?: unknown }).method === "subscriptions/listen";
    if (!isListen && this.#delayed === undefined) {
      deliver();
      return;
    }
    const before = this.#delayed ?? Promise.resolve();
    const delayed = before
      .then(async () => (isListen ? await this.#beforeListen() : undefined))
      .then(deliver)
      .finally(() => {
        if (this.#delayed === delayed) this.#delayed = undefined;
      });
    this.#delayed = delayed;
  }
}
