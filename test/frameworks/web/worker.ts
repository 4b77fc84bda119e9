/**
 * A server in a process of its own, which may be killed before one of its commits. It prints its address, and `held` when a request
 * for `/hold` waits; a line on its standard input lets all of them go on.
 */
import { createInterface } from "node:readline";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";
import { serve, type Framework } from "./servers.ts";

const [url = "", framework = "Express", commitsMax = "Infinity"] = process.argv.slice(2);
const store = await mortalStore(url, Number(commitsMax));
const sessions = await openSessions({ store, sweep: false });
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
