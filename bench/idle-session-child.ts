/** Prints the bytes of heap for each of 20 000 sessions that were opened, written to once and are kept. */
import { openSessions, type Session } from "../src/index.ts";
import { turn } from "./workload.ts";

const count = 20_000;
const collect = (globalThis as { gc?: () => void }).gc;
if (collect === undefined) throw new Error("start it with --expose-gc");

const sessions = await openSessions({ store: process.argv[2] ?? "memory:", sweep: false });
const kept: Session[] = [];
await open(1000); // what is made once: compiled code, hidden classes, statements
const before = heapBytes();
await open(count);
const after = heapBytes();
console.log(Math.round((after - before) / count));
if (kept.length !== count + 1000) throw new Error("the sessions must be alive until here");
await sessions.close();

async function open(more: number): Promise<void> {
  for (let made = 0; made < more; made += 500) {
    const opened = await Promise.all(Array.from({ length: 500 }, () => sessions.create({ user: "u_1" })));
    await Promise.all(opened.map((session) => session.append(turn)));
    kept.push(...opened);
  }
}

function heapBytes(): number {
  for (let times = 0; times < 4; times++) collect?.();
  return process.memoryUsage().heapUsed;
}
