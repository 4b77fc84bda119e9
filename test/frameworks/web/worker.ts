/**
 * A server in a process of its own, which may be killed before one of its commits. It prints its address, and `held` when a request
 * for `/hold` waits; a line on its standard input lets all of them go on.
 */
import { createInterface } from "node:readline";
import { openSessions } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openPostgres } from "../../../src/store/postgres/open.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";
import { serve, type Framework } from "./servers.ts";

const [url = "", framework = "Express", commitsMax = "Infinity"] = process.argv.slice(2);
const store = await (url.startsWith("sqlite:") ? openSqlite({ url }) : openPostgres({ url }));
let commits = 0;
const counted = storeBefore(store, (method, args) => {
  if (method === "commit" && ++commits > Number(commitsMax)) process.kill(process.pid, "SIGKILL");
  return callStore(store, method, args);
});
const sessions = await openSessions({ store: counted, sweep: false });
const lines = createInterface({ input: process.stdin });

const server = await serve(framework as Framework, sessions, async ({ path, query, session, destroy }) => {
  if (path === "/hold") {
    process.stdout.write("held\n");
    await new Promise((resolve) => lines.once("line", resolve));
  }
  if (path === "/destroy") {
    await destroy();
    return "destroyed";
  }
  for (const [name, value] of query) if (session !== undefined) session[name] = value;
  return { ...session, cookie: undefined };
});
process.stdout.write(`${server.url}\n`);
