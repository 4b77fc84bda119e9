/** Clients of the Model Context Protocol in the tests between frameworks. */
import { dataUrl, plain, sample, type Participant } from "../participant.ts";
import type { Message, Sessions } from "../../../src/index.ts";
import { call, serving } from "./serving.ts";

const asked = ({ id, tool: name, input }: { id: string; tool: string; input: object }): object => ({
  id,
  type: "function",
  function: { name, arguments: JSON.stringify(input) },
});

async function append(sessions: Sessions, session: string, turn: object): Promise<void> {
  await using server = await serving(sessions);
  const key = JSON.stringify(turn).slice(0, 60);
  await call(await server.client(), "session_append", { session, create: {}, key, ...turn });
}

export const participant: Participant = {
  name: "MCP",
  page: "mcp.md",
  format: "openai",
  sessionOf: (id) => id,
  async begin(sessions, id) {
    const [found, failed] = sample.calls;
    const { name: filename } = sample.file;
    await append(sessions, id, {
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
    await append(sessions, id, { input: sample.thanks, output: sample.welcome });
  },
  async read(sessions, id) {
    await using server = await serving(sessions);
    const { turns } = (await call(await server.client(), "session_show", { session: id, last: 100 })) as {
      readonly turns: readonly { readonly input: readonly Message[]; readonly output: readonly Message[] }[];
    };
    return plain(turns.flatMap(({ input, output }) => [...input, ...output]));
  },
  async goOn(sessions, id, { question, call: one, result, answer }) {
    await append(sessions, id, {
      input: question,
      output: [
        { role: "assistant", content: null, tool_calls: [asked(one)] },
        { role: "tool", tool_call_id: one.id, content: result },
        { role: "assistant", content: answer },
      ],
    });
  },
};
