/** Sessions of the Agents SDK in the tests between frameworks. */
import { Agent, Runner, setTracingDisabled, tool, type AgentInputItem } from "@openai/agents";
import { assistantMessage, functionCall, ScriptedModel } from "@openai/agents/testing";
import { z } from "zod";
import { openaiSession } from "../../../src/adapters/openai-agents.ts";
import { dataUrl, plain, sample, type Participant } from "../participant.ts";

setTracingDisabled(true);

const call = ({
  id,
  tool: name,
  input,
}: {
  id: string;
  tool: string;
  input: Record<string, unknown>;
}): AgentInputItem => functionCall(name, input, { callId: id });

const resultOf = ({ id, tool: name }: { id: string; tool: string }, text: string): AgentInputItem => ({
  type: "function_call_result",
  callId: id,
  name,
  status: "completed",
  output: { type: "text", text },
});

export const participant: Participant = {
  name: "OpenAI Agents",
  page: "openai-agents.md",
  format: "openai-agents",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    const session = await openaiSession<AgentInputItem>(sessions, id);
    const [found, failed] = sample.calls;
    await session.addItems([
      { role: "system", content: sample.system },
      {
        role: "user",
        content: [
          { type: "input_text", text: sample.question },
          { type: "input_image", image: dataUrl(sample.picture) },
          { type: "input_file", file: dataUrl(sample.file), filename: sample.file.name },
        ],
      },
      { type: "reasoning", content: [{ type: "input_text", text: sample.reasoning }] },
      call(found),
      call(failed),
      resultOf(found, found.result),
      resultOf(failed, failed.failure),
      assistantMessage(sample.answer),
    ]);
    await session.addItems([{ role: "user", content: sample.thanks }, assistantMessage(sample.welcome)]);
  },
  async read(sessions, id) {
    return plain(await (await openaiSession(sessions, id)).getItems());
  },
  async goOn(sessions, id, { question, call: asked, result, answer }) {
    const count = tool({
      name: asked.tool,
      description: "Counts.",
      parameters: z.object({ n: z.number() }),
      execute: () => Promise.resolve(result),
    });
    const model = new ScriptedModel([
      [functionCall(asked.tool, asked.input, { callId: asked.id })],
      [assistantMessage(answer)],
    ]);
    const agent = new Agent({ name: "assistant", model, tools: [count] });
    await new Runner().run(agent, question, { session: await openaiSession(sessions, id) });
  },
};
