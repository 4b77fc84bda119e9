/** The code of the demo's live sessions: it stores each message, and loops without end when a message asks for it. */
import type { LiveSession, Runtime } from "../src/host/index.ts";

const runtime: Runtime = {
  async onMessage(session: LiveSession, message: string) {
    if (message === "loop for ever") for (;;);
    await session.append({ input: message, output: "noted" });
    return session.info.turn;
  },
};

export default runtime;
