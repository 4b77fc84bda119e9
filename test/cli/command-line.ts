/** The command line as a child process, for tests. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A folder of its own, with the store `perdure.db` in it, and an environment that points at a model's endpoint. */
export class Workplace implements AsyncDisposable {
  readonly folder: string;
  readonly #environment: Record<string, string>;

  private constructor(folder: string, environment: Record<string, string>) {
    this.folder = folder;
    this.#environment = environment;
  }

  static async open(environment: Record<string, string> = {}): Promise<Workplace> {
    return new Workplace(await mkdtemp(join(tmpdir(), "perdure-cli-")), environment);
  }

  get storeUrl(): string {
    return `sqlite:${join(this.folder, "perdure.db")}`;
  }

  start(args: readonly string[], environment: Record<string, string> = {}): ChildProcess {
    return spawn(process.execPath, [main, ...args], {
      cwd: this.folder,
      env: { PATH: process.env["PATH"] ?? "", ...this.#environment, ...environment },
    });
  }

  async run(args: readonly string[], { input = "", ...environment }: Record<string, string> = {}): Promise<Finished> {
    const child = this.start(args, environment);
    child.stdin?.end(input);
    return await finish(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}

export async function finish(child: ChildProcess): Promise<Finished> {
  const parts = { stdout: "", stderr: "" };
  child.stdout?.on("data", (data: Buffer) => (parts.stdout += data.toString()));
  child.stderr?.on("data", (data: Buffer) => (parts.stderr += data.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...parts };
}
