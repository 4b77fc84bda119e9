import { fork, type ChildProcess } from "node:child_process";
import { Worker as Thread } from "node:worker_threads";
import { createBirpc, type BirpcReturn } from "birpc";
import { defined } from "../../domain/values/defined.ts";
import { callStore, type StoreMethod, type StoreResult } from "../../store/calls/forwarding-store.ts";
import type { Store } from "../../store/store.ts";
import type { Core } from "../../sessions/core/core.ts";
import { RuntimeEnd } from "./worker-slot.ts";
import { CallCounter } from "./call-counter.ts";
import {
  errorCodec,
  unpackError,
  type StartResult,
  type HostCalls,
  type LifeId,
  type WorkerCalls,
  type WorkerStart,
} from "./wire.ts";

/** Kind of a worker. */
export type WorkerKind = "thread" | "process";

/** Kind and limits of a worker. */
interface WorkerBounds {
  readonly kind: WorkerKind;
  readonly memoryMax: number | undefined;
  /** The code of one session ended, and the worker keeps running. */
  readonly lifeEnded: (life: LifeId, end: RuntimeEnd) => void;
}

/** Main module of a worker; a built host is in dist/host/ or dist/parts/. */
const mainModule = new URL(
  import.meta.url.endsWith(".ts") ? "./worker-main.ts" : "../host/workers/worker-main.js",
  import.meta.url,
);
/** Exit code of a process that V8 ended for lack of memory: SIGABRT, or a shell's number for it. */
const abortedCodes: readonly unknown[] = ["SIGABRT", 134];

/**
 * A worker thread or process. Its sessions belong to it until its end is certain: until then no other process takes
 * them, and afterwards none of its writes lands.
 */
export class Worker {
  readonly calls: BirpcReturn<WorkerCalls, HostCalls>;
  /** How the worker ended; resolves after the last of its writes. */
  readonly ended: Promise<RuntimeEnd>;
  /** Counts the calls of a thread. */
  readonly callCounter: CallCounter = new CallCounter();
  /** The last heap size that the worker reported, bytes. */
  heapBytes: number | undefined;
  readonly #core: Core;
  readonly #runner: Thread | ChildProcess;
  readonly #pending = new Set<Promise<unknown>>();
  #sent = 0;
  #isOver = false;
  #isEnding = false;
  #reason: RuntimeEnd | undefined;
  /** The worker's last heartbeat. */
  #beat: Parameters<Store["heartbeat"]>[0] | undefined;
  #beats: NodeJS.Timeout | undefined;
  #cause: NodeJS.ErrnoException | undefined;
  /** The instance that holds the worker's leases, from its first heartbeat on. */
  #instance: string | undefined;

