/** A server with the middleware for Express in a process of its own, which is killed before one of its commits. It prints its address. */
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";
import { serveRequests } from "./request-servers.ts";

const [url = "", secret = "", commitsMax = ""] = process.argv.slice(2);
const store = await mortalStore(url, Number(commitsMax));
const sessions = await openSessions({ store, sweep: false, secret });
const server = await serveRequests("Express", sessions, async (request, path) => {
  const session = await request.open();
  return (await session.append({ input: path, output: "yes" })).seq;
});
process.stdout.write(`${server.url}\n`);
