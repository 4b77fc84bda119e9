/** A process that writes the history of a thread, and is killed before one of its commits. Prints each message that it has stored. */
import { assistantHistory } from "../../../src/client/assistant-ui.ts";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";
import { messageOf } from "./messages.ts";

const [url = "", name = "", commitsMax = "Infinity"] = process.argv.slice(2);

const store = await mortalStore(url, Number(commitsMax));
const sessions = await openSessions({ store, sweep: false });
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
