import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "../../src/index.ts";
import { endsWithTest } from "../support/ends-with-test.ts";
import { programOf } from "../support/programs.ts";
import type { WorkerInput } from "./worker.ts";

const program = programOf("test/processes/worker.ts");

/** A line that a worker prints, a JSON object. Its fields depend on the task. */
export interface Report {
  readonly [field: string]: string | number | undefined;
}

/** A worker in its own process. */
export class WorkerProcess {
  readonly reports: Report[] = [];
  readonly child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #isClosed = false;
  #stderr = "";
  readonly #wake: (() => void)[] = [];

  constructor(input: WorkerInput) {
    const stdio = ["ignore", "pipe", "pipe"] as const;
    this.child = endsWithTest(spawn(process.execPath, [program, JSON.stringify(input)], { stdio: [...stdio] }));
    const { stdout, stderr } = this.child;
    if (stdout === null || stderr === null) throw new Error("a worker needs its pipes");
    stderr.on("data", (data: Buffer) => (this.#stderr += data.toString()));
    const lines = createInterface({ input: stdout });
    lines.on("line", (line) => {
      // A killed process may print half a line, which acknowledges nothing.
      if (line.endsWith("}")) this.reports.push(JSON.parse(line) as Report);
      this.#notify();
    });
    this.#closed = Promise.all([once(this.child, "close"), once(lines, "close")]).finally(() => {
      this.#isClosed = true;
      this.#notify();
    });
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  /**
   * Wait until the worker has printed so many lines with this field; gives back the latest of them.
   * @throws Error with its stderr if the worker has ended, and its last lines are read
   */
  async hear(field: string, lines = 1): Promise<Report> {
    for (;;) {
      const heard = this.reports.filter((report) => report[field] !== undefined);
      const latest = heard.at(-1);
      if (latest !== undefined && heard.length >= lines) return latest;
      // An ended process may have lines in its pipe that are not read yet.
      if (this.#isClosed) throw new Error(`the worker ended without saying ${field}: ${this.#stderr}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  /** So many lines with this field have come. */
  count(field: string): number {
    return this.reports.filter((report) => report[field] !== undefined).length;
  }

  /** Stop the worker at a moment when the others can write: a worker that stops within a commit keeps a file locked. */
  async pause(writing: () => Promise<unknown>): Promise<void> {
    for (;;) {
      this.child.kill("SIGSTOP");
      try {
        await writing();
        return;
      } catch (error) {
        if (!hasCode(error, "store_busy")) throw error;
      }
      this.child.kill("SIGCONT");
      await sleep(5);
    }
  }

  /** Kill the worker and wait for its end. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.#closed;
  }

  /** Wait for the end of the worker. @throws Error with its stderr if it failed */
  async ended(): Promise<void> {
    await this.#closed;
    if (this.child.exitCode !== 0) throw new Error(`a worker failed with ${this.child.exitCode}: ${this.#stderr}`);
  }
}

/** A folder for the store of one test. */
export async function openPlace(): Promise<AsyncDisposable & { readonly store: string }> {
  const folder = await mkdtemp(join(tmpdir(), "perdure-test-"));
  return {
    store: `sqlite:${join(folder, "store.db")}`,
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true });
    },
  };
}
