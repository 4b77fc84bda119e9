/**
 * A thread of CopilotKit in a store: `npm install @copilotkit/runtime @ag-ui/client@0.0.59 rxjs@7.8.1`, then run this file
 * twice. These are the versions that the runtime 1.75.0 depends on: others are other types. The agent is scripted, so it needs no
 * key; the client is that of a page without the page.
 */
import { AbstractAgent, EventType, HttpAgent, type BaseEvent, type RunAgentInput } from "@ag-ui/client";
import { CopilotRuntime, createCopilotRuntimeHandler } from "@copilotkit/runtime/v2";
import { openSessions } from "perdure";
import { copilotRunner } from "perdure/copilotkit";
import { from, type Observable } from "rxjs";

/** An agent that counts the questions. */
class Counter extends AbstractAgent {
  run({ threadId, runId, messages }: RunAgentInput): Observable<BaseEvent> {
    const messageId = crypto.randomUUID();
    const delta = `This is question ${messages.filter(({ role }) => role === "user").length}.`;
    return from<BaseEvent[]>([
      { type: EventType.RUN_STARTED, threadId, runId },
      { type: EventType.TEXT_MESSAGE_START, messageId, role: "assistant" },
      { type: EventType.TEXT_MESSAGE_CONTENT, messageId, delta },
      { type: EventType.TEXT_MESSAGE_END, messageId },
      { type: EventType.RUN_FINISHED, threadId, runId },
    ]);
  }
}

await using sessions = await openSessions("sqlite:copilotkit.db");
const runner = await copilotRunner(sessions, { user: "ada" });
const runtime = new CopilotRuntime({ agents: { default: new Counter() }, runner });
const handler = createCopilotRuntimeHandler({ runtime, basePath: "/api/copilotkit" });

/** A page: it follows its thread when it is loaded. */
class Page extends HttpAgent {
  constructor(threadId: string) {
    // The handler is called without a network here.
    const fetch = async (url: string, init: RequestInit): Promise<Response> => await handler(new Request(url, init));
    super({ url: "http://localhost/api/copilotkit/agent/default/run", threadId, fetch });
  }

  protected override connect(input: RunAgentInput): Observable<BaseEvent> {
    this.url = this.url.replace(/run$/, "connect");
    const events = this.run(input);
    this.url = this.url.replace(/connect$/, "run");
    return events;
  }
}

const page = new Page("thread-1");
await page.connectAgent();
console.log(`${page.messages.length} messages so far`);
page.addMessage({ id: crypto.randomUUID(), role: "user", content: "How many questions?" });
await page.runAgent();
const { role, content } = page.messages.at(-1)!;
console.log(`${role}: ${String(content)}`);
