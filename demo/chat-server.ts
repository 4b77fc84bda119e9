/** One instance of a chat's server, as a serverless host starts it for a request: says its address, ends at SIGTERM. */
import { readConversations, replayModel } from "../src/adapters/replay.ts";
import { openSessions } from "../src/index.ts";
import { createServer, listen } from "../src/server/index.ts";

export interface ChatServerInput {
  readonly store: string;
  /** The model: the file and id of a recorded conversation. */
  readonly file: string;
  readonly conversation: string;
}

const { store, file, conversation: id } = JSON.parse(process.argv[2] ?? "") as ChatServerInput;
const conversation = (await readConversations(file)).find((one) => one.id === id);
if (conversation === undefined) throw new Error(`no conversation ${id}`);
const sessions = await openSessions({
  store,
  model: replayModel({ conversation }),
  secret: "of this demo, and no secret at all",
  sweep: false,
});
const listening = await listen(createServer({ sessions }), { port: 0 });
process.stdout.write(`${listening.url}\n`);
process.once("SIGTERM", () => void listening.close(1000).then(() => sessions.close()));
