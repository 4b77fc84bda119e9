import { busyError } from "../connection/sqlite-error.ts";

/**
 * Rewrites the file and copies the write-ahead log into it, on a connection in a thread of its own: a gigabyte takes seconds,
 * during which the event loop runs. The checkpoint empties the log once no other connection reads from it.
 * @throws an error of SQLite; busy if other connections hold locks for longer than `busyTimeoutMs`
 */
export async function vacuumInThread(file: string, busyTimeoutMs: number): Promise<void> {
  // Node takes 3 ms to load its threads, so the first vacuum loads them, and an opened store does not.
  const { Worker } = process.getBuiltinModule("node:worker_threads");
  const worker = new Worker(threadText, { eval: true, workerData: { file, busyTimeoutMs }, execArgv: [] });
  const failure = await new Promise<Failure | null>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", () => reject(new Error("the thread that rewrites the file ended early")));
  });
  if (failure === "busy") throw busyError();
  if (failure !== null) throw Object.assign(new Error(failure.message), { errcode: failure.errcode });
}

type Failure = "busy" | { readonly message: string; readonly errcode: number | undefined };

/** A text instead of a module: the published package has few files, and none is for a thread. */
const threadText = `
const { DatabaseSync } = require("node:sqlite");
const { parentPort, workerData: { file, busyTimeoutMs } } = require("node:worker_threads");
function pause(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
function checkpoint(database) {
  const started = performance.now();
  while (Number(database.prepare("pragma wal_checkpoint(truncate)").get().busy) !== 0) {
    if (performance.now() - started >= busyTimeoutMs) return "busy";
    pause(5);
  }
  return null;
}
let answer;
try {
  const database = new DatabaseSync(file, { timeout: busyTimeoutMs });
  try {
    database.exec("vacuum");
    answer = checkpoint(database);
  } finally {
    database.close();
  }
} catch (error) {
  answer = { message: error.message, errcode: error.errcode };
}
parentPort.postMessage(answer);
`;
