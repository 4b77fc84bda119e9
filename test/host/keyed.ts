/** The mortal runtime, which may be asked again: what it writes for `{ key }` bears that key, so it is there once. */
import type { LiveSession, Runtime } from "../../src/host/index.ts";
import mortal from "./mortal.ts";

const runtime: Runtime = {
  ...mortal,
  repeatable: true,
  async onMessage(session: LiveSession, message: string | { readonly key: string }) {
    if (typeof message === "string") return await mortal.onMessage(session, message as never);
    const turn = await session.append({ input: message.key }, message);
    return turn.seq;
  },
};

export default runtime;
