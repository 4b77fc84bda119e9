import { EventSourceParserStream } from "eventsource-parser/stream";
import pRetry, { AbortError } from "p-retry";
import { defined } from "../domain/values/defined.ts";
import { formatValue } from "../domain/values/format-value.ts";
import { SessionError } from "../errors.ts";
import { fromJson, toJson } from "../protocol/json.ts";
import { errorOf } from "../protocol/problem.ts";

/** The server, and the headers of the caller. */
export interface HttpOptions {
  /** The server's URL, such as `https://chat.example`, with the path under which it is mounted. */
  readonly url: string;
  /** Sent with every request: a key, or a device's id. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Retries of a request that was lost or temporarily refused.
   * @default 4
   */
  readonly retries?: number;
  /** @default the platform's */
  readonly fetch?: typeof globalThis.fetch;
}

/**
 * A key, a token or a device's id, which a header carries. The platform would quote a value that no header can carry.
 * @throws SessionError `argument_invalid`, without the value
 */
export function headerSecret(name: "key" | "token" | "device", value: string): string {
  const secret: unknown = typeof value === "string" ? value.trim() : value; // a file ends in a line break
  if (typeof secret === "string" && /^[ -~]{1,4096}$/.test(secret)) return secret;
  const found = typeof value === "string" ? { length: value.length } : { value: formatValue(value) };
  throw new SessionError("argument_invalid", { name, ...found, expected: "key_token", min: 1, max: 4096 });
}

/** A request. It is retried, so repeating it must be harmless. */
export interface HttpRequest {
  /** Repeating it would do harm or look like a failure: it is sent once. */
  readonly once?: true;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  /** A list is sent as one parameter for each of its values. */
  readonly query?: Readonly<Record<string, string | number | readonly string[] | undefined>>;
  readonly body?: object;
  /** Bytes as the body, in place of `body`; their type is in the headers. */
  readonly bytes?: Uint8Array | Blob | ReadableStream<Uint8Array>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** A status that the caller handles, though it is that of a failure. */
  readonly handled?: number;
}

/** The response to a request. */
export interface HttpAnswer {
  readonly status: number;
  readonly etag: string | null;
  readonly body: unknown;
}

/** One event of a stream. */
export interface HttpEvent {
  readonly event: string | undefined;
  readonly id: string | undefined;
  readonly data: unknown;
}

/** Requests to one server, with the headers of one caller. */
export class Http {
  readonly #options: HttpOptions;

  constructor(options: HttpOptions) {
    this.#options = options;
  }

  /** @throws SessionError the server's; `store_unavailable` if the server cannot be reached, or is not a Perdure server */
  async ask(request: HttpRequest): Promise<HttpAnswer> {
    return await this.#retried(request, async () => await answerOf(await this.#send(request, "application/json")));
  }

  /** The response, whose body the caller reads. @throws as `ask` */
  async open(request: HttpRequest): Promise<Response> {
    return await this.#retried(request, () => this.#send(request, "*/*"));
  }

