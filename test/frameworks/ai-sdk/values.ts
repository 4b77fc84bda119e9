/** Values and ids of any form, in chats of the AI SDK. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import type { UIMessage } from "ai";
import { randomUUID } from "node:crypto";
import { chats } from "../../../src/adapters/ai.ts";
import { testsOfValues } from "../hostile-values.ts";

testsOfValues("ai-sdk", (sessions) => ({
  write: async (id, value) => {
    const chat = await chats<UIMessage>(sessions).open(id);
    const lastSeen = chat.messages.at(-1)?.id;
    const message = { id: randomUUID(), role: "user" as const, parts: [{ type: "text" as const, text: "Hi" }] };
    await chat.add({ ...message, metadata: { value } }, lastSeen === undefined ? {} : { lastSeen });
  },
  read: async (id) =>
    (await chats<UIMessage>(sessions).open(id)).messages.map(
      ({ metadata }) => (metadata as { readonly value: unknown }).value,
    ),
}));
