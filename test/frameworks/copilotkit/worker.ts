/** A process that runs an agent, and is killed before one of its commits. Prints what it has acknowledged, a JSON object a line. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { setTimeout as sleep } from "node:timers/promises";
import { lastValueFrom } from "rxjs";
import { copilotRunner, type AgUiEvent } from "../../../src/adapters/copilotkit.ts";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";

const [url = "", task = "", commitsMax = "0"] = process.argv.slice(2);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

/** An agent that says these words, a piece at a time. */
function agentOf(words: AsyncIterable<string> | Iterable<string>, runId: string): object {
  return {
    agentId: "default",
    abortRun: () => undefined,
    async runAgent(_: unknown, { onEvent }: { readonly onEvent: (given: { event: AgUiEvent }) => Promise<void> }) {
      const tell = async (type: string, fields: object): Promise<void> => await onEvent({ event: { type, ...fields } });
      await tell("RUN_STARTED", { threadId: "t", runId });
      await tell("TEXT_MESSAGE_START", { messageId: `m-${runId}`, role: "assistant" });
      for await (const delta of words) await tell("TEXT_MESSAGE_CONTENT", { messageId: `m-${runId}`, delta });
      await tell("TEXT_MESSAGE_END", { messageId: `m-${runId}` });
      await tell("RUN_FINISHED", { threadId: "t", runId });
    },
  };
}

const store = await mortalStore(url, task === "runs" ? Number(commitsMax) : Infinity);
const sessions = await openSessions({ store, sweep: false });
const runner = await copilotRunner(sessions);

async function run(runId: string, words: AsyncIterable<string> | Iterable<string>): Promise<AgUiEvent> {
  const input = { threadId: "t", runId, messages: [{ id: `u-${runId}`, role: "user", content: `Ask ${runId}` }] };
  const agent = agentOf(words, runId) as Parameters<typeof runner.run>[0]["agent"];
  return (await lastValueFrom(runner.run({ threadId: "t", agent, input }))) as AgUiEvent;
}

if (task === "endless")
  await run(
    "r1",
    (async function* () {
      for (let at = 1; ; at++) {
        await sleep(2);
        yield `${at} `;
        say({ said: at });
      }
    })(),
  );

for (const runId of ["r1", "r2", "r3"]) {
  const { type } = await run(runId, [`Answer ${runId}`, "."]);
  say({ did: runId, type });
}
await sessions.close();
say({ did: "closed" });
