import type {
  AcquiredToken,
  AcquireTokenOptions,
  Flush,
  ReadOptions,
  StreamInfo,
  StreamPage,
  StreamPart,
  StreamQuery,
  Streams,
  StreamStatus,
  Value,
} from "../index.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { parseDuration } from "../domain/values/duration.ts";
import { leaseOfTokens, parseFlush } from "../domain/writes/flush.ts";
import { hasCode } from "../errors.ts";
import { streamOfWire, type WireStream } from "../protocol/wire-streams.ts";
import type { Http } from "./http.ts";
import { RemoteProducer } from "./remote-producer.ts";
import { resumeEvents } from "./resume-events.ts";

/** The members of `Streams` that are the same over HTTP. */
type OverHttp = Pick<Streams, "status" | "get" | "list" | "read" | "active" | "stop" | "delete">;

/** Options of an acquisition; they shape a new stream only. */
export interface RemoteAcquireOptions extends AcquireTokenOptions {
  /** When parts are sent. @default after 50 ms or 8192 characters */
  readonly flush?: Flush;
}

/** The role of the caller: one caller produces a stream, and all others read it. */
export type RemoteAcquiredStream =
  | { readonly role: "producer"; readonly stream: RemoteProducer }
  | { readonly role: "consumer" };

const acquireNames: OptionNames<RemoteAcquireOptions> = { ttl: true, session: true, lease: true, flush: true };
const queryNames: OptionNames<StreamQuery> = { status: true, session: true, limit: true, after: true };
const readNames: OptionNames<ReadOptions> = { after: true, signal: true };

/** The streams of one tenant, over HTTP. */
export class RemoteStreams implements OverHttp {
  readonly #http: Http;

  /** Made by `connect`. @internal */
  constructor(http: Http) {
    this.#http = http;
  }

  /**
   * Acquires a stream. The first caller is its producer; every later one is a consumer, also after the end. It is sent once: if
   * the answer is lost, it fails with `store_unavailable`, and the id is free again once the lease has passed.
   * @throws SessionError as the local `acquire`
   */
  async acquire(id: string, options: RemoteAcquireOptions = {}): Promise<RemoteAcquiredStream> {
    guardNames(options, "acquire", acquireNames);
    const { flush, ...body } = options;
    const flushes = parseFlush(flush);
    const leaseMs = parseDuration(options.lease ?? leaseOfTokens, "lease");
    const path = pathOf(id);
    const { body: answer } = await this.#http.ask({ method: "POST", path, body, once: true });
    const acquired = answer as AcquiredToken & { readonly bytesMax?: number };
    if (acquired.role === "consumer") return acquired;
    // A server of an earlier version does not name its limit, and refuses the parts over it.
    const { token, bytesMax = Infinity } = acquired;
    const stream = new RemoteProducer(this.#http, { id, path, token, flush: flushes, leaseMs, bytesMax });
    return { role: "producer", stream };
  }

  /** The status of a stream. */
  async status(id: string): Promise<StreamStatus> {
    return (await this.get(id))?.status ?? "missing";
  }

  /** A stream without its parts; null if there is none. */
  async get(id: string): Promise<StreamInfo | null> {
    try {
      const { body } = await this.#http.ask({ method: "GET", path: pathOf(id) });
      return streamOfWire(body as WireStream);
    } catch (error) {
      if (hasCode(error, "stream_not_found")) return null;
      throw error;
    }
  }

  /** One page of the streams, the most recently written first. @throws SessionError `request_invalid`, `argument_invalid` */
  async list(query: StreamQuery = {}): Promise<StreamPage> {
    guardNames(query, "query", queryNames);
    const { status, ...rest } = query;
    const statuses = typeof status === "string" ? [status] : status;
    const { body } = await this.#http.ask({ method: "GET", path: "/v1/streams", query: { ...rest, status: statuses } });
    const page = body as Omit<StreamPage, "items"> & { readonly items: readonly WireStream[] };
    return { ...page, items: page.items.map(streamOfWire) };
  }

  /**
   * The parts of a stream, in order, without gap or repeat: a connection that breaks is resumed at whichever instance answers.
   * @throws SessionError as the local `read`; `store_unavailable` if the server stays away
   */
  async *read(id: string, options: ReadOptions = {}): AsyncGenerator<StreamPart, void, void> {
    guardNames(options, "options", readNames);
    const { after, signal } = options;
    const query = typeof after === "number" ? { after } : {};
    const request = { method: "GET", path: `${pathOf(id)}/parts`, query, signal } as const;
    const events = resumeEvents(this.#http, request, typeof after === "string" ? { lastId: after } : {});
    for await (const { event, data, id: cursor = "" } of events) {
      if (event === "done") return;
      if (event !== "part") continue;
      yield { cursor, ...(data as { readonly seq: number; readonly part: Value }) };
    }
  }

  /** The stream in progress of a session; null if there is none. */
  async active(session: string): Promise<string | null> {
    const path = `/v1/sessions/${encodeURIComponent(session)}/active-stream`;
    const { status, body } = await this.#http.ask({ method: "GET", path });
    return status === 204 ? null : (body as { readonly stream: string }).stream;
  }

  /**
   * Stops a stream, wherever it is produced; false if it is not in progress, also where the request was repeated because the answer
   * to its first try was lost.
   */
  async stop(id: string): Promise<boolean> {
    const { body } = await this.#http.ask({ method: "POST", path: `${pathOf(id)}/stop` });
    return (body as { readonly stopped: boolean }).stopped;
  }

  /** Deletes a stream with its parts; false if there is none. */
  async delete(id: string): Promise<boolean> {
    try {
      await this.#http.ask({ method: "DELETE", path: pathOf(id) });
      return true;
    } catch (error) {
      if (hasCode(error, "stream_not_found")) return false;
      throw error;
    }
  }
}

function pathOf(id: string): string {
  return `/v1/streams/${encodeURIComponent(id)}`;
}
