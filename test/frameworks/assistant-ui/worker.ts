/** A process that writes the history of a thread, and is killed before one of its commits. Prints each message that it has stored. */
import { assistantHistory } from "../../../src/client/assistant-ui.ts";
import { openSessions } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openPostgres } from "../../../src/store/postgres/open.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";
import { messageOf } from "./messages.ts";

const [url = "", name = "", commitsMax = "Infinity"] = process.argv.slice(2);

const store = await (url.startsWith("sqlite:") ? openSqlite({ url }) : openPostgres({ url }));
let commits = 0;
const counted = storeBefore(store, (method, args) => {
  if (method === "commit" && ++commits > Number(commitsMax)) process.kill(process.pid, "SIGKILL");
  return callStore(store, method, args);
});
const sessions = await openSessions({ store: counted, sweep: false });
const history = assistantHistory(sessions, "t");
const { headId } = await history.load();
let parentId = headId;
for (let at = 1; at <= 3; at++)
  for (const role of ["user", "assistant"] as const) {
    const message = messageOf(`${name}-${role}-${at}`, role);
    await history.append({ parentId, message });
    process.stdout.write(`${message.id}\n`);
    parentId = message.id;
  }
await sessions.close();
process.stdout.write("closed\n");
