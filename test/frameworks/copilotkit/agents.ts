/** Agents that say what a test scripts, and a runtime of CopilotKit for them, without a network. */
// oxlint-disable-next-line import/no-unassigned-import -- it is imported for what it does
import "./resolve.ts";
import { AbstractAgent, EventType, HttpAgent, type BaseEvent, type Message, type RunAgentInput } from "@ag-ui/client";
import { CopilotRuntime, createCopilotRuntimeHandler } from "@copilotkit/runtime/v2";
import { Observable } from "rxjs";
import { copilotRunner, type CopilotRunner, type CopilotRunnerOptions } from "../../../src/adapters/copilotkit.ts";
import type { Sessions } from "../../../src/index.ts";

/** One event, or a wait before the next one. */
export type Step = BaseEvent | Promise<unknown> | Error;

export function event(type: keyof typeof EventType, fields: object = {}): BaseEvent {
  return { type: EventType[type], ...fields };
}

/** A whole answer. */
export function says(id: string, ...words: readonly string[]): Step[] {
  return [
    event("TEXT_MESSAGE_START", { messageId: id, role: "assistant" }),
    ...words.map((delta) => event("TEXT_MESSAGE_CONTENT", { messageId: id, delta })),
    event("TEXT_MESSAGE_END", { messageId: id }),
  ];
}

/** An agent whose runs say what `script` gives for them; `asked` are the inputs of its runs. */
export class ScriptedAgent extends AbstractAgent {
  readonly asked: RunAgentInput[] = [];
  readonly #script: (input: RunAgentInput) => Iterable<Step>;
  readonly #asked: RunAgentInput[];

  constructor(script: (input: RunAgentInput) => Iterable<Step>, asked: RunAgentInput[] = []) {
    super({ agentId: "default" });
    this.#script = script;
    this.#asked = asked;
    this.asked = asked;
  }

  run(input: RunAgentInput): Observable<BaseEvent> {
    this.#asked.push(input);
    const { threadId, runId } = input;
    return new Observable<BaseEvent>((sink) => {
      void (async () => {
        sink.next(event("RUN_STARTED", { threadId, runId }));
        for (const step of this.#script(input)) {
          if (step instanceof Error) {
            sink.error(step);
            return;
          }
          if (step instanceof Promise) await step;
          else sink.next(step);
        }
        sink.next(event("RUN_FINISHED", { threadId, runId }));
        sink.complete();
      })();
    });
  }

  override clone(): ScriptedAgent {
    return new ScriptedAgent(this.#script, this.#asked);
  }
}

/** A runtime, and clients of it. */
interface Runtime {
  readonly runner: CopilotRunner;
  client(threadId: string, messages?: Message[]): Client;
  stop(threadId: string, body?: object): Promise<unknown>;
}

/** A runtime with one agent. */
export async function runtimeOf(
  sessions: Sessions,
  agent: AbstractAgent,
  options: CopilotRunnerOptions = {},
): Promise<Runtime> {
  const runner = await copilotRunner(sessions, options);
  const runtime = new CopilotRuntime({ agents: { default: agent }, runner });
  const handler = createCopilotRuntimeHandler({ runtime, basePath: "/api" });
  const fetch = async (url: string, init: RequestInit): Promise<Response> => await handler(new Request(url, init));
  return {
    runner,
    client: (threadId, messages = []) => new Client(fetch, threadId, messages),
    async stop(threadId, body = {}) {
      const url = `http://localhost/api/agent/default/stop/${encodeURIComponent(threadId)}`;
      return await (await fetch(url, { method: "POST", body: JSON.stringify(body) })).json();
    },
  };
}

/** The client of CopilotKit, as far as it runs and follows threads. */
export class Client extends HttpAgent {
  readonly events: BaseEvent[] = [];

  constructor(fetch: (url: string, init: RequestInit) => Promise<Response>, threadId: string, messages: Message[]) {
    super({ url: "http://localhost/api/agent/default/run", threadId, initialMessages: messages, fetch });
  }

  /** Ask, and wait for the end of the run. */
  async ask(id: string, content: string, runId?: string): Promise<void> {
    this.addMessage({ id, role: "user", content });
    await this.go(runId);
  }

  async go(runId?: string): Promise<void> {
    await this.runAgent(runId === undefined ? {} : { runId }, this.#watch);
  }

  /** Follow the thread, as a page does that is loaded anew. */
  async follow(): Promise<void> {
    await this.connectAgent({}, this.#watch);
  }

  protected override connect(input: RunAgentInput): Observable<BaseEvent> {
    const url = this.url;
    this.url = url.replace(/run$/, "connect");
    const events = this.run(input);
    this.url = url;
    return events;
  }

  readonly #watch = { onEvent: ({ event: given }: { event: BaseEvent }): void => void this.events.push(given) };

  get texts(): readonly unknown[] {
    return this.messages.map(({ content }) => content);
  }
}
