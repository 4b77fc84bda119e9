/**
 * The history of a thread of assistant-ui in a session: `npm install @assistant-ui/core`, then run this file twice. The model is
 * scripted, so it needs no key; a page has `useLocalRuntime(model, { adapters: { history } })`.
 */
import { LocalRuntimeCore } from "@assistant-ui/core/internal";
import { openSessions } from "perdure";
import { assistantHistory } from "perdure/assistant-ui";

// A page has `connect({ url, key, fetch })` of `perdure/client` in this place.
await using sessions = await openSessions("sqlite:assistant-ui.db");
const history = assistantHistory(sessions, "thread-1");

/** A model that counts the questions. */
const chatModel = {
  run: async ({ messages }: { readonly messages: readonly { readonly role: string }[] }) => {
    const asked = messages.filter(({ role }) => role === "user").length;
    return { content: [{ type: "text" as const, text: `This is question ${asked}.` }] };
  },
};

const runtime = new LocalRuntimeCore({ adapters: { chatModel, history } }, undefined);
const thread = runtime.threads.getMainThreadRuntimeCore();
await thread.__internal_load();
console.log(`${thread.messages.length} messages so far`);

await thread.append({
  parentId: thread.messages.at(-1)?.id ?? null,
  sourceId: null,
  role: "user",
  content: [{ type: "text", text: "How many questions?" }],
  attachments: [],
  metadata: { custom: {} },
  createdAt: new Date(),
  runConfig: undefined,
  startRun: true,
});
const stored = await history.load();
const { role, content }: (typeof thread.messages)[number] = stored.messages.at(-1)!.message;
console.log(`${role}: ${content.map((part) => (part.type === "text" ? part.text : "")).join("")}`);
