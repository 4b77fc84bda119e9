/** Requests to the HTTP interface: the key, errors, streams. */
import { signal } from "@preact/signals";
import { createParser } from "eventsource-parser";
import { defined } from "../../../domain/values/defined.ts";
import type { Key, Right } from "./wire.ts";

const meta = document.querySelector<HTMLMetaElement>('meta[name="perdure-studio"]');

/** Where the page is, and what it calls. */
export const place = {
  /** The path of the page, without a slash at its end. */
  base: meta?.content ?? "",
  api: meta?.dataset["api"] ?? "",
  /** True if the login of the program admits the page, and no key is needed. */
  isAdmitted: meta?.dataset["login"] === "none",
};

const keyName = "perdure-studio-key";

/** The secret of the key; it stays in this tab. */
let secret: string | null = sessionStorage.getItem(keyName);

/** The key of the page; undefined until it is known, null without one. */
export const key = signal<Key | null | undefined>(undefined);
/** Why the last key was refused. */
export const refusal = signal<string | null>(null);
/** `polling`: the store takes no subscription, so the page asks again every few seconds. */
export type Liveness = "connecting" | "live" | "lost" | "polling";
/** Whether the news of the server arrive. */
export const liveness = signal<Liveness>("connecting");

const ranks: Readonly<Record<Right, number>> = { read: 1, write: 2, admin: 3 };

/** True if the key of the page has this right. */
export function may(right: Right): boolean {
  const held = key.value?.right;
  return held !== undefined && ranks[held] >= ranks[right];
}

/** An error of the HTTP interface. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: Readonly<Record<string, unknown>>;
  constructor(status: number, code: string, detail: string, details: Readonly<Record<string, unknown>> = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

export interface Call {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly body?: unknown;
  /** The body, in the place of `body`. */
  readonly file?: Blob;
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>> | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** Calls the HTTP interface; undefined where the answer has no content. @throws Problem */
export async function call<Answer>(path: string, how: Call = {}): Promise<Answer> {
  const response = await send(path, how);
  return (response.status === 204 ? undefined : await response.json()) as Answer;
}

/** @throws Problem */
export async function send(
  path: string,
  { method = "GET", body, file, query, headers, signal }: Call = {},
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${place.api}${path}${queryText(query)}`, {
      method,
      headers: {
        "x-perdure-studio": "1",
        ...defined({
          authorization: secret === null ? undefined : `Bearer ${secret}`,
          "content-type": body === undefined ? undefined : "application/json",
        }),
        ...headers,
      },
      ...defined({ body: body === undefined ? file : JSON.stringify(body), signal }),
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new Problem(0, "unreachable", "The server cannot be reached.");
  }
  if (response.ok) return response;
  const problem = (await response.json().catch(() => ({}))) as {
    code?: string;
    detail?: string;
    details?: Record<string, unknown>;
  };
  if (response.status === 401 && key.value !== null) forget("The key is not valid any more.");
  throw new Problem(
    response.status,
    problem.code ?? `http_${response.status}`,
    problem.detail ?? `The server answered ${response.status}.`,
    problem.details,
  );
}

function queryText(query: Call["query"] = {}): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(query))
    for (const each of typeof value === "object" ? value : [value])
      if (each !== undefined && each !== "") pairs.append(name, String(each));
  const text = pairs.toString();
  return text === "" ? "" : `?${text}`;
}

/** The path of a session in the HTTP interface. */
export function sessionPath(id: string, rest = ""): string {
  return `/v1/sessions/${encodeURIComponent(id)}${rest}`;
}

/** Begins: exchanges a token of the address, or takes the key that the tab has. */
export async function begin(): Promise<void> {
  const token = /^#token=([\w-]{1,200})$/.exec(location.hash)?.[1];
  if (token !== undefined) {
    history.replaceState(null, "", location.pathname + location.search);
    const response = await fetch(`${place.base}/exchange`, { method: "POST", body: token });
    if (!response.ok) {
      refuse("This link was used before, or is older than ten minutes. Start the studio again for a new one.");
      return;
    }
    keep(((await response.json()) as { key: string }).key);
  }
  if (secret === null && !place.isAdmitted) refuse(null);
  else await learnKey();
}

/** Takes a key that a person typed. */
export async function enter(text: string): Promise<void> {
  keep(text.trim());
  await learnKey();
}

async function learnKey(): Promise<void> {
  try {
    key.value = await call<Key>("/v1/key");
    refusal.value = null;
  } catch (error) {
    const isRefused = error instanceof Problem && (error.status === 401 || error.status === 403);
    forget(isRefused && !place.isAdmitted ? "No such key, or it has expired." : (error as Error).message);
  }
}

function keep(text: string): void {
  secret = text;
  sessionStorage.setItem(keyName, text);
}

/** Leaves: the tab forgets its key. */
export function forget(reason: string | null): void {
  secret = null;
  sessionStorage.removeItem(keyName);
  refuse(reason);
}

function refuse(reason: string | null): void {
  refusal.value = reason;
  key.value = null;
}

export interface ServerEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: unknown;
}

const retryMs = { first: 500, last: 10_000 };

/** Follows a stream of server-sent events, and resumes it after a lost connection, until the signal aborts or the stream says `done`. */
export async function follow(
  path: string,
  {
    signal,
    onEvent,
    onState,
    query,
  }: {
    readonly signal: AbortSignal;
    readonly onEvent: (event: ServerEvent) => void;
    readonly onState?: (state: Liveness) => void;
    readonly query?: Call["query"];
  },
): Promise<void> {
  let lastId: string | undefined;
  let pauseMs = retryMs.first;
  while (!signal.aborted) {
    try {
      const headers = { accept: "text/event-stream", ...defined({ "last-event-id": lastId }) };
      const response = await send(path, { headers, signal, query });
      if (response.status === 204 || response.body === null) return;
      onState?.("live");
      const parser = createParser({
        onEvent: ({ event = "message", id, data }) => {
          lastId = id ?? lastId;
          // A stream that ends without an event is asked for less and less often.
          pauseMs = retryMs.first;
          onEvent({ event, id, data: JSON.parse(data) });
        },
      });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let read = await reader.read(); !read.done; read = await reader.read()) parser.feed(read.value);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Problem && [401, 403, 404, 410].includes(error.status)) return;
    }
    onState?.("lost");
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
    pauseMs = Math.min(pauseMs * 2, retryMs.last);
  }
}
