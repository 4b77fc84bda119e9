/** The code of the demo's live sessions: it notes what it is told, and, told so, never comes back. */
import type { LiveSession, Runtime } from "../src/host/index.ts";

const runtime: Runtime = {
  async onMessage(session: LiveSession, message: string) {
    if (message === "loop for ever") for (;;);
    await session.append({ input: message, output: "noted" });
    return session.info.turn;
  },
};

export default runtime;
