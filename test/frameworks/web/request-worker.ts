/** A server with the middleware for Express in a process of its own, which is killed before one of its commits. It prints its address. */
import { openSessions } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openPostgres } from "../../../src/store/postgres/open.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";
import { serveRequests } from "./request-servers.ts";

const [url = "", secret = "", commitsMax = ""] = process.argv.slice(2);
const store = await (url.startsWith("sqlite:") ? openSqlite({ url }) : openPostgres({ url }));
let commits = 0;
const counted = storeBefore(store, (method, args) => {
  if (method === "commit" && ++commits > Number(commitsMax)) process.kill(process.pid, "SIGKILL");
  return callStore(store, method, args);
});
const sessions = await openSessions({ store: counted, sweep: false, secret });
const server = await serveRequests("Express", sessions, async (request, path) => {
  const session = await request.open();
  return (await session.append({ input: path, output: "yes" })).seq;
});
process.stdout.write(`${server.url}\n`);