  constructor(core: Core, { kind, memoryMax, lifeEnded }: WorkerBounds) {
    this.#core = core;
    this.#runner = kind === "thread" ? startThread(memoryMax, this.callCounter) : startProcess(memoryMax);
    const runner = this.#runner;
    const calls: HostCalls = {
      store: (method, args) => this.#ask(method, args),
      ended: (life, how, error) => {
        const cause = unpackError(error);
        lifeEnded(life, new RuntimeEnd({ how, reported: cause.message }, { cause }));
      },
      heap: (bytes) => void (this.heapBytes = bytes),
    };
    this.calls = createBirpc<WorkerCalls, HostCalls>(calls, {
      post: (message) => {
        post(runner, message);
        if (isCounted(message as BirpcMessage)) this.#sent++; // a value that cannot be cloned was not sent
      },
      on: (listener) => void runner.on("message", listener),
      ...errorCodec,
      timeout: -1,
      // A value that cannot be cloned is reported to the caller; everything else is thrown where it happens.
      onGeneralError: (_, call) => call !== undefined,
    });
    this.ended = new Promise((resolve) => {
      runner.on("error", (error: Error) => {
        this.#cause ??= error;
        // A process that could not be started emits no exit.
        if (!(runner instanceof Thread) && runner.pid === undefined) void this.#finish("no start").then(resolve);
      });
      runner.once("exit", (code: number | null, signal?: string | null) => {
        void this.#finish(code ?? signal ?? "unknown").then(resolve);
      });
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sent calls that the call counter counts. */
  get sent(): number {
    return this.#sent;
  }

  /**
   * Loads the runtime.
   * @throws SessionError `runtime_invalid`; RuntimeEnd if it ends the worker
   */
  async start(start: WorkerStart): Promise<StartResult> {
    return await this.calls.start(start);
  }

  /** Ends the worker now, with a reason if given; resolves when its end is certain. */
  async end(reason?: RuntimeEnd): Promise<void> {
    if (!this.#isEnding) {
      this.#reason = reason;
      this.#isEnding = true; // calls that time out with it get the same reason
      if (this.#runner instanceof Thread) void this.#runner.terminate();
      else this.#runner.kill("SIGKILL");
    }
    await this.ended;
  }

  async #ask<Method extends StoreMethod>(
    method: Method,
    args: Parameters<Store[Method]>,
  ): Promise<StoreResult<Method>> {
    if (this.#isOver) throw new Error("this worker has ended");
    if (method === "heartbeat") this.#keepAlive(args as Parameters<Store["heartbeat"]>);
    return await this.#tracked(this.#call(method, args));
  }

  /** A worker that is busy for long cannot send heartbeats: the host repeats its last one while it runs. */
  #keepAlive([beat, { leaving = false } = {}]: Parameters<Store["heartbeat"]>): void {
    this.#instance = beat.id;
    this.#beat = leaving ? undefined : beat;
    this.#beats ??= setInterval(() => {
      if (this.#isOver || this.#beat === undefined) return;
      void this.#tracked(this.#core.store.heartbeat(this.#beat)).catch(() => undefined); // the store is away
    }, this.#core.options.staleAfterMs / 4).unref();
  }

  /** Tracks a store call; the worker's end waits for it. */
  async #tracked<T>(asking: Promise<T>): Promise<T> {
    this.#pending.add(asking);
    try {
      return await asking;
    } finally {
      this.#pending.delete(asking);
    }
  }

  #call<Method extends StoreMethod>(method: Method, args: Parameters<Store[Method]>): Promise<StoreResult<Method>> {
    if (method !== "commit") return callStore(this.#core.store, method, args);
    const [batch] = args as Parameters<Store["commit"]>;
    return this.#core.relay(batch) as Promise<StoreResult<Method>>;
  }

  /** Waits for the worker's last writes, so that none lands after a successor's. */
  async #finish(exit: number | string): Promise<RuntimeEnd> {
    this.#isOver = true;
    clearInterval(this.#beats);
    await Promise.allSettled(this.#pending);
    await this.#freeLeases();
    const end = this.#endOf(exit);
    this.calls.$close(end);
    return end;
  }

  /** Frees the worker's leases. */
  async #freeLeases(): Promise<void> {
    if (this.#instance === undefined) return;
    const self = {
      id: this.#instance,
      host: "",
      pid: 0,
      machine: "",
      startedAt: "",
      address: null,
      staleAfterMs: null,
    };
    try {
      await this.#core.store.heartbeat(self, { leaving: true });
    } catch {
      // The store is away. The leases become free a few seconds later, without a heartbeat.
    }
  }

  #endOf(exit: number | string): RuntimeEnd {
    if (this.#reason !== undefined) return this.#reason;
    const cause = this.#cause;
    const isMemory = cause?.code === "ERR_WORKER_OUT_OF_MEMORY";
    if (isMemory || abortedCodes.includes(exit)) return new RuntimeEnd({ how: "memory" }, { cause });
    const how = "exited";
    return cause === undefined
      ? new RuntimeEnd({ how, exit: String(exit) })
      : new RuntimeEnd({ how, reported: cause.message }, { cause });
  }
}

function startThread(memoryMax: number | undefined, { memory }: CallCounter): Thread {
  const bound = defined({
    resourceLimits: memoryMax === undefined ? undefined : { maxOldGenerationSizeMb: memoryMax },
  });
  return new Thread(mainModule, { ...bound, workerData: memory });
}

function startProcess(memoryMax: number | undefined): ChildProcess {
  const bound = memoryMax === undefined ? [] : [`--max-old-space-size=${memoryMax}`];
  return fork(mainModule, { serialization: "advanced", execArgv: [...inheritedArgv(), ...bound] });
}

/** The fields of a birpc message that are read here. */
interface BirpcMessage {
  /** A question or an answer. */
  readonly t: "q" | "s";
  readonly m?: string;
}

/** Whether the code of a session may run in this call. */
function isCounted({ t, m }: BirpcMessage): boolean {
  return t === "q" && m !== "start" && m !== "drop" && m !== "ping";
}

/** Messages to an ended process are dropped; its callers get the error from its end. */
function post(runner: Thread | ChildProcess, message: unknown): void {
  // A thread is not a window: there is no origin to name.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  if (runner instanceof Thread) runner.postMessage(message);
  else if (runner.connected) {
    try {
      runner.send(message as object, () => undefined);
    } catch (cause) {
      // The same error as from `postMessage`.
      throw new DOMException((cause as Error).message, { name: "DataCloneError", cause });
    }
  }
}

/** The arguments of this process, without the script of `node -e`, which a child would run again. */
function inheritedArgv(): readonly string[] {
  const { _eval: script } = process as { readonly _eval?: string };
  const at = script === undefined ? -1 : process.execArgv.lastIndexOf(script);
  return at > 0 ? process.execArgv.toSpliced(at - 1, 2) : process.execArgv;
}
