/** Prints the bytes of heap for each of 100 000 idle live sessions. */
import { startHost } from "../src/host/index.ts";
import { openSessions } from "../src/index.ts";
import runtime from "./host-runtime.ts";

const count = 100_000;
const warm = 1000;
const collect = (globalThis as { gc?: () => void }).gc;
if (collect === undefined) throw new Error("start it with --expose-gc");

const sessions = await openSessions({ store: process.argv[2] ?? "memory:", sweep: false });
const host = await startHost(sessions, { runtime, maxSessions: count + warm });
await live(0, warm); // what is made once: compiled code, hidden classes, statements
const before = heapBytes();
await live(warm, warm + count);
const after = heapBytes();
console.log(Math.round((after - before) / count));
if (host.gauges().byPhase.live !== count + warm) throw new Error("the sessions must be alive until here");
process.exit(0); // all that was to be measured is

async function live(from: number, to: number): Promise<void> {
  for (let first = from; first < to; first += 500) {
    const ids = Array.from({ length: 500 }, (_, index) => `s${first + index}`);
    await Promise.all(ids.map((id) => host.ensure(id)));
    await Promise.all(ids.map((id) => host.send(id, "x")));
  }
}

function heapBytes(): number {
  for (let times = 0; times < 4; times++) collect?.();
  return process.memoryUsage().heapUsed;
}
