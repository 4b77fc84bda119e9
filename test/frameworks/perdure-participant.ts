/** Perdure itself in the tests between frameworks: its models, its server and its command line read turns in this form. */
import { dataUrl, plain, sample, type Participant } from "./participant.ts";
import type { ToolCall } from "../../src/index.ts";

const asked = ({ id, tool: name, input }: { id: string; tool: string; input: object }): ToolCall => ({
  id,
  type: "function",
  function: { name, arguments: JSON.stringify(input) },
});

export const participant: Participant = {
  name: "Perdure",
  page: "../guide/2-sessions-and-turns.md",
  format: "openai",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    const [found, failed] = sample.calls;
    const { name: filename } = sample.file;
    const session = await sessions.ensure(id);
    await session.append({
      input: [
        { role: "system", content: sample.system },
        {
          role: "user",
          name: sample.name,
          content: [
            { type: "text", text: sample.question },
            { type: "image_url", image_url: { url: dataUrl(sample.picture) } },
            { type: "file", file: { filename, file_data: dataUrl(sample.file) } },
          ],
        },
      ],
      output: [
        { role: "assistant", content: null, reasoning: sample.reasoning, tool_calls: sample.calls.map(asked) },
        { role: "tool", tool_call_id: found.id, content: found.result },
        { role: "tool", tool_call_id: failed.id, content: failed.failure, is_error: true },
        { role: "assistant", content: sample.answer },
      ],
    });
    await session.append({ input: sample.thanks, output: sample.welcome });
  },
  async read(sessions, id) {
    return plain(await (await sessions.get(id)).messages());
  },
  async goOn(sessions, id, { question, call, result, answer }) {
    const session = await sessions.ensure(id);
    await session.append({
      input: question,
      output: [
        { role: "assistant", content: null, tool_calls: [asked(call)] },
        { role: "tool", tool_call_id: call.id, content: result },
        { role: "assistant", content: answer },
      ],
    });
  },
};
