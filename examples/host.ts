import { openSessions } from "perdure";
import { startHost } from "perdure/host";

await using sessions = await openSessions("sqlite:perdure.db");
await using host = await startHost(sessions, {
  runtime: new URL("agent.ts", import.meta.url),
  isolation: "pool",
  idleTimeout: "15m",
});

await host.ensure("shopping", { agent: "list" });
console.log(`${String(await host.send("shopping", { add: "milk" }))} to do:`);
for await (const task of (await host.send("shopping", {})) as AsyncIterable<string>) console.log(task);
