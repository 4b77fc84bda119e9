/**
 * A thread of assistant-ui whose answers the session gives: `npm install @assistant-ui/core`, then run this file twice. A tool waits for
 * the approval of the user, and the second run gives it. The model is scripted, so it needs no key; a page has
 * `useLocalRuntime(model, { adapters: { history } })`.
 */
import { LocalRuntimeCore } from "@assistant-ui/core/internal";
import { openSessions, withTools, type Model, type Tool } from "perdure";
import { assistantSession } from "perdure/assistant-ui";

const scripted: Model = async function* ({ messages }) {
  const last = messages.at(-1);
  if (last?.role === "tool") yield { type: "text", text: `Done: ${String(last.content)}` };
  else {
    const call = { id: "call-1", type: "function" as const, function: { name: "pay", arguments: '{"euros":12}' } };
    yield { type: "message", message: { role: "assistant", content: null, tool_calls: [call] } };
  }
};
const pay: Tool = {
  name: "pay",
  description: "Pays an amount.",
  parameters: { type: "object", properties: { euros: { type: "number" } } },
  approve: true,
  run: ({ euros }) => `${String(euros)} euros are paid`,
};

// A page has `connect({ url, key, fetch })` of `perdure/client` in this place, and the server has the model.
const model: Model = Object.assign((request: Parameters<Model>[0]) => loop(request), { runsTools: true });
await using sessions = await openSessions({ store: "sqlite:assistant-session.db", model });
const loop = withTools(scripted, [pay], { session: await sessions.ensure("thread-1") });

const { model: chatModel, history } = assistantSession(sessions, "thread-1");
const runtime = new LocalRuntimeCore({ adapters: { chatModel, history } }, undefined);
const thread = runtime.threads.getMainThreadRuntimeCore();
await thread.__internal_load();

if (thread.messages.length === 0)
  await thread.append({
    parentId: null,
    sourceId: null,
    role: "user",
    content: [{ type: "text", text: "Pay 12 euros." }],
    attachments: [],
    metadata: { custom: {} },
    createdAt: new Date(),
    runConfig: undefined,
    startRun: true,
  });
else {
  // The button of the page calls `respondToApproval({ approved: true })` of the part.
  for (const part of thread.messages.at(-1)!.content)
    if (part.type === "tool-call" && part.approval?.approved === undefined && part.approval !== undefined)
      await thread.respondToToolApproval({ approvalId: part.approval.id, approved: true });
  await new Promise<void>((resolve) => {
    const isDone = (): boolean => thread.messages.at(-1)?.status?.type === "complete";
    thread.subscribe(() => isDone() && resolve());
    if (isDone()) resolve();
  });
}
for (const { role, content } of thread.messages)
  for (const part of content) {
    if (part.type === "text") console.log(`${role}: ${part.text}`);
    if (part.type === "tool-call")
      console.log(`${role} calls ${part.toolName}: ${part.result ?? "waits for an approval"}`);
  }
