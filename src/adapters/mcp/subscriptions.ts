/**
 * The open subscriptions over HTTP. Each tenant has a bus of its own, so that no subscription hears of another tenant, from its
 * first subscription to the end of its last one.
 */
import type { McpHttpHandler } from "./package-mcp.ts";
import { SessionEvents } from "./session-events.ts";
import { knowsTasks, tasksExtension } from "./tasks.ts";
import type { Caller, ClientCapabilities } from "./tools/tool.ts";

/** The pause between two checks of the key of a subscription, ms. */
const keyCheckMs = 15_000;

/** A tenant with open subscriptions. */
interface Tenant {
  readonly handler: McpHttpHandler;
  readonly events: SessionEvents;
  /** Ends the subscriptions, which begin again: changes may be missing. */
  lost: AbortController;
  open: number;
}

export class Subscriptions {
  readonly #tenants = new Map<string, Tenant>();
  readonly #handlerOf: (events: SessionEvents) => McpHttpHandler;
  readonly #report: (error: unknown) => void;

  constructor(handlerOf: (events: SessionEvents) => McpHttpHandler, report: (error: unknown) => void) {
    this.#handlerOf = handlerOf;
    this.#report = report;
  }

  /** True for a request that opens a subscription; the package compares the header with the body. */
  static opens(request: Request): boolean {
    return request.headers.get("mcp-method") === "subscriptions/listen";
  }

  /** Answers with the changes, until the client leaves, its key is revoked, or changes may be missing. */
  async answer(
    request: Request,
    caller: Caller,
    { authInfo, admitted }: { readonly authInfo: object; readonly admitted: () => Promise<boolean> },
  ): Promise<Response> {
    const refused = await refusalOf(request);
    if (refused !== undefined) return refused;
    const { tenant: name } = caller.sessions;
    const tenant = this.#tenants.get(name) ?? this.#begin(name, caller);
    tenant.open++;
    const ended = new AbortController();
    const check = setInterval(() => void admitted().then((is) => is || ended.abort()), keyCheckMs).unref();
    const close = (): void => {
      clearInterval(check);
      if (--tenant.open > 0) return;
      if (this.#tenants.get(name) === tenant) this.#tenants.delete(name);
      tenant.events.rest();
    };
    try {
      await tenant.events.begin();
      const signal = AbortSignal.any([request.signal, ended.signal, tenant.lost.signal]);
      const response = await tenant.handler.fetch(new Request(request, { signal }), { authInfo });
      return withEnd(response, close);
    } catch (error) {
      close();
      throw error;
    }
  }

  /** Ends all subscriptions, each with a last message. */
  async close(): Promise<void> {
    await Promise.all([...this.#tenants.values()].map(({ handler }) => handler.close()));
  }

  #begin(name: string, { sessions }: Caller): Tenant {
    const events = new SessionEvents(sessions, {
      report: this.#report,
      lost: () => {
        tenant.lost.abort();
        tenant.lost = new AbortController();
      },
    });
    const tenant: Tenant = { handler: this.#handlerOf(events), events, lost: new AbortController(), open: 0 };
    this.#tenants.set(name, tenant);
    return tenant;
  }
}

/** A request that names what it listens to is short. */
const listenBytesMax = 64 * 1024;

/** The refusal of a client that asks for news of tasks without knowing tasks; undefined for others. */
async function refusalOf(request: Request): Promise<Response | undefined> {
  if (Number(request.headers.get("content-length") ?? Infinity) > listenBytesMax) return undefined;
  // The package refuses a body that is no request.
  const message = Object(
    await request
      .clone()
      .json()
      .catch(() => undefined),
  ) as ListenMessage;
  const { notifications, _meta: meta } = Object(message.params) as NonNullable<ListenMessage["params"]>;
  const client = Object(meta?.["io.modelcontextprotocol/clientCapabilities"]) as ClientCapabilities;
  if (notifications?.taskIds === undefined || knowsTasks(client)) return undefined;
  const data = { requiredCapabilities: { extensions: { [tasksExtension]: {} } } };
  const error = { code: -32_021, message: "Missing required client capability", data };
  return Response.json({ jsonrpc: "2.0", id: message.id ?? null, error }, { status: 400 });
}

/** A request that opens a subscription, as far as it is read here. */
interface ListenMessage {
  readonly id?: unknown;
  readonly params?: {
    readonly notifications?: { readonly taskIds?: unknown };
    readonly _meta?: { readonly [name: string]: unknown };
  };
}

/** The response, with a call once its body has ended or its reader has left. */
function withEnd(response: Response, ended: () => void): Response {
  if (response.body === null) {
    ended();
    return response;
  }
  const reader = response.body.getReader();
  let isOver = false;
  const end = (): void => {
    if (!isOver) ended();
    isOver = true;
  };
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (done) {
            controller.close();
            end();
          } else controller.enqueue(value);
        } catch (error) {
          controller.error(error);
          end();
        }
      },
      async cancel(reason) {
        end();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { status: response.status, headers: response.headers });
}
