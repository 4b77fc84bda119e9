/**
 * A process that writes the history of a thread, or gives the answers of one, and is killed before one of its commits. Prints each message
 * that it has stored, or that was answered.
 */
import { assistantHistory, assistantSession } from "../../../src/client/assistant-ui.ts";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";
import { messageOf, slow } from "./messages.ts";

const [url = "", name = "", commitsMax = "Infinity"] = process.argv.slice(2);

const store = await mortalStore(url, Number(commitsMax));
async function writes(): Promise<void> {
  await using sessions = await openSessions({ store, sweep: false });
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
}

async function answers(): Promise<void> {
  await using sessions = await openSessions({ store, sweep: false, model: slow });
  const thread = assistantSession(sessions, "t");
  const messages: object[] = [];
  for (let at = 1; at <= 2; at++) {
    messages.push(messageOf(`q${at}`, "user"));
    const run = { messages, abortSignal: new AbortController().signal, unstable_assistantMessageId: `a${at}` };
    await Array.fromAsync(thread.model.run(run));
    messages.push(messageOf(`a${at}`, "assistant"));
    process.stdout.write(`q${at}\n`);
  }
}

await (name === "answers" ? answers() : writes());
process.stdout.write("closed\n");
