/** A runtime whose messages end it in every way there is. Any other message is counted. */
import { AsyncResource } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { exit } from "node:process";
import { threadId } from "node:worker_threads";
import type { LiveSession, Runtime } from "../../src/host/index.ts";

const hoard: unknown[] = [];
const never = new Int32Array(new SharedArrayBuffer(4));
/** Run something in an async context that belongs to no session. */
const outsideOfSessions = AsyncResource.bind((work: () => void) => setImmediate(work));

const runtime: Runtime = {
  async activate(session: LiveSession) {
    if (session.info.metadata["sick"] === true) throw new Error("it cannot wake up");
  },
  async onMessage(session: LiveSession, message: string) {
    switch (message) {
      case "throw":
        throw new Error("as told");
      case "later":
        setTimeout(() => {
          throw new Error("beside any message");
        }, 1);
        await sleep(10_000);
        break;
      case "reject":
        void Promise.reject(new Error("nobody looks at it"));
        await sleep(10_000);
        break;
      case "orphan":
        outsideOfSessions(() => {
          throw new Error("of nobody");
        });
        await sleep(10_000);
        break;
      case "exit":
        process.exit(7);
        break;
      case "exit by name":
        exit(7);
        break;
      case "await":
        await sleep(500);
        return "awaited";
      case "once":
        await session.append({ input: "once" });
        await sleep(10_000);
        return session.info.turn;
      case "block":
        // Blocks the event loop, and leaves the processor to the other tests.
        Atomics.wait(never, 0, 0, 1500);
        return "blocked";
      case "hoard":
        // Without a pause: a message of another session of the thread would be the one that runs out of memory.
        for (;;) hoard.push(Array.from({ length: 1e5 }, () => hoard.length));
      case "spin":
        for (;;);
      case "stuck":
        for (;;) Atomics.wait(never, 0, 0, 100);
      case "loop":
        await session.append({ input: "it begins" });
        // An endless loop that leaves the processor to the other tests.
        for (;;) Atomics.wait(never, 0, 0, 100);
      case "hang":
        await session.append({ input: "it begins" });
        await new Promise(() => undefined);
        break;
      case "kill":
        process.kill(process.pid, "SIGKILL");
        await sleep(10_000);
        break;
      case "append":
        await session.append({ input: `${session.info.turn + 1}` }, { key: `k${session.info.turn + 1}` });
        return session.info.turn;
      case "exchange":
        await session.append({ input: "a question", output: "an answer" });
        return session.info.turn;
      case "begin":
        await session.begin("a question");
        process.exit(7);
        break;
      case "parts":
        return (async function* () {
          for (let part = 1; part <= 3; part++) yield part;
        })();
      case "endless":
        return (async function* () {
          for (let part = 1; ; part++) {
            yield part;
            await sleep(20);
          }
        })();
      case "uncopyable":
        return () => undefined;
      case "conflict":
        await session.truncate(99);
        break;
      case "pid":
        return process.pid;
      case "thread":
        return threadId;
    }
    const count = ((session.state as number | undefined) ?? 0) + 1;
    session.state = count;
    return count;
  },
};

export default runtime;
