/** The runner: begins runs of agents on sessions, and follows and stops them in any process. */
import { encode } from "../../domain/values/codec.ts";
import { parseLifetime } from "../../domain/values/duration.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import { parseFunction } from "../../domain/values/invalid-argument.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import { defined } from "../../domain/values/defined.ts";
import { guardNames, type OptionNames } from "../../domain/values/option-names.ts";
import {
  hasCode,
  idFor,
  SessionError,
  Sessions,
  type Lifetime,
  type Session,
  type SessionLease,
  type SessionWrite,
  type StreamProducer,
  type Turn,
} from "../../index.ts";
import { event, guardJson } from "./events.ts";
import { canonicalInput, type RunHeader } from "./messages.ts";
import {
  packageRxjs,
  type AgUiEvent,
  type AgUiMessage,
  type ConnectRequest,
  type EventObservable,
  type EventSink,
  type PackageRxjs,
  type RunRequest,
  type StopRequest,
  type ThreadRequest,
} from "./package-copilotkit.ts";
import { failureOf, RunInProgress } from "./run-in-progress.ts";
import { followed, keepArrived, newMessages, runKey, storedRun, streamOf, viewOf } from "./thread.ts";

/** Options of a runner. */
export interface CopilotRunnerOptions {
  /** The user of new threads; threads of others are not found. @default not compared */
  readonly user?: string;
  /** The time to live of new threads after their last run. @default that of the user, or `openSessions` */
  readonly ttl?: Lifetime;
  /** Keeps a serverless function alive until a run is stored. @default nothing is called */
  readonly waitUntil?: (work: Promise<unknown>) => void;
}

const optionNames: OptionNames<CopilotRunnerOptions> = { user: true, ttl: true, waitUntil: true };

/**
 * A runner for `new CopilotRuntime({ agents, runner })`. A thread is the session with its id, or with a hash of it.
 * @throws SessionError `argument_invalid`, also where the package `rxjs` is not installed; `id_invalid`, `duration_invalid`
 */
export async function copilotRunner(sessions: Sessions, options: CopilotRunnerOptions = {}): Promise<CopilotRunner> {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  guardNames(options, "options", optionNames);
  if (options.user !== undefined) parseNewId(options.user, "user");
  if (options.ttl !== undefined) parseLifetime(options.ttl, "ttl");
  if (options.waitUntil !== undefined) parseFunction(options.waitUntil, "waitUntil");
  return new CopilotRunner(sessions, options, await packageRxjs());
}

/** An `AgentRunner` of CopilotKit's runtime: threads are sessions, and runs are turns. */
export class CopilotRunner {
  readonly #sessions: Sessions;
  readonly #options: CopilotRunnerOptions;
  readonly #rxjs: PackageRxjs;

  /** Made by `copilotRunner`. @internal */
  constructor(sessions: Sessions, options: CopilotRunnerOptions, rxjs: PackageRxjs) {
    this.#sessions = sessions;
    this.#options = options;
    this.#rxjs = rxjs;
  }

  /**
   * Begin a run, whether its events are subscribed to or not; it goes on without subscribers. The new messages of the client are
   * stored before the agent is called. A run of a thread in which another one is in progress ends with `RUN_ERROR` and the code
   * `busy`. A run with a known `runId` is not run again: its events are those of the first one.
   */
  run(request: RunRequest): EventObservable {
    const subject = new this.#rxjs.ReplaySubject();
    const work = this.#run(request, subject);
    this.#options.waitUntil?.(work);
    return subject.asObservable();
  }

