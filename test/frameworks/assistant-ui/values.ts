/** Values and ids of any form, in histories of assistant-ui. */
import { randomUUID } from "node:crypto";
import { assistantHistory } from "../../../src/client/assistant-ui.ts";
import { testsOfValues } from "../hostile-values.ts";
import { messageOf } from "./messages.ts";

testsOfValues("assistant-ui", (sessions) => ({
  write: async (id, value) => {
    const history = assistantHistory(sessions, id);
    const { headId } = await history.load();
    const message = { ...messageOf(randomUUID(), "user"), metadata: { custom: { value } } };
    await history.append({ parentId: headId, message });
  },
  read: async (id) =>
    (await assistantHistory(sessions, id).load()).messages.map(
      ({ message }) =>
        (message as { readonly metadata: { readonly custom: { readonly value: unknown } } }).metadata.custom.value,
    ),
}));
