/** A process that works on threads, and is killed before one of its commits. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { perdureMemory } from "../../../src/adapters/mastra.ts";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";
import { messageOf, threadOf } from "./messages.ts";

const [url = "", thread = "", commitsMax = ""] = process.argv.slice(2);
const store = await mortalStore(url, Number(commitsMax));
const memory = await perdureMemory(await openSessions({ store, sweep: false }));
const done = (): void => void process.stdout.write("done\n");
await memory.saveThread({ thread: threadOf(thread) });
done();
const [first, second] = [1, 2].map((at) => messageOf(`${thread}-${at}`, { threadId: thread, at }));
await memory.saveMessages({ messages: [first!, second!] });
done();
await memory.saveMessages({ messages: [messageOf(`${thread}-2`, { threadId: thread, at: 2, text: "Hi, and more" })] });
done();
await memory.copyThread({ sourceThreadId: thread, newThreadId: `${thread}-copy` });
done();
await memory.deleteMessages([`${thread}-1`]);
done();
process.kill(process.pid, "SIGKILL");
