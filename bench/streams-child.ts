/** A viewer of a stream in a process of its own: through Perdure, or by hand in SQL. */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { openSessions } from "../src/index.ts";
import { Client } from "../test/postgres/server.ts";

export interface Task {
  readonly how: "perdure" | "hand";
  readonly url?: string;
  /** The file of the rows written by hand, for SQLite. */
  readonly file?: string;
  readonly stream?: string;
  readonly tokens: number;
}

export interface Told {
  /** From the write of each token to its reader, ms. */
  readonly lagsMs: readonly number[];
}

/** The time of the machine, ms with fractions: the same in all its processes. */
export function momentNow(): number {
  return performance.timeOrigin + performance.now();
}

if (import.meta.main) await main(JSON.parse(process.argv[2] ?? "") as Task);

async function main(task: Task): Promise<void> {
  const lagsMs: number[] = [];
  const parts = task.how === "perdure" ? streamed(task) : task.file === undefined ? notified(task) : polled(task.file);
  for await (const at of parts) {
    lagsMs.push(momentNow() - at);
    if (lagsMs.length === task.tokens) break;
  }
  process.send?.({ lagsMs } satisfies Told);
  process.disconnect();
}

/** Says that the next tokens will be read. */
function isReading(): void {
  process.send?.("reading");
}

async function* streamed({ url = "", stream = "" }: Task): AsyncGenerator<number, void, void> {
  await using sessions = await openSessions({ store: url, sweep: false });
  const reading = sessions.streams.read(stream);
  const first = reading.next();
  await sleep(500); // its first look has found the stream without parts
  isReading();
  for (let { done, value } = await first; done !== true && value !== undefined;) {
    yield (value.part as { readonly at: number }).at;
    const next = await reading.next();
    if (next.done === true) return;
    value = next.value;
  }
}

/** Asks for `data_version` as often as Perdure does after a commit. */
async function* polled(file: string): AsyncGenerator<number, void, void> {
  const database = new DatabaseSync(file);
  const version = database.prepare("select data_version from pragma_data_version");
  const rows = database.prepare("select seq, data from hand where seq > ? order by seq");
  let [seq, seen] = [0, -1];
  isReading();
  for (;;) {
    const now = Number(version.get()?.["data_version"]);
    if (now !== seen) {
      seen = now;
      for (const row of rows.all(seq)) {
        seq = Number(row["seq"]);
        yield atOf(row["data"]);
      }
    }
    await sleep(4);
  }
}

async function* notified({ url = "" }: Task): AsyncGenerator<number, void, void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  let wake = (): void => undefined;
  let isDue = true;
  (client as unknown as { on(event: "notification", listener: () => void): void }).on("notification", () => {
    isDue = true;
    wake();
  });
  await client.query("listen hand");
  isReading();
  try {
    for (let seq = 0; ;) {
      if (!isDue) await new Promise<void>((resolve) => (wake = resolve));
      isDue = false;
      const { rows } = await client.query("select seq, data from hand where seq > $1 order by seq", [seq]);
      for (const row of rows) {
        seq = Number(row["seq"]);
        yield atOf(row["data"]);
      }
    }
  } finally {
    await client.end();
  }
}

function atOf(data: unknown): number {
  return (JSON.parse(String(data)) as { readonly at: number }).at;
}
