/** Values and ids of any form, in sessions of the Agents SDK. */
import { openaiSession } from "../../../src/adapters/openai-agents.ts";
import { testsOfValues } from "../hostile-values.ts";

testsOfValues("openai-agents", (sessions) => ({
  write: async (id, value) => {
    const item = { type: "function_call", callId: "c", name: "f", arguments: "{}", providerData: { value } };
    await (await openaiSession(sessions, id)).addItems([item]);
  },
  read: async (id) =>
    (await (await openaiSession(sessions, id)).getItems()).map(
      (item) => (item as { readonly providerData: { readonly value: unknown } }).providerData.value,
    ),
}));
