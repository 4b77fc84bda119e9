/** A process that appends events to a new session, and is killed before one of its commits. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { createEvent } from "@google/adk";
import { adkSessions } from "../../../src/adapters/adk.ts";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";

const [url = "", sessionId = "", events = "", commitsMax = ""] = process.argv.slice(2);
const store = await mortalStore(url, Number(commitsMax));
const service = adkSessions(await openSessions({ store, sweep: false }));
const session = await service.createSession({ appName: "shop", userId: "ada", sessionId, state: { step: 0 } });
for (let step = 1; step <= Number(events); step++) {
  const stateDelta = { step, "user:step": step, "app:step": step, "temp:step": step };
  const actions = { stateDelta };
  const role = step % 2 === 1 ? "user" : "model";
  const content = { role, parts: [{ text: `text ${step}` }] };
  await service.appendEvent({ session, event: createEvent({ id: `event-${step}`, author: role, actions, content }) });
  process.stdout.write("appended\n");
}
process.kill(process.pid, "SIGKILL");
