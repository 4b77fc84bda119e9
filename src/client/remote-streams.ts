import type { ReadOptions, StreamPart, Streams, StreamStatus, Value } from "../index.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { hasCode } from "../errors.ts";
import type { Http } from "./http.ts";
import { resumeEvents } from "./resume-events.ts";

/** The members of `Streams` that work over HTTP: all but `acquire`, as a producer is tied to its process. */
type OverHttp = Pick<Streams, "status" | "read" | "active" | "stop" | "delete">;

const readNames: OptionNames<ReadOptions> = { after: true, signal: true };

/** The streams of one tenant, over HTTP. */
export class RemoteStreams implements OverHttp {
  readonly #http: Http;

  /** Made by `connect`. @internal */
  constructor(http: Http) {
    this.#http = http;
  }

  /** The status of a stream. */
  async status(id: string): Promise<StreamStatus> {
    try {
      const { body } = await this.#http.ask({ method: "GET", path: pathOf(id) });
      return (body as { readonly status: StreamStatus }).status;
    } catch (error) {
      if (hasCode(error, "stream_not_found")) return "missing";
      throw error;
    }
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

  /** Stops a stream, wherever it is produced; false if it is not in progress. */
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
