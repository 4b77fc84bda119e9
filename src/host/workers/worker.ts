import { fork, type ChildProcess } from "node:child_process";
import { Worker as Thread } from "node:worker_threads";
import { createBirpc, type BirpcReturn } from "birpc";
import type { Store } from "../../store/store.ts";
import type { Core } from "../../sessions/core/core.ts";
import { RuntimeEnd } from "./worker-slot.ts";
import { CallCounter } from "./call-counter.ts";
import {
  errorsTravel,
  unpackError,
  type Beginning,
  type HostCalls,
  type LifeId,
  type StoreCall,
  type WorkerCalls,
  type WorkerStart,
} from "./wire.ts";

/** What runs a worker. */
export type WorkerKind = "thread" | "process";

/** The heap that a worker may have, MiB. */
interface WorkerBounds {
  readonly kind: WorkerKind;
  readonly memoryMax: number | undefined;
  /** The code of one of its sessions came to its end, and nothing else did. */
  readonly lifeEnded: (life: LifeId, end: RuntimeEnd) => void;
}

/** The program of a worker; a built host is in dist/host/ or dist/parts/. */
const program = new URL(
  import.meta.url.endsWith(".ts") ? "./worker-main.ts" : "../host/workers/worker-main.js",
  import.meta.url,
);
/** The exit of a process that V8 ended for lack of memory: by SIGABRT, or what a shell makes of that. */
const abortedCodes: readonly unknown[] = ["SIGABRT", 134];

/**
 * A thread or process beside the host's. It is *alive* until its end is certain: until then nobody else takes its
 * sessions, and afterwards none of its writes lands.
 */
export class Worker {
  readonly calls: BirpcReturn<WorkerCalls, HostCalls>;
  /** How it ended; resolves once it is certain, after the last of its writes. */
  readonly ended: Promise<RuntimeEnd>;
  /** Of a thread. */
  readonly turnstile: CallCounter = new CallCounter();
  /** The heap it last spoke of, bytes. */
  heapBytes: number | undefined;
  readonly #core: Core;
  readonly #runner: Thread | ChildProcess;
  readonly #pending = new Set<Promise<unknown>>();
  #sent = 0;
  #isOver = false;
  #isEnding = false;
  #reason: RuntimeEnd | undefined;
  /** What it last said of itself to those who look whether it lives. */
  #beat: Parameters<Store["heartbeat"]>[0] | undefined;
  #beats: NodeJS.Timeout | undefined;
  #cause: NodeJS.ErrnoException | undefined;
  #instance: string | undefined;