  /**
   * The response, or the events of a streamed one.
   * @throws as `ask`, and for events as `events`
   */
  async askOrHear(request: HttpRequest): Promise<HttpAnswer | AsyncIterableIterator<HttpEvent, void>> {
    return await this.#retried(request, async () => {
      const response = await this.#send(request, "text/event-stream, application/json");
      const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true;
      return isStream ? eventsOf(response) : await answerOf(response);
    });
  }

  /**
   * The events of a stream until it ends or breaks.
   * @throws as `ask`, and errors of the connection
   */
  async *events(request: HttpRequest): AsyncGenerator<HttpEvent, void, void> {
    yield* eventsOf(await this.#retried(request, () => this.#send(request, "text/event-stream")));
  }

  async #send(
    { method, path, query = {}, body, bytes, headers = {}, signal, handled }: HttpRequest,
    accept: string,
  ): Promise<Response> {
    const { url, headers: own, fetch = globalThis.fetch } = this.#options;
    const target = new URL(`${url.replace(/\/+$/, "")}${path}`);
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value])
        if (one !== undefined) target.searchParams.append(name, String(one));
    }
    guardPath(target, path);
    const response = await fetch(target, {
      method,
      // The key or the device id must not follow a redirect.
      redirect: "error",
      headers: {
        accept,
        ...defined({ "content-type": body === undefined ? undefined : "application/json" }),
        ...own,
        ...headers,
      },
      ...defined({ body: body === undefined ? undefined : toJson(body, "request"), signal }),
      // A stream is sent while the response may begin already: https://fetch.spec.whatwg.org/#enumdef-requestduplex
      ...(bytes && { body: bytes, duplex: "half" }),
    });
    if (response.ok || response.status === handled) return response;
    throw (await refusalOf(response)) ?? this.unknownResponse(response.status);
  }

  /** The error of a response that is not one of a Perdure server. */
  unknownResponse(httpStatus: number): SessionError {
    const store = new URL(this.#options.url).host;
    return new SessionError("store_unavailable", { store, problem: "response_unknown", httpStatus });
  }

  async #retried<T>({ signal, once }: HttpRequest, work: () => Promise<T>): Promise<T> {
    const { url, retries = 4 } = this.#options;
    const attempt = async (): Promise<T> => {
      try {
        return await work();
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof SessionError) {
          if (mayRetry(error)) throw error;
          throw new AbortError(error);
        }
        throw unreachable(url, error);
      }
    };
    return await pRetry(attempt, {
      retries: once === true ? 0 : retries,
      minTimeout: 100,
      maxTimeout: 5000,
      randomize: true,
      ...defined({ signal }),
    });
  }
}

/**
 * URLs normalise the segments "." and "..": the request would address something else.
 * @throws SessionError `id_invalid`
 */
function guardPath(target: URL, path: string): void {
  if (target.pathname.endsWith(path)) return;
  const segment = path.split("/").find((one) => one === "." || one === "..") ?? path;
  const value = JSON.stringify(segment.slice(0, 100));
  throw new SessionError("id_invalid", { name: "id", value, expected: "no_dots" });
}

/** The caller waits for busy sessions; temporary failures of the server are retried. */
function mayRetry({ code }: SessionError): boolean {
  return code === "store_unavailable" || code === "store_busy" || code === "rate_limited" || code === "contended";
}

async function refusalOf(response: Response): Promise<SessionError | undefined> {
  try {
    return errorOf(JSON.parse(await response.text()));
  } catch {
    // Not a problem document: a proxy answered.
    return undefined;
  }
}

function unreachable(url: string, cause: unknown): SessionError {
  return new SessionError("store_unavailable", { store: new URL(url).host, problem: "unreachable" }, { cause });
}

async function answerOf(response: Response): Promise<HttpAnswer> {
  const text = await response.text();
  return { status: response.status, etag: response.headers.get("etag"), body: text === "" ? null : fromJson(text) };
}

/**
 * The events of a response. Unlike a generator, it closes the connection also where `return` comes before the first `next`.
 * It reads by a reader, as not every browser can iterate over streams.
 */
function eventsOf({ body }: Response): AsyncIterableIterator<HttpEvent, void> {
  const reader = body?.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream()).getReader();
  // The read reports what broke the stream; an error while closing it does not matter.
  const close = async (): Promise<void> => await reader?.cancel().catch(() => undefined);
  const events: AsyncIterableIterator<HttpEvent, void> = {
    async next() {
      try {
        const { done, value } = (await reader?.read()) ?? { done: true };
        if (done || value === undefined) return { done: true, value: undefined };
        const { event, id, data } = value;
        return { done: false, value: { event, id, data: fromJson(data) } };
      } catch (error) {
        await close();
        throw error;
      }
    },
    async return() {
      await close();
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]: () => events,
  };
  return events;
}
