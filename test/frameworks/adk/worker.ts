/** A process that appends events to a new session, and is killed before one of its commits. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { createEvent } from "@google/adk";
import { adkSessions } from "../../../src/adapters/adk.ts";
import { openSessions } from "../../../src/index.ts";
import { callStore, storeBefore } from "../../../src/store/calls/forwarding-store.ts";
import { openPostgres } from "../../../src/store/postgres/open.ts";
import { openSqlite } from "../../../src/store/sqlite/open.ts";

const [url = "", sessionId = "", events = "", commitsMax = ""] = process.argv.slice(2);
const store = await (url.startsWith("sqlite:") ? openSqlite({ url }) : openPostgres({ url }));
let commits = 0;
const counted = storeBefore(store, (method, args) => {
  if (method === "commit" && ++commits > Number(commitsMax)) process.kill(process.pid, "SIGKILL");
  return callStore(store, method, args);
});
const service = adkSessions(await openSessions({ store: counted, sweep: false }));
const session = await service.createSession({ appName: "shop", userId: "ada", sessionId, state: { step: 0 } });
for (let step = 1; step <= Number(events); step++) {
  const stateDelta = { step, "user:step": step, "app:step": step, "temp:step": step };
  const actions = { stateDelta };
  await service.appendEvent({ session, event: createEvent({ id: `event-${step}`, author: "agent", actions }) });
  process.stdout.write("appended\n");
}
process.kill(process.pid, "SIGKILL");
