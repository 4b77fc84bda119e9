/** One instance of a server, as a program. It prints its URL on a line, and stops in good order at SIGTERM. */
import { setTimeout as sleep } from "node:timers/promises";
import { defined } from "../../src/domain/values/defined.ts";
import { openSessions, type Model } from "../../src/index.ts";
import { createServer, listen } from "../../src/server/index.ts";

const {
  store,
  port = 0,
  delayMs = 0,
  fallback,
} = JSON.parse(process.argv[2] ?? "{}") as {
  store: string;
  port?: number;
  delayMs?: number;
  fallback?: "stateless" | { outbox: string };
};

/** Counts the questions of the request, and repeats the last one in pieces. */
const model: Model = async function* ({ messages, signal }) {
  const asked = messages.filter(({ role }) => role === "user");
  for (const [piece, word] of [`${asked.length}`, " ", String(asked.at(-1)?.content)].entries()) {
    if (piece > 0 && delayMs > 0) await sleep(delayMs, undefined, { signal });
    yield { type: "text", text: word };
  }
};

const sessions = await openSessions({
  ...defined({ fallback }),
  store,
  model,
  secret: "the same in all instances",
});
const unlimited = { device: 1e9, newDevices: 1e9, newDeviceSessions: 1e9, key: 1e9 };
const listening = await listen(createServer({ sessions, rates: unlimited }), { port });
process.stdout.write(`${listening.url}\n`);
process.once("SIGTERM", () => {
  void (async () => {
    await listening.close(5000);
    await sessions.close();
  })();
});
