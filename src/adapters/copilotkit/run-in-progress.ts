/**
 * One run while its agent works: its events go to the client that began it and, in groups, to a stream, where any process reads
 * them. Its end, its turn and the end of the stream become visible in one commit. A client that leaves changes nothing.
 */
import {
  hasCode,
  SessionError,
  type Limits,
  type Session,
  type SessionLease,
  type SessionWrite,
  type StreamProducer,
  type Turn,
  type Value,
} from "../../index.ts";
import { addJoined, closingEvents, event, guardJson, isEnd, storedEvent, type BrokenOff } from "./events.ts";
import type { RunHeader } from "./messages.ts";
import type { AgUiEvent, AgUiMessage, RunRequest } from "./package-copilotkit.ts";
import { endOf, type StoredRun } from "./thread.ts";

/** The place of a run. */
export interface RunPlace {
  readonly session: Session;
  readonly stream: StreamProducer;
  readonly lease: SessionLease;
  readonly turn: Turn;
  /** The messages that are new with the run. */
  readonly added: readonly AgUiMessage[];
  readonly onto: NonNullable<SessionWrite["onto"]>;
  readonly limits: Limits;
  readonly emit: (event: AgUiEvent) => void;
}

/** Failures whose message names a limit or a value, and no other detail of the server. */
const shownCodes = [
  "turn_too_large",
  "turn_parts_exceeded",
  "write_too_large",
  "value_unstorable",
  "busy",
  "conflict",
] as const;

/** A failure as the end of a run, for clients. */
export function failureOf(error: unknown): BrokenOff & { readonly how: "failed" } {
  if (!(error instanceof SessionError)) {
    const message = error instanceof Error ? error.message : String(error);
    return { how: "failed", message, code: "INCOMPLETE_STREAM" };
  }
  const isShown = shownCodes.some((code) => error.code === code);
  return { how: "failed", message: isShown ? error.message : "The run could not be stored.", code: error.code };
}

/** Runs the agent until it ends, is stopped or fails. Resolves once the end is stored; emits the last event then. */
export class RunInProgress {
  readonly #request: RunRequest;
  readonly #place: RunPlace;
  readonly #header: RunHeader;
  readonly #events: AgUiEvent[] = [];
  /** The event that may be the last one: it is emitted once it is durable. */
  #held: AgUiEvent | undefined;
  #broken: BrokenOff | undefined;
  /** Ends the wait for the agent. */
  #breakOff: () => void = () => undefined;

  constructor(request: RunRequest, header: RunHeader, place: RunPlace) {
    this.#request = request;
    this.#header = header;
    this.#place = place;
  }

