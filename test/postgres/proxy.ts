/** A proxy between a client and a server that breaks connections at chosen moments and counts round trips. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { password, user } from "./server.ts";

/**
 * Where a connection is cut, once, when the statement comes by:
 * - `before-send`: the server never sees it;
 * - `after-send`: the server gets it, and nobody is there when it answers;
 * - `after-commit`: the server has answered, and the answer is dropped;
 * - `delay`: the client is told nothing, and the server gets it when {@link Proxy.release} is called.
 */
export type Cut = "before-send" | "after-send" | "after-commit" | "delay";

/** Those that leave the next try alone. */
export const cuts: readonly Cut[] = ["before-send", "after-send", "after-commit"];

interface Armed {
  readonly cut: Cut;
  readonly statement: string;
  readonly done: () => void;
}

export class Proxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #armed: Armed | undefined;
  #gate: Promise<void> | undefined;
  #stalled = false;
  readonly #delayed: (() => void)[] = [];
  /** How often a server reported that it is ready for the next query; the first of a connection follows its start. */
  roundTrips = 0;
  connections = 0;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
    server.on("connection", (client) => void this.#serve(client));
  }

  static async before(target: number): Promise<Proxy> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Proxy(server, target);
  }

  url(database = "postgres"): string {
    return `postgres://${user}:${password}@127.0.0.1:${(this.#server.address() as AddressInfo).port}/${database}`;
  }

  /** Cut the connection on which `statement` comes by next; resolves when that has happened. */
  async cutAt(cut: Cut, statement = "commit_"): Promise<void> {
    await new Promise<void>((done) => {
      this.#armed = { cut, statement, done };
    });
  }

  /** Let the server have what was delayed. */
  release(): void {
    for (const send of this.#delayed.splice(0)) send();
  }

  /** Cut nothing any more. */
  disarm(): void {
    this.#armed = undefined;
  }

  /** Let new connections wait until `work` is done. */
  async hold(work: () => Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    try {
      await work();
    } finally {
      this.#gate = undefined;
      resolve();
    }
  }

  /** From now on nothing that comes in goes out: connections hang. */
  stall(): void {
    this.#stalled = true;
  }

  resume(): void {
    this.#stalled = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(client: Socket): Promise<void> {
    this.connections++;
    this.#track(client);
    await this.#gate;
    const upstream = connect(this.#target, "127.0.0.1");
    this.#track(upstream);
    const cut = (): void => {
      client.destroy();
      // What was sent is read to its end: a server that finds its client gone could still stop.
      upstream.end();
    };
    let dropAnswer: Armed | undefined;
    client.on("data", (chunk: Buffer) => {
      if (this.#stalled) return;
      const armed = this.#armed;
      if (armed === undefined || !chunk.includes(armed.statement)) {
        upstream.write(chunk);
        return;
      }
      this.#armed = undefined;
      if (armed.cut === "delay") {
        this.#delayed.push(() => upstream.write(chunk));
        client.removeAllListeners("close");
        client.destroy();
        armed.done();
      } else if (armed.cut === "before-send") {
        client.destroy();
        upstream.destroy();
        armed.done();
      } else if (armed.cut === "after-send") {
        upstream.write(chunk, () => {
          cut();
          armed.done();
        });
      } else {
        dropAnswer = armed;
        upstream.write(chunk);
      }
    });
    upstream.on("data", (chunk: Buffer) => {
      if (this.#stalled) return;
      if (dropAnswer !== undefined) {
        if (!isReady(chunk)) return;
        cut();
        dropAnswer.done();
        return;
      }
      if (isReady(chunk)) this.roundTrips++;
      client.write(chunk);
    });
    client.on("close", () => upstream.end());
    upstream.on("close", () => client.destroy());
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined); // broken connections are what this is for
    socket.on("close", () => this.#sockets.delete(socket));
  }
}

/** True where the last message of these is ReadyForQuery: `Z`, its length 5, and one letter for the transaction's state. */
function isReady(chunk: Buffer): boolean {
  return chunk.length >= 6 && chunk.at(-6) === 0x5a && chunk.readUInt32BE(chunk.length - 5) === 5;
}
