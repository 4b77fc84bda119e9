/** A process that saves one snapshot after the other, and is killed before one of its commits. */
import { genkitStore } from "../../../src/adapters/genkit.ts";
import { openSessions } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openPostgres } from "../../../src/store/postgres/open.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";
import { snapshotAt } from "./snapshots.ts";

const [url = "", sessionId = "", snapshots = "", commitsMax = ""] = process.argv.slice(2);
const store = await (url.startsWith("sqlite:") ? openSqlite({ url }) : openPostgres({ url }));
let commits = 0;
const counted = storeBefore(store, (method, args) => {
  if (method === "commit" && ++commits > Number(commitsMax)) process.kill(process.pid, "SIGKILL");
  return callStore(store, method, args);
});
const genkit = genkitStore(await openSessions({ store: counted, sweep: false }));
for (let step = 1; step <= Number(snapshots); step++) {
  await genkit.saveSnapshot(`${sessionId}-${step}`, () => snapshotAt(sessionId, step));
  process.stdout.write("saved\n");
}
process.kill(process.pid, "SIGKILL");
