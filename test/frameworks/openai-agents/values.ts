/** Values and ids of any form, in sessions of the Agents SDK. */
import { openaiSession } from "../../../src/adapters/openai-agents.ts";
import { testsOfValues } from "../hostile-values.ts";

testsOfValues("openai-agents", (sessions) => ({
  write: async (id, value) => {
    const item = { type: "function_call", callId: "c", name: "f", arguments: "{}", providerData: { value } };
    await (await openaiSession(sessions, id)).addItems([item]);
  },
  answer: async (id) => {
    const results = { type: "function_call_result", callId: "c", name: "f", status: "completed", output: "seen" };
    const said = {
      type: "message",
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: "Yes." }],
    };
    await (await openaiSession(sessions, id)).addItems([results, said, { role: "user", content: "And?" }]);
  },
  read: async (id) =>
    (await (await openaiSession(sessions, id)).getItems()).map(
      (item) => (item as { readonly providerData: { readonly value: unknown } }).providerData.value,
    ),
}));
