import { rm, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "../../src/client/index.ts";
import { openSessions } from "../../src/index.ts";
import { createServer, listen } from "../../src/server/index.ts";
import { sessionSuite } from "./session-suite.ts";

sessionSuite("sessions in memory", async (options) => {
  const sessions = await openSessions({ store: "memory:", ...options });
  return { sessions, [Symbol.asyncDispose]: () => sessions.close() };
});

sessionSuite("sessions on SQLite", async (options) => {
  const folder = await mkdtemp(join(tmpdir(), "perdure-suite-"));
  const sessions = await openSessions({ store: `sqlite:${join(folder, "s.db")}`, ...options });
  return {
    sessions,
    async [Symbol.asyncDispose]() {
      await sessions.close();
      await rm(folder, { recursive: true });
    },
  };
});

sessionSuite("sessions over HTTP", async (options) => {
  const sessions = await openSessions({ store: "memory:", ...options });
  const rates = { key: 1e9 };
  const listening = await listen(createServer({ sessions, rates, bodyBytesMax: 16 * 1024 * 1024 }), { port: 0 });
  const { token } = await sessions.keys.create({ name: "suite", right: "admin" });
  return {
    sessions: connect({ url: listening.url, key: token }),
    async [Symbol.asyncDispose]() {
      await listening.close(1000);
      await sessions.close();
    },
  };
});