  constructor(core: Core, { kind, memoryMax, lifeEnded }: WorkerBounds) {
    this.#core = core;
    this.#runner = kind === "thread" ? startThread(memoryMax, this.turnstile) : startProcess(memoryMax);
    const runner = this.#runner;
    const calls: HostCalls = {
      store: (call, args) => this.#ask(call, args),
      ended: (life, how, error) => {
        const cause = unpackError(error);
        lifeEnded(life, new RuntimeEnd(how, cause.message, { cause }));
      },
      heap: (bytes) => void (this.heapBytes = bytes),
    };
    this.calls = createBirpc<WorkerCalls, HostCalls>(calls, {
      post: (letter) => {
        post(runner, letter);
        if (isCounted(letter as WireLetter)) this.#sent++; // what cannot be copied was not sent
      },
      on: (hear) => void runner.on("message", hear),
      ...errorsTravel,
      timeout: -1,
      // What cannot be copied to another thread is told to who asked for it; everything else is thrown where it happens.
      onGeneralError: (_, call) => call !== undefined,
    });
    this.ended = new Promise((resolve) => {
      runner.on("error", (error: Error) => {
        this.#cause ??= error;
        // A process that could not be started has no exit.
        if (!(runner instanceof Thread) && runner.pid === undefined) void this.#settle("no start").then(resolve);
      });
      runner.once("exit", (code: number | null, signal?: string | null) => {
        void this.#settle(code ?? signal ?? "unknown").then(resolve);
      });
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** How many calls were sent that its turnstile counts. */
  get sent(): number {
    return this.#sent;
  }

  /** Load the runtime. @throws SessionError `runtime_invalid`; RuntimeEnd where it ends the worker */
  async begin(start: WorkerStart): Promise<Beginning> {
    const beginning = await this.calls.begin(start);
    this.#instance = beginning.instance;
    return beginning;
  }

  /** End it now, for a reason where there is one; resolves once that is certain. */
  async end(reason?: RuntimeEnd): Promise<void> {
    if (!this.#isEnding) {
      this.#reason = reason;
      this.#isEnding = true; // all whose time is up with it say so
      if (this.#runner instanceof Thread) void this.#runner.terminate();
      else this.#runner.kill("SIGKILL");
    }
    await this.ended;
  }

  async #ask<Call extends StoreCall>(
    call: Call,
    args: Parameters<Store[Call]>,
  ): Promise<Awaited<ReturnType<Store[Call]>>> {
    if (this.#isOver) throw new Error("this worker is over");
    if (call === "heartbeat") this.#keepAlive(args as Parameters<Store["heartbeat"]>);
    return await this.#settled(this.#call(call, args));
  }

  /** One that is at work for long is alive all the same: its host says so for it, as long as it is. */
  #keepAlive([beat, { leaving = false } = {}]: Parameters<Store["heartbeat"]>): void {
    this.#beat = leaving ? undefined : beat;
    this.#beats ??= setInterval(() => {
      if (this.#isOver || this.#beat === undefined) return;
      void this.#settled(this.#core.store.heartbeat(this.#beat)).catch(() => undefined); // the store is away
    }, this.#core.options.staleAfterMs / 4).unref();
  }

  /** Its end waits for this. */
  async #settled<T>(asking: Promise<T>): Promise<T> {
    this.#pending.add(asking);
    try {
      return await asking;
    } finally {
      this.#pending.delete(asking);
    }
  }

  async #call<Call extends StoreCall>(
    call: Call,
    args: Parameters<Store[Call]>,
  ): Promise<Awaited<ReturnType<Store[Call]>>> {
    const { store } = this.#core;
    const ask = store[call] as (...args: Parameters<Store[Call]>) => unknown;
    const asked =
      call === "commit" ? this.#core.relay(...(args as Parameters<Store["commit"]>)) : ask.apply(store, args);
    return (await asked) as Awaited<ReturnType<Store[Call]>>;
  }

  /** Its last writes land or fail first, or they could come after those of a successor. */
  async #settle(exit: number | string): Promise<RuntimeEnd> {
    this.#isOver = true;
    clearInterval(this.#beats);
    await Promise.allSettled(this.#pending);
    await this.#leave();
    const end = this.#endOf(exit);
    this.calls.$close(end);
    return end;
  }

  /** Its leases are nobody's from here on. */
  async #leave(): Promise<void> {
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
      // The store is away. Without a heartbeat its leases are nobody's a few seconds later.
    }
  }

  #endOf(exit: number | string): RuntimeEnd {
    if (this.#reason !== undefined) return this.#reason;
    const cause = this.#cause;
    const isMemory = cause?.code === "ERR_WORKER_OUT_OF_MEMORY";
    if (isMemory || abortedCodes.includes(exit))
      return new RuntimeEnd("memory", "it needed more memory than it may have", { cause });
    const reason =
      cause === undefined
        ? `its ${this.#runner instanceof Thread ? "thread" : "process"} ended with ${exit}`
        : cause.message;
    return new RuntimeEnd("exited", reason, { cause });
  }
}

function startThread(memoryMax: number | undefined, { memory }: CallCounter): Thread {
  const bound = memoryMax === undefined ? {} : { resourceLimits: { maxOldGenerationSizeMb: memoryMax } };
  return new Thread(program, { ...bound, workerData: memory });
}

function startProcess(memoryMax: number | undefined): ChildProcess {
  const bound = memoryMax === undefined ? [] : [`--max-old-space-size=${memoryMax}`];
  return fork(program, { serialization: "advanced", execArgv: [...inheritedArgv(), ...bound] });
}

/** A letter of birpc, as far as it matters here. */
interface WireLetter {
  /** A question or an answer. */
  readonly t: "q" | "s";
  readonly m?: string;
}

/** True for calls in which the code of a session may run. */
function isCounted({ t, m }: WireLetter): boolean {
  return t === "q" && m !== "begin" && m !== "drop" && m !== "breathe";
}

/** A process that is gone hears nothing: who asked it is told by its end. */
function post(runner: Thread | ChildProcess, letter: unknown): void {
  // A thread is no window: there is no origin to name.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  if (runner instanceof Thread) runner.postMessage(letter);
  else if (runner.connected) {
    try {
      runner.send(letter as object, () => undefined);
    } catch (cause) {
      // As a thread says it.
      throw new DOMException((cause as Error).message, { name: "DataCloneError", cause });
    }
  }
}

/** Those of this process, but for the program of a `node -e`, which a child would run over again. */
function inheritedArgv(): readonly string[] {
  const { _eval: program } = process as { readonly _eval?: string };
  const at = program === undefined ? -1 : process.execArgv.lastIndexOf(program);
  return at > 0 ? process.execArgv.toSpliced(at - 1, 2) : process.execArgv;
}
