/** A host in a process of its own, spoken to over HTTP. As a program it is that host, and says its address on a line. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { startHost, type LiveSession } from "../../src/host/index.ts";
import { hasCode, openSessions, SessionError } from "../../src/index.ts";
import { endsWithTest } from "../support/ends-with-test.ts";

/** What a session is told; the key names the message over all tries. */
export interface Note {
  readonly id: string;
  readonly text: string;
  readonly key: string;
}

/** The answer to it. */
export type Reply =
  | { readonly seq: number }
  | { readonly code: string; readonly details: { readonly address?: string } };

/** Appends each note as a turn whose model is the fencing token of the lease that it was written under. */
const runtime = {
  async onMessage(session: LiveSession, { text, key }: Note) {
    try {
      const turn = await session.append({ input: text, model: `${session.info.lease?.fence}` }, { key });
      return turn.seq;
    } catch (error) {
      // An earlier lease holder wrote the turn, under its own fencing token, and its answer was lost.
      if (hasCode(error, "key_reused")) return error.details.seq;
      throw error;
    }
  },
};

async function serve(store: string): Promise<void> {
  await using sessions = await openSessions({ store, staleAfter: "1s", sweep: false });
  const server = createServer((request, response) => {
    void answer(request)
      .catch((error: unknown) => {
        const { code, details } = error instanceof SessionError ? error : { code: String(error), details: {} };
        return { code, details };
      })
      .then((reply) => response.end(JSON.stringify(reply)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await using host = await startHost(sessions, { runtime, address, restart: { backoff: "10ms" } });
  await host.recover();
  const answer = async (request: IncomingMessage): Promise<unknown> => {
    if (request.method === "GET") return [...host.each()].map(({ id }) => id);
    const note = (await json(request)) as Note;
    return { seq: await host.send(note.id, note) };
  };
  process.stdout.write(`${address}\n`);
  await once(process, "SIGTERM");
  server.close();
  server.closeAllConnections();
}

export class HostProcess implements AsyncDisposable {
  readonly address: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, address: string) {
    this.#child = child;
    this.address = address;
  }

  static async start(store: string): Promise<HostProcess> {
    const program = fileURLToPath(import.meta.url);
    const child = endsWithTest(spawn(process.execPath, [program, store], { stdio: ["ignore", "pipe", "inherit"] }));
    const [address] = (await once(createInterface(child.stdout), "line")) as [string];
    return new HostProcess(child, address);
  }

  get isGone(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Power off, pause, or go on. */
  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(signal);
  }

  async live(): Promise<readonly string[]> {
    return (await (await fetch(this.address)).json()) as string[];
  }

  /** End it in good order. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isGone) return;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGCONT");
    this.#child.kill("SIGTERM");
    await exited;
  }
}

if (import.meta.main) await serve(process.argv[2] ?? "");
