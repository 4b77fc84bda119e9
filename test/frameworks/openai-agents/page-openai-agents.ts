/** What the snippets of docs/frameworks/openai-agents.md use without declaring it. */
export declare const agent: import("@openai/agents").Agent;
export declare const runner: import("@openai/agents").Runner;
export declare const RunState: typeof import("@openai/agents").RunState;
export declare const sessions: import("perdure").Sessions;
export declare const session: import("perdure/openai-agents").OpenAiSession;
export declare const result: Awaited<ReturnType<typeof runner.run<typeof agent>>>;
type Items = readonly import("@openai/agents").AgentInputItem[];
export declare const shortened: (
  items: Items,
  responseId?: string,
) => Promise<import("@openai/agents").AgentInputItem[]>;
