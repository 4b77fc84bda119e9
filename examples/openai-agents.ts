/**
 * An agent of OpenAI's Agents SDK whose sessions survive its process: `npm install @openai/agents zod`, then run this file twice.
 * The first run ends while a payment waits for its approval; the second one approves it. The model is scripted, so it needs no
 * key.
 */
import { Agent, Runner, RunState, setTracingDisabled, tool } from "@openai/agents";
import { assistantMessage, functionCall, modelResponder, ScriptedModel } from "@openai/agents/testing";
import { openSessions } from "perdure";
import { openaiSession } from "perdure/openai-agents";
import { z } from "zod";

setTracingDisabled(true);

const pay = tool({
  name: "pay",
  description: "Pays an invoice.",
  parameters: z.object({ invoice: z.string() }),
  needsApproval: true,
  execute: ({ invoice }) => Promise.resolve(`${invoice} is paid`),
});

/** A model that calls the tool, then reports. */
const model = new ScriptedModel(
  [1, 2].map(() =>
    modelResponder(({ request: { input } }) => {
      const isPaid = Array.isArray(input) && input.some((item) => item.type === "function_call_result");
      return [isPaid ? assistantMessage("Done.") : functionCall("pay", { invoice: "No. 7" }, { callId: "call-1" })];
    }),
  ),
);
const agent = new Agent({ name: "accountant", model, tools: [pay] });

await using sessions = await openSessions("sqlite:openai-agents.db");
const session = await openaiSession(sessions, "invoices-42", { user: "ada" });
const { run } = session.durable(new Runner());

if ((await session.session.waiting()) === null) {
  const result = await run(agent, "Pay invoice No. 7, please.");
  for (const { name } of result.interruptions) console.log(`${name} waits for an approval`);
  await session.pause(result.state);
} else {
  const state = await session.resume((text) => RunState.fromString(agent, text));
  for (const interruption of state.getInterruptions()) state.approve(interruption);
  console.log((await run(agent, state)).finalOutput);
}

for await (const { seq, status, output } of session.session.turns())
  console.log(`turn ${seq}, ${status}: ${output.length} messages of the agent`);
