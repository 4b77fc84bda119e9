/** A process that saves one snapshot after the other, and is killed before one of its commits. */
import { genkitStore } from "../../../src/adapters/genkit.ts";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";
import { snapshotAt } from "./snapshots.ts";

const [url = "", sessionId = "", snapshots = "", commitsMax = ""] = process.argv.slice(2);
const store = await mortalStore(url, Number(commitsMax));
const genkit = genkitStore(await openSessions({ store, sweep: false }));
for (let step = 1; step <= Number(snapshots); step++) {
  await genkit.saveSnapshot(`${sessionId}-${step}`, () => snapshotAt(sessionId, step));
  process.stdout.write("saved\n");
}
process.kill(process.pid, "SIGKILL");
