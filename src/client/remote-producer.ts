import type { Flush, PartInput, PartOptions, TurnInput, Value, WriteKey } from "../index.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { SessionError } from "../errors.ts";
import { fromJson, toJson } from "../protocol/json.ts";
import type { Http } from "./http.ts";

/** Writes that become visible together with the last part and the end of a stream. */
export interface RemoteStreamEnd {
  /** A finished exchange, appended to the stream's session behind the turns that are stored. */
  readonly append?: TurnInput & WriteKey;
}

const partNames: OptionNames<PartOptions> = { said: true };
const endNames: OptionNames<RemoteStreamEnd> = { append: true };

/** How often a producer without parts asks whether it was stopped, ms; that renews its lease too. */
const askMs = 2000;
/** The pause before a request is sent again while the server is away, ms. */
const pauseMs = 300;
/** Parts of one request. */
const partsMax = 1000;

/**
 * The one producer of a stream, over HTTP. Parts are sent in groups, each request behind the one before; a request that is lost
 * is repeated, at whichever instance answers, until the lease has passed since the last answer. A producer that is disposed without an end, or whose process ends, leaves a stream
 * that is lost once its lease has passed.
 */
export class RemoteProducer implements AsyncDisposable {
  readonly id: string;
  readonly #http: Http;
  readonly #path: string;
  readonly #token: string;
  readonly #flushes: Required<Flush>;
  readonly #leaseMs: number;
  /** The largest size of all parts, as bytes of their JSON. */
  readonly #bytesMax: number;
  readonly #stop = new AbortController();
  readonly #asking: ReturnType<typeof setInterval>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #buffer: PartInput[] = [];
  #length = 0;
  /** The size of all parts that were taken. */
  #bytes = 0;
  /** The parts that the server has stored. */
  #stored = 0;
  #sending: Promise<void> = Promise.resolve();
  #isSending = false;
  #hasEnded = false;
  #isClosed = false;
  /** The time of the last answer, as of `performance.now()`: from then on its lease lasts. */
  #answeredAt = performance.now();

  /** Made by `streams.acquire` of `connect`. @internal */
  constructor(
    http: Http,
    {
      id,
      path,
      token,
      flush,
      leaseMs,
      bytesMax,
    }: { id: string; path: string; token: string; flush: Required<Flush>; leaseMs: number; bytesMax: number },
  ) {
    this.id = id;
    this.#http = http;
    this.#path = path;
    this.#token = token;
    this.#flushes = flush;
    this.#leaseMs = leaseMs;
    this.#bytesMax = bytesMax;
    this.#asking = unreferenced(setInterval(() => void this.#ask(), askMs));
  }

