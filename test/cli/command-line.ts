/** The command line as a child process, for tests. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";
import { openSessions, type Sessions } from "../../src/index.ts";
import { defined } from "../../src/domain/values/defined.ts";
import { endsWithTest } from "../support/ends-with-test.ts";
import { programOf } from "../support/programs.ts";
import { startModelServer, type ChatRequest, type ModelServer, type Reply } from "../support/model-server.ts";

const main = programOf("src/cli/main.ts");

/** The compile cache that a run of many test files shares. */
const { NODE_COMPILE_CACHE: cacheFolder } = process.env;
const compileCache = cacheFolder === undefined ? {} : { NODE_COMPILE_CACHE: cacheFolder };

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The JSON lines that a command printed. */
export function jsonLines({ stdout }: Pick<Finished, "stdout">): Record<string, unknown>[] {
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** The user to be. @default the one who runs the tests */
  readonly uid?: number;
  /** In a group of processes of its own. @default false */
  readonly detached?: boolean;
  /** Where its output goes. @default to the test */
  readonly stdout?: string;
}

/** A folder of its own, with the store `perdure.db` in it, and an environment that points at a model's endpoint. */
export class Workplace implements AsyncDisposable {
  readonly folder: string;
  readonly #environment: Readonly<Record<string, string>>;

  private constructor(folder: string, environment: Readonly<Record<string, string>>) {
    this.folder = folder;
    this.#environment = environment;
  }

  static async open(environment: Readonly<Record<string, string>> = {}): Promise<Workplace> {
    return new Workplace(await mkdtemp(join(tmpdir(), "perdure-cli-")), environment);
  }

  get storeUrl(): string {
    return `sqlite:${join(this.folder, "perdure.db")}`;
  }

  start(args: readonly string[], { env = {}, ...rest }: StartOptions = {}): ChildProcess {
    return this.#spawn([process.execPath, main, ...args], { env, ...rest });
  }

  /** On a terminal of its own, as a person sees it: stdout and stderr come together. */
  startOnTerminal(args: readonly string[]): ChildProcess {
    const command = [process.execPath, main, ...args].map((part) => `'${part.replaceAll("'", "'\\''")}'`).join(" ");
    return this.#spawn(["script", "--quiet", "--return", "--command", command, "/dev/null"], {
      env: { TERM: "xterm" },
    });
  }

  async run(
    args: readonly string[],
    { input = "", ...rest }: StartOptions & { input?: string } = {},
  ): Promise<Finished> {
    const child = this.start(args, rest);
    child.stdin?.end(input);
    return await finish(child);
  }

  #spawn(
    [program = "", ...args]: readonly string[],
    { env = {}, uid, detached = false, stdout }: StartOptions,
  ): ChildProcess {
    const output = stdout === undefined ? "pipe" : openSync(stdout, "w");
    const child = spawn(program, args, {
      cwd: this.folder,
      env: { PATH: process.env["PATH"] ?? "", ...compileCache, ...this.#environment, ...env },
      detached,
      stdio: ["pipe", output, "pipe"],
      ...defined({ uid }),
    });
    if (typeof output === "number") closeSync(output);
    return endsWithTest(child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true });
  }
}

/** A workplace and the sessions of its store, for the tests of the file that calls this. */
export async function workplaceOfFile(): Promise<{ readonly place: Workplace; readonly sessions: Sessions }> {
  const place = await Workplace.open();
  const sessions = await openSessions({ store: place.storeUrl, sweep: false });
  after(async () => {
    await sessions.close();
    await place[Symbol.asyncDispose]();
  });
  return { place, sessions };
}

export async function finish(child: ChildProcess): Promise<Finished> {
  const parts = { stdout: "", stderr: "" };
  // A character may come in two pieces.
  child.stdout?.setEncoding("utf8").on("data", (data: string) => (parts.stdout += data));
  child.stderr?.setEncoding("utf8").on("data", (data: string) => (parts.stderr += data));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...parts };
}

/** Send a signal and wait until the child has ended and its last output is read; gives back its exit code. */
export async function stop(child: ChildProcess, signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
  const closed = once(child, "close") as Promise<[number | null]>;
  child.kill(signal);
  return (await closed)[0];
}

/** Wait until the child has printed this to stdout. */
export async function outputUntil(child: ChildProcess, sign: string): Promise<void> {
  let seen = "";
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (data: Buffer | string) => {
      if ((seen += String(data)).includes(sign)) resolve();
    });
    child.once("close", () => reject(new Error(`the command ended without printing ${sign}: ${seen}`)));
  });
}

/** A command that serves, its address, and what it has printed to stderr so far. */
export interface Listening {
  readonly child: ChildProcess;
  readonly url: string;
  readonly log: () => string;
}

/** Wait until a command that serves has printed its address. */
export async function listening(child: ChildProcess): Promise<Listening> {
  let log = "";
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr?.setEncoding("utf8").on("data", (data: string) => {
      log += data;
      const found = / on (http:\S+)\s/.exec(log)?.[1];
      if (found !== undefined) resolve(found);
    });
    child.once("close", () => reject(new Error(`the command ended before it listened: ${log}`)));
  });
  return { child, url, log: () => log };
}

/** Says how many messages it was shown, so that a test can see what a session remembers. */
export function counting({ messages }: Pick<ChatRequest, "messages">): Reply {
  return { kind: "answer", texts: ["saw ", String(messages.length)], usage: [10, 2] };
}

/** These replies to these questions, and {@link counting} to all others. */
export function answers(replies: Readonly<Record<string, Reply>>): (request: ChatRequest) => Reply {
  return (request) => replies[request.messages.at(-1)?.content ?? ""] ?? counting(request);
}

/** A workplace with a model's endpoint. */
export async function setUp(
  respond: (request: ChatRequest, index: number) => Reply = counting,
): Promise<AsyncDisposable & { place: Workplace; server: ModelServer }> {
  const server = await startModelServer(respond);
  const place = await Workplace.open({
    OPENAI_BASE_URL: server.baseURL,
    OPENAI_API_KEY: "secret-key",
    PERDURE_MODEL: "m",
  });
  return {
    place,
    server,
    async [Symbol.asyncDispose]() {
      await place[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}