  async run(): Promise<void> {
    const { stream } = this.#place;
    const { agent, input } = this.#request;
    const begunAt = performance.now();
    const brokenOff = new Promise<void>((resolve) => (this.#breakOff = resolve));
    const stop = (): void => this.#break(stoppedBy(stream) ? { how: "stopped" } : failureOf(stream.signal.reason));
    stream.signal.addEventListener("abort", stop, { once: true });
    try {
      await this.#store(this.#header as unknown as Value);
      const working = agent.runAgent(input, {
        onEvent: async ({ event: given }: { event: AgUiEvent }) => await this.#take(given),
      });
      await Promise.race([working, brokenOff]);
    } catch (error) {
      this.#broken ??= failureOf(error);
    } finally {
      stream.signal.removeEventListener("abort", stop);
    }
    const broken = this.#broken;
    // Events that the agent gives from here on are no part of the run.
    this.#broken ??= { how: "stopped" };
    if (broken !== undefined) this.#abort();
    await this.#end(broken ?? unended, Math.round(performance.now() - begunAt));
  }

  /** Takes an event of the agent, and makes it wait while the store lags behind. */
  async #take(given: AgUiEvent): Promise<void> {
    if (this.#broken !== undefined) return;
    const { input } = this.#request;
    const stored = storedEvent(given, input, this.#place.added);
    await this.#store(stored as unknown as Value);
    if (this.#broken !== undefined) return;
    // Later changes of the event by the agent do not change it.
    addJoined(this.#events, structuredClone(stored));
    this.#flush();
    if (isEnd(given)) this.#held = given;
    // The first event has the input of the run, with its new messages alone.
    else this.#place.emit(given.type === "RUN_STARTED" ? stored : given);
  }

  #flush(): void {
    if (this.#held !== undefined) this.#place.emit(this.#held);
    this.#held = undefined;
  }

  async #store(part: Value): Promise<void> {
    try {
      guardJson(part, "chunk.part");
      await this.#place.stream.write(part);
    } catch (error) {
      if (!stoppedBy(this.#place.stream)) this.#break(failureOf(error));
    }
  }

  #break(broken: BrokenOff): void {
    this.#broken ??= broken;
    this.#breakOff();
  }

  /** Ends the work of the agent, which may not be able to end. */
  #abort(): void {
    const { agent } = this.#request;
    try {
      agent.abortRun();
      void agent.detachActiveRun?.().catch(() => undefined);
    } catch {
      // The run is over whatever its agent does.
    }
  }

  async #end(broken: BrokenOff, durationMs: number): Promise<void> {
    const { stream, lease, emit } = this.#place;
    const last: AgUiEvent[] = [];
    try {
      let closing = this.#close(broken);
      try {
        await this.#write({ header: this.#header, events: this.#events }, { closing, broken, durationMs });
      } catch (error) {
        const isTooLarge = hasCode(error, "turn_too_large") || hasCode(error, "write_too_large");
        if (!isTooLarge && !hasCode(error, "turn_parts_exceeded")) throw error;
        // Too large to store: the question stays, and its run has failed.
        const { message, code } = failureOf(error);
        closing = [event("RUN_ERROR", { message, code })];
        const events = [...this.#events.filter(({ type }) => type === "RUN_STARTED").slice(0, 1), ...closing];
        await this.#write({ header: this.#header, events }, { closing: [], broken: failureOf(error), durationMs });
        this.#held = undefined;
      }
      last.push(...(this.#held === undefined ? [] : [this.#held]), ...closing);
    } catch (error) {
      const { message, code } = failureOf(error);
      last.push(event("RUN_ERROR", { message, code }));
      await stream.fail(message).catch(() => undefined);
    } finally {
      await stream[Symbol.asyncDispose]().catch(() => undefined);
      // A client that has the end may begin the next run at once.
      await lease.release().catch(() => undefined);
      for (const given of last) emit(given);
    }
  }

  /** Adds the events that are missing from the end. */
  #close(broken: BrokenOff): readonly AgUiEvent[] {
    const { input } = this.#request;
    const closing = closingEvents(this.#events, input, broken).map((given) =>
      storedEvent(given, input, this.#place.added),
    );
    this.#events.push(...closing);
    return closing;
  }

  /** The last events, the turn and the end of the stream land together. */
  async #write(
    run: StoredRun,
    {
      closing,
      broken,
      durationMs,
    }: { readonly closing: readonly AgUiEvent[]; readonly broken: BrokenOff; readonly durationMs: number },
  ): Promise<void> {
    const { stream, lease, turn, onto, limits, session } = this.#place;
    const isStopped = stoppedBy(stream);
    const write = endOf(run, {
      turn,
      onto,
      limits,
      isStopped: broken.how === "stopped" && broken !== unended,
      durationMs,
    });
    if (!stream.signal.aborted || isStopped) {
      if (!isStopped) for (const given of closing) await stream.write(given as unknown as Value);
      await stream.end({ lease, write });
      return;
    }
    // Its stream failed: readers have the parts that were stored, and then an error.
    await session.write(write);
  }
}

/** The end of a run whose agent has ended without an event that says so. */
const unended: BrokenOff = {
  how: "failed",
  message: "Run ended without emitting a terminal event",
  code: "INCOMPLETE_STREAM",
};

/** True for a run that a caller has stopped. */
function stoppedBy({ signal: { aborted, reason } }: StreamProducer): boolean {
  return aborted && hasCode(reason, "interrupted") && reason.details.how === "cancelled";
}
