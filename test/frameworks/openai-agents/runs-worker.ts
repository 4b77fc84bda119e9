/** A process that runs agents, and is killed before one of its commits. Prints what it has acknowledged, a JSON object a line. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { Agent, Runner, RunState, setTracingDisabled, tool, type AgentInputItem } from "@openai/agents";
import { assistantMessage, functionCall, modelResponder, ScriptedModel } from "@openai/agents/testing";
import { setImmediate as tick } from "node:timers/promises";
import { z } from "zod";
import { openaiSession } from "../../../src/adapters/openai-agents.ts";
import { openSessions } from "../../../src/index.ts";
import { mortalStore } from "../mortal-store.ts";

setTracingDisabled(true);

const [url = "", task = "", commitsMax = "0"] = process.argv.slice(2);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const store = await mortalStore(url, task === "runs" ? Number(commitsMax) : Infinity);
const sessions = await openSessions({ store, sweep: false });
const session = await openaiSession<AgentInputItem>(sessions, "s");
const runner = new Runner();
const { run } = session.durable(runner);
const call = (id: string, name = "look"): ReturnType<typeof functionCall> => functionCall(name, {}, { callId: id });
const toolOf = (name: string, execute: () => Promise<string>, needsApproval = false): ReturnType<typeof tool> =>
  tool({ name, description: "A tool.", parameters: z.object({}), needsApproval, execute });

if (task === "tool") {
  const killed = async (): Promise<string> => {
    const reader = await openaiSession<AgentInputItem>(sessions, "s");
    const hasResult = (item: AgentInputItem): boolean => item.type === "function_call_result" && item.callId === "c2";
    while (!(await reader.getItems()).some(hasResult)) await tick();
    process.kill(process.pid, "SIGKILL");
    return "";
  };
  const model = new ScriptedModel([[call("c1")], [call("c2"), call("c3", "die")]]);
  const tools = [toolOf("look", () => Promise.resolve("seen")), toolOf("die", killed)];
  await run(new Agent({ name: "a", model, tools }), "1");
}

let asked = 0;
const step = (
  output: Parameters<typeof modelResponder>[0] extends never ? never : readonly object[],
): ReturnType<typeof modelResponder> =>
  modelResponder(() => {
    say({ model: ++asked });
    return output as never;
  });
const model = new ScriptedModel([
  step([call("c1")]),
  step([call("c2")]),
  step([assistantMessage("First.")]),
  step([call("c3", "pay")]),
  step([assistantMessage("Paid.")]),
  step([{ type: "compaction", encrypted_content: "gAAA" }, assistantMessage("Short.")]),
]);
const tools = [toolOf("look", () => Promise.resolve("seen")), toolOf("pay", () => Promise.resolve("paid"), true)];
const agent = new Agent({ name: "a", model, tools });
await run(agent, "1");
say({ did: "answered" });
const { state } = await run(agent, "2");
say({ did: "asked" });
await session.pause(state);
say({ did: "paused" });
const resumed = await session.resume((text) => RunState.fromString(agent, text));
say({ did: "resumed" });
for (const interruption of resumed.getInterruptions()) resumed.approve(interruption);
await run(agent, resumed);
say({ did: "paid" });
await runner.run(agent, "3", { session });
say({ did: "compacted" });
await session.popItem();
say({ did: "popped" });
await session.addItems([{ role: "user", content: "4" }]);
await sessions.close();
say({ did: "closed" });
