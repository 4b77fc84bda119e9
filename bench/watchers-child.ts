/** The readers of many streams, in a process of their own: their memory and their time are not the server's. */
import { connect } from "node:net";

export interface Task {
  readonly port: number;
  /** The text of each request, and how many connections send it. */
  readonly requests: readonly { readonly text: string; readonly times: number }[];
  /** Slow readers read the first block of their stream and nothing more. */
  readonly isSlow: boolean;
}

process.on("message", (task: Task) => void open(task));
process.on("disconnect", () => process.exit());

async function open({ port, requests, isSlow }: Task): Promise<void> {
  for (const { text, times } of requests) {
    // In groups: a server accepts a limited number of connections at once.
    for (let left = times; left > 0; left -= 50)
      await Promise.all(Array.from({ length: Math.min(left, 50) }, () => begun(port, text, isSlow)));
  }
  process.send?.("open");
}

/** Resolves when the first block of the response is there. */
async function begun(port: number, text: string, isSlow: boolean): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect(port, "127.0.0.1");
  socket.on("error", reject);
  socket.write(text);
  socket.once("data", (block: Buffer) => {
    const [status = ""] = block.toString("latin1").split("\r\n", 1);
    if (!status.includes(" 200 ")) reject(new Error(status));
    if (isSlow) socket.pause();
    else socket.resume();
    resolve();
  });
  await promise;
}