  /** Aborts when the stream is stopped or deleted, or its producer superseded; the reason is a `SessionError`. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /**
   * Writes a part. Resolves at once, before the part is durable, unless the server lags behind. Later changes of the value by
   * its caller do not change the part. A part that does not fit into the stream (`turn_too_large`), or into a request of the server
   * (`body_too_large`), is refused alone: others may follow.
   * @throws SessionError `stream_failed` once it is stopped, `stream_ended`, `value_unstorable`, `turn_too_large`,
   *   `body_too_large`, and those of an earlier part
   */
  async write(part: Value, options: PartOptions = {}): Promise<void> {
    guardNames(options, "part", partNames);
    this.#guard();
    const text = toJson({ part, ...options }, "part");
    const bytes = this.#bytes + byteLength(text);
    if (bytes > this.#bytesMax)
      throw new SessionError(
        "turn_too_large",
        { sessionId: this.id, bytes, bytesMax: this.#bytesMax },
        {
          message: `stream ${this.id} would have ${bytes} bytes of parts, the limit of the server is ${this.#bytesMax}; the part was not written; store large data elsewhere and write a reference`,
        },
      );
    this.#buffer.push(fromJson(text) as unknown as PartInput);
    this.#bytes = bytes;
    this.#length += text.length;
    this.#timer ??= unreferenced(setTimeout(() => void this.#flush().catch(() => undefined), this.#flushes.ms));
    if (this.#length >= this.#flushes.length || this.#buffer.length >= partsMax) await this.#flush();
  }

  /**
   * Ends the stream: its last parts, its end and the exchange become visible in one commit. If the session refuses the exchange,
   * nothing is written, and the call may be repeated. False if the stream had ended here before.
   * @throws SessionError as `write`, and those of `session.append`
   */
  async end(end: RemoteStreamEnd = {}): Promise<boolean> {
    guardNames(end, "end", endNames);
    return await this.#end(end);
  }

  /** Ends the stream as failed: its readers get the message, after the parts. False if it had ended here before. */
  async fail(error: unknown): Promise<boolean> {
    return await this.#end({ failure: error instanceof Error ? error.message : String(error) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    await this.#sending.catch(() => undefined);
  }

  /** Ends behind the requests that are under way: another end of the same stream may be one. */
  async #end(end: RemoteStreamEnd & { readonly failure?: string }): Promise<boolean> {
    while (this.#buffer.length > partsMax && !this.#hasEnded && !this.signal.aborted) await this.#flush();
    const work = this.#sending.catch(() => undefined).then(() => this.#endNow(end));
    this.#sending = work.then(() => undefined);
    this.#sending.catch(() => undefined);
    return await work;
  }

  async #endNow(end: RemoteStreamEnd & { readonly failure?: string }): Promise<boolean> {
    if (this.#hasEnded) return false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { aborted, reason } = this.signal;
    // A stream that was stopped may be ended with the next parts, as many as one request has.
    if (aborted && !isStop(reason)) throw reason;
    const parts = this.#buffer.splice(0, partsMax);
    try {
      await this.#deliver("end", { parts, ...end });
    } catch (error) {
      this.#buffer.unshift(...parts);
      throw error;
    }
    this.#hasEnded = true;
    this.#close();
    return true;
  }

  /**
   * Sends the parts that wait, behind the request that is under way.
   * @throws SessionError `body_too_large` for a part that was refused, once the others are stored
   */
  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const before = this.#sending.catch(() => undefined);
    this.#sending = before.then(async () => {
      const refusals: unknown[] = [];
      while (this.#buffer.length > 0) {
        this.#guard();
        const parts = this.#buffer.splice(0, partsMax);
        this.#length = 0;
        refusals.push(...(await this.#send(parts)));
      }
      if (refusals.length > 0) throw refusals[0];
    });
    this.#sending.catch(() => undefined);
    return this.#sending;
  }

  /** Sends these parts. The result has the errors of parts that the server refused alone. */
  async #send(parts: readonly PartInput[]): Promise<readonly unknown[]> {
    try {
      await this.#deliver("parts", { parts });
      this.#stored += parts.length;
      return [];
    } catch (error) {
      if (error instanceof SessionError && error.code === "body_too_large") {
        const [first, ...others] = parts;
        if (first !== undefined && others.length === 0) {
          this.#bytes -= byteLength(toJson(first, "part"));
          return [error];
        }
        const refusals: unknown[] = [];
        for (const [index, part] of parts.entries()) {
          try {
            refusals.push(...(await this.#send([part])));
          } catch (failure) {
            this.#buffer.unshift(...parts.slice(index + 1));
            throw failure;
          }
        }
        return refusals;
      }
      // No later part is written before these.
      this.#buffer.unshift(...parts);
      this.#stop.abort(error);
      throw error;
    }
  }

  async #ask(): Promise<void> {
    if (this.#isSending || this.#buffer.length > 0) return;
    try {
      await this.#post("parts", { parts: [] });
    } catch (error) {
      if (error instanceof SessionError && overCodes.has(error.code)) this.#stop.abort(error);
    }
  }

  /** Sends a request, again and again while the server is away: the producer has its stream until its lease has passed. */
  async #deliver(what: "parts" | "end", body: object): Promise<void> {
    for (;;) {
      try {
        await this.#post(what, body);
        return;
      } catch (error) {
        const isAway = error instanceof SessionError && error.code === "store_unavailable";
        const hasLease = performance.now() - this.#answeredAt < this.#leaseMs;
        if (!isAway || !hasLease || this.#isClosed) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  async #post(what: "parts" | "end", body: object): Promise<void> {
    this.#isSending = true;
    try {
      const sent = { token: this.#token, after: this.#stored, ...body };
      await this.#http.ask({ method: "POST", path: `${this.#path}/${what}`, body: sent });
      this.#answeredAt = performance.now();
    } finally {
      this.#isSending = false;
    }
  }

  #guard(): void {
    this.#stop.signal.throwIfAborted();
    if (this.#hasEnded) throw new SessionError("stream_ended", { stream: this.id });
  }

  #close(): void {
    this.#isClosed = true;
    clearInterval(this.#asking);
    clearTimeout(this.#timer);
  }
}

/** Errors after which a stream takes no parts. */
const overCodes = new Set<string>(["stream_failed", "stream_ended", "stream_not_found", "fenced"]);

function isStop(reason: unknown): boolean {
  return reason instanceof SessionError && reason.code === "stream_failed";
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** A timer that keeps no process of Node alive. */
function unreferenced<Timer>(timer: Timer): Timer {
  (timer as { readonly unref?: () => void }).unref?.();
  return timer;
}
