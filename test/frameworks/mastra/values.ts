/** Values and ids of any form, in messages of Mastra. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { randomUUID } from "node:crypto";
import { perdureMemory } from "../../../src/adapters/mastra.ts";
import { testsOfValues } from "../hostile-values.ts";
import { messageOf, threadOf } from "./messages.ts";

testsOfValues("mastra", async (sessions) => {
  const memory = await perdureMemory(sessions);
  let at = 0;
  return {
    write: async (threadId, value) => {
      if ((await memory.getThreadById({ threadId })) === null) await memory.saveThread({ thread: threadOf(threadId) });
      const message = { ...messageOf(randomUUID(), { at: ++at, text: "Hi" }), threadId };
      const content = { ...message.content, metadata: { value } };
      await memory.saveMessages({ messages: [{ ...message, content }] });
    },
    read: async (threadId) =>
      (await memory.listMessages({ threadId, perPage: false })).messages.map(
        ({ content }) => (content.metadata as { readonly value: unknown }).value,
      ),
  };
});
