import { openSessions } from "perdure";
import { startHost } from "perdure/host";

await using sessions = await openSessions("sqlite:perdure.db");
await using host = await startHost(sessions, {
  runtime: new URL("traced-agent.ts", import.meta.url),
  isolation: "pool",
});

await host.ensure("traced-43", { agent: "support" });
console.log(await host.send("traced-43", "Where is my parcel?"));
await host.stop("traced-43");
