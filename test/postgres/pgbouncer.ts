/** A PgBouncer in transaction mode before a server: the one of the system's packages. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort, owner, password, user, type PostgresServer } from "./server.ts";

/** Why there is none, for a test to say when it skips; undefined where it is installed. */
export function missingPgBouncer(): string | undefined {
  const { status } = spawnSync("pgbouncer", ["--version"], { env: withSystemPaths() });
  if (status === 0) return undefined;
  return 'pgbouncer is not installed; "apt-get install pgbouncer", or the package of your system';
}

export class PgBouncer implements AsyncDisposable {
  readonly port: number;
  readonly #stop: () => Promise<void>;

  private constructor(port: number, stop: () => Promise<void>) {
    this.port = port;
    this.#stop = stop;
  }

  static async start(server: PostgresServer, { poolSize = 5 }: { poolSize?: number } = {}): Promise<PgBouncer> {
    const folder = mkdtempSync(join(tmpdir(), "perdure-pgbouncer-"));
    const port = await freePort();
    const users = join(folder, "users.txt");
    const config = join(folder, "pgbouncer.ini");
    writeFileSync(users, `"${user}" "${password}"\n`);
    writeFileSync(
      config,
      `[databases]
* = host=127.0.0.1 port=${server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
default_pool_size = ${poolSize}
max_client_conn = 200
`,
    );
    const { uid, gid } = owner();
    if (uid !== undefined && gid !== undefined) for (const path of [folder, users, config]) chownSync(path, uid, gid);
    // As with the server: it ends when we do, however that comes about.
    const script = '"$@" & child=$!; read -r line; kill -KILL $child 2>/dev/null; wait $child';
    const keeper = spawn("sh", ["-c", script, "sh", "pgbouncer", config], {
      uid,
      gid,
      env: withSystemPaths(),
      stdio: ["pipe", "ignore", "ignore"],
    });
    keeper.stdin.on("error", () => undefined); // it may be gone already when we close
    const stop = async (): Promise<void> => {
      const gone = once(keeper, "exit");
      keeper.stdin.end();
      await gone;
      rmSync(folder, { recursive: true, force: true });
    };
    for (let tries = 0; !(await answers(port)); tries++) {
      if (tries > 2400) throw new Error("pgbouncer did not start");
      await sleep(25);
    }
    return new PgBouncer(port, stop);
  }

  url(database = "postgres"): string {
    return `postgres://${user}:${password}@127.0.0.1:${this.port}/${database}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }
}

/** Debian puts it where only the paths of root lead. */
function withSystemPaths(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin:/usr/local/sbin` };
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
