/** A server on a store in memory, called without a network, for tests of what needs none. */
import assert from "node:assert/strict";
import { defined } from "../../src/domain/values/defined.ts";
import { createServer, type Server, type ServerOptions } from "../../src/server/index.ts";
import { systemClock, type Clock } from "../../src/clock.ts";
import type {
  AttachmentOptions,
  Titles,
  Agent,
  DeviceIds,
  KeyRight,
  Limits,
  Model,
  Sessions,
} from "../../src/index.ts";
import { sessionsOn } from "../../src/sessions/sessions.ts";
import { openMemory } from "../../src/store/memory.ts";
import type { Store } from "../../src/store/store.ts";

export interface Serving extends AsyncDisposable {
  readonly sessions: Sessions;
  readonly server: Server;
  call(method: string, path: string, how?: Call): Promise<Answered>;
  key(right: KeyRight, tenant?: string): Promise<string>;
}

export interface Call {
  readonly device?: string;
  readonly key?: string;
  /** Sent as JSON; a text is sent as it is. */
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- a body is whatever came
  readonly json: any;
}

/** Says the question back. */
export const echo: Model = async function* ({ messages }) {
  const content = messages.at(-1)?.content;
  yield { type: "text", text: `you said: ${typeof content === "string" ? content : "much"}` };
};

export interface ServingOptions {
  readonly model?: Model;
  readonly agents?: Readonly<Record<string, Agent>>;
  readonly store?: Store;
  readonly server?: Partial<ServerOptions>;
  readonly clock?: Clock;
  readonly deviceIds?: DeviceIds;
  readonly limits?: Partial<Limits>;
  readonly attachments?: AttachmentOptions;
  readonly titles?: Titles;
}

export const unlimited = { device: 1e9, newDevices: 1e9, newDeviceSessions: 1e9, key: 1e9, wrongCodes: 1e9 };

export function serve({
  model = echo,
  agents,
  store = openMemory({ clock: systemClock }),
  server: how,
  clock,
  deviceIds,
  limits,
  attachments,
  titles,
}: ServingOptions = {}): Serving {
  const sessions = sessionsOn(store, {
    model,
    sweep: false,
    secret: "a secret for tests only",
    ...defined({ agents, clock, deviceIds, limits, attachments, titles }),
  });
  const server = createServer({ sessions, rates: unlimited, ...how });
  return {
    sessions,
    server,
    call: async (method, path, call) => await callOn(server, method, path, call),
    key: async (right, tenant = "default") => (await sessions.keys.create({ name: "test", right, tenant })).token,
    async [Symbol.asyncDispose]() {
      await server.stop();
      await sessions.close();
    },
  };
}

export function requestOf(method: string, path: string, { device, key, body, headers = {} }: Call = {}): Request {
  return new Request(`http://server.test${path}`, {
    method,
    headers: {
      ...defined({
        "x-device-id": device,
        authorization: key === undefined ? undefined : `Bearer ${key}`,
        "content-type": body === undefined ? undefined : "application/json",
      }),
      ...headers,
    },
    ...defined({ body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body) }),
  });
}

export async function callOn(server: Server, method: string, path: string, call: Call = {}): Promise<Answered> {
  const response = await server.fetch(requestOf(method, path, call));
  const text = await response.text();
  const isJson = /json/.test(response.headers.get("content-type") ?? "");
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
}

export function assertProblem(answered: Answered, status: number, code: string): void {
  assert.deepEqual([answered.status, answered.json?.code], [status, code], answered.text);
  assert.equal(answered.headers.get("content-type"), "application/problem+json");
}

/** The events of a stream. */
export function eventsOf(text: string): { event: string; id: string | undefined; data: Record<string, unknown> }[] {
  return text
    .split("\n\n")
    .filter((block) => block.includes("data:"))
    .map((block) => {
      const field = (name: string): string | undefined => new RegExp(`^${name}: ?(.*)$`, "m").exec(block)?.[1];
      return { event: field("event") ?? "", id: field("id"), data: JSON.parse(field("data") ?? "null") };
    });
}
