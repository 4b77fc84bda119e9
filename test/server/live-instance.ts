/** A server with a host of live sessions, as a program. It prints its URL on a line, and stops in good order at SIGTERM. */
import { setTimeout as sleep } from "node:timers/promises";
import { startHost, type LiveSession } from "../../src/host/index.ts";
import { openSessions } from "../../src/index.ts";
import { createServer, listen, type Server } from "../../src/server/index.ts";

/** A busy machine delays heartbeats: an owner that is not paused is not taken for one. */
export const staleAfter = "3s";

/** Appends each message, at once or after some seconds, and answers with the count of turns; or counts without end. */
export const runtime = {
  async onMessage(session: LiveSession, message: string): Promise<unknown> {
    if (message === "count") return counted();
    if (message === "slow") await sleep(3000);
    await session.append({ input: message });
    return session.info.turn;
  },
};

async function* counted(): AsyncGenerator<number> {
  for (let part = 1; ; part++) {
    yield part;
    await sleep(50);
  }
}

async function serve(store: string): Promise<void> {
  const sessions = await openSessions({ store, staleAfter, sweep: false });
  const server = Promise.withResolvers<Server>();
  const listening = await listen(server.promise, { port: 0 });
  const host = await startHost(sessions, { runtime, address: listening.url });
  server.resolve(createServer({ sessions, host }));
  process.stdout.write(`${listening.url}\n`);
  process.once("SIGTERM", () => {
    void (async () => {
      await Promise.all([host.close(), listening.close(1000)]);
      await sessions.close();
    })();
  });
}

if (import.meta.main) await serve(process.argv[2] ?? "");
