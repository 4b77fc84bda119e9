/** A process of one framework: adds the exchange with each number that it is told to a session, and then says the number. */
import { createInterface } from "node:readline";
import { openSessions } from "../../src/index.ts";
import { exchange } from "./participant.ts";
import { participantsOf } from "./participants.ts";

const [store = "", module = "", name = ""] = process.argv.slice(2);
const one = (await participantsOf(module)).find((participant) => participant.name === name);
if (one === undefined) throw new Error(`no participant ${name}`);
await using sessions = await openSessions({ store, sweep: false });
await sessions.ensure("s");
for await (const line of createInterface({ input: process.stdin })) {
  await one.goOn(sessions, "s", exchange(Number(line)));
  process.stdout.write(`${line}\n`);
}
