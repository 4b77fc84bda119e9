/** A process that appends to sessions of its own and of all, until it is killed: `backup-writer.ts URL NAME`. */
import { openSessions } from "../../src/index.ts";

const [, , store = "", name = ""] = process.argv;
const sessions = await openSessions({ store, sweep: false });
const own = await sessions.ensure(`own-${name}`);
// Each round writes to its own session first, then the number of its turn there to another: no state has the second without
// the first.
const shadow = await sessions.ensure(`shadow-${name}`);
for (;;) {
  const { seq } = await own.append({ input: `turn ${own.info.turn + 1}`, output: "x".repeat(2000) });
  await shadow.append({ input: `${seq}` });
}
