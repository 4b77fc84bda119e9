/** A runtime that answers with the count of its messages and its process id. Some messages are answered slowly, in parts or never. */
import { setTimeout as sleep } from "node:timers/promises";
import type { LiveSession, Runtime } from "../../src/host/index.ts";

const runtime: Runtime = {
  async activate(session: LiveSession) {
    if (session.id === process.env["SICK"]) throw new Error("it cannot wake up");
  },
  async onMessage(session: LiveSession, message: string) {
    if (message === "slow") {
      await session.update({ metadata: { begun: true } });
      await sleep(700);
    }
    if (message === "hang") await new Promise(() => undefined);
    if (message === "throw") throw new Error("as told");
    if (message === "parts") return parts();
    await session.append({ input: message, output: "noted" });
    return { count: session.info.turn, pid: process.pid };
  },
};

async function* parts(): AsyncGenerator<number> {
  for (let part = 1; part <= 3; part++) {
    await sleep(50);
    yield part;
  }
}

export default runtime;