  /** The events of all runs of the thread, and of the one in progress as they come. Nothing is emitted for an unknown thread. */
  connect({ threadId }: ConnectRequest): EventObservable {
    return new this.#rxjs.Observable((sink) => {
      const left = new AbortController();
      void this.#connect(threadId, sink, left.signal);
      return () => left.abort();
    });
  }

  /** True while a run of the thread is in progress, in whichever process. */
  async isRunning({ threadId }: ThreadRequest): Promise<boolean> {
    return (await this.#active(threadId)) !== null;
  }

  /** Stop the run in progress, in whichever process: what has come of it is stored. False if it is not in progress. */
  async stop({ threadId, runId }: StopRequest): Promise<boolean> {
    const active = await this.#active(threadId);
    if (active === null) return false;
    const isOther = runId !== undefined && active !== streamOf(idFor(threadId), runKey(runId));
    return !isOther && (await this.#sessions.streams.stop(active));
  }

  async #run(request: RunRequest, sink: EventSink): Promise<void> {
    try {
      await this.#begin(request, sink);
    } catch (error) {
      const { message, code } = failureOf(error);
      sink.next(event("RUN_ERROR", { message, code }));
    }
    sink.complete();
  }

  async #begin(request: RunRequest, sink: EventSink): Promise<void> {
    const { threadId, input } = request;
    const emit = (given: AgUiEvent): void => sink.next(given);
    const session = await this.#ensure(threadId);
    const key = runKey(input.runId);
    const lease = await this.#lease(session, streamOf(session.id, key));
    if (lease === undefined) return await this.#follow(session, { threadId, key }, emit);
    let stream: StreamProducer | undefined;
    try {
      const { streams, limits } = this.#sessions;
      await keepArrived(session, streams, limits);
      const known = await storedRun(session, key);
      if (known !== undefined) {
        for (const given of known.events) emit(given);
        await lease.release();
        return;
      }
      const added = request.persistedInputMessages ?? (await newMessages(session, threadId, input.messages));
      // The end of the run stores them whole: what it cannot store is refused before the question is written.
      const count = Buffer.byteLength(encode(added, "messages"));
      const countMax = limits.writeBytesMax;
      if (count > countMax)
        throw new SessionError("write_too_large", { sessionId: session.id, part: "writeBytes", count, countMax });
      guardJson(added, "messages");
      const header = headerOf(request);
      const { turn, version } = await this.#question(session, { key, added, header });
      stream = await this.#acquire(session.id, key);
      const onto = { version, marks: {} };
      const run = new RunInProgress(request, header, { session, stream, lease, turn, added, onto, limits, emit });
      await run.run();
    } catch (error) {
      await stream?.[Symbol.asyncDispose]().catch(() => undefined);
      await lease.release().catch(() => undefined);
      throw error;
    }
  }

  /** The turn of a run, with the new messages of its client. */
  async #question(
    session: Session,
    {
      key,
      added,
      header,
    }: { readonly key: string; readonly added: readonly AgUiMessage[]; readonly header: RunHeader },
  ): Promise<{ readonly turn: Turn; readonly version: number }> {
    const write = async (agent: string | undefined): ReturnType<Session["write"]> => {
      const question = { key, input: canonicalInput(added), status: "interrupted" as const, ...defined({ agent }) };
      return await session.write({ turns: { turns: [question] } } satisfies SessionWrite);
    };
    const written = await write(header.agent).catch(async (error: unknown) => {
      // The sessions know agents of their own.
      if (hasCode(error, "agent_unknown") || hasCode(error, "id_invalid")) return await write(undefined);
      throw error;
    });
    if (written.status === "ok") return { turn: written.turns[0]!, version: written.version };
    // The run broke off before its first event: it runs again.
    const [last] = await Array.fromAsync(session.turns({ last: 1 }));
    if (last?.key === key) return { turn: last, version: (await session.refresh()).version };
    throw new SessionError("key_reused", { sessionId: session.id, key, seq: written.entry.seq });
  }

  /** The lease of the thread; undefined where the run with this stream is in progress elsewhere. */
  async #lease(session: Session, stream: string): Promise<SessionLease | undefined> {
    try {
      return await session.lease();
    } catch (error) {
      if (!hasCode(error, "busy") || (await this.#sessions.streams.active(session.id)) !== stream) throw error;
      return undefined;
    }
  }

  /** The stream of a run. Under the lease no other producer is alive: one that has ended gives way. */
  async #acquire(session: string, key: string): Promise<StreamProducer> {
    const { streams } = this.#sessions;
    const id = streamOf(session, key);
    for (;;) {
      const acquired = await streams.acquire(id, { session });
      if (acquired.role === "producer") return acquired.stream;
      await streams.delete(id);
    }
  }

  async #follow(
    session: Session,
    { threadId, key }: { readonly threadId: string; readonly key: string },
    emit: (event: AgUiEvent) => void,
  ): Promise<void> {
    const { signal } = new AbortController();
    for await (const given of followed(this.#sessions.streams, streamOf(session.id, key), { threadId, signal }))
      emit(given);
  }

  async #connect(threadId: string, sink: EventSink, signal: AbortSignal): Promise<void> {
    try {
      const session = await this.#find(threadId);
      if (session !== undefined) {
        const { streams, limits } = this.#sessions;
        const { events, running } = await viewOf(session, threadId, { streams, limits });
        for (const given of events) if (!signal.aborted) sink.next(given);
        if (running !== undefined)
          for await (const given of followed(streams, running, { threadId, signal })) sink.next(given);
      }
      sink.complete();
    } catch (error) {
      sink.error(error);
    }
  }

  async #active(threadId: string): Promise<string | null> {
    const session = await this.#find(threadId);
    return session === undefined ? null : await this.#sessions.streams.active(session.id);
  }

  /** The session of a thread, made where there is none. */
  async #ensure(threadId: string): Promise<Session> {
    const { user, ttl } = this.#options;
    const session = await this.#sessions.ensure(idFor(threadId), { ...defined({ user, ttl }), onExpired: "revive" });
    const problem = session.info.user === null ? ("no_user" as const) : undefined;
    if (!this.#isOwn(session))
      throw new SessionError("session_not_found", { sessionId: session.id, ...defined({ problem }) });
    return session;
  }

  async #find(threadId: string): Promise<Session | undefined> {
    try {
      const session = await this.#sessions.get(idFor(threadId));
      return this.#isOwn(session) ? session : undefined;
    } catch (error) {
      if (hasCode(error, "session_not_found")) return undefined;
      throw error;
    }
  }

  #isOwn({ info }: Session): boolean {
    return this.#options.user === undefined || info.user === this.#options.user;
  }
}

function headerOf({ threadId, agent, input }: RunRequest): RunHeader {
  const { agentId } = agent;
  return { threadId, runId: input.runId, ...defined({ agent: agentId, after: input.messages.at(-1)?.id }) };
}
