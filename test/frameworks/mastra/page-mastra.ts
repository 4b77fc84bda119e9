/** What the snippets of docs/frameworks/mastra.md use without declaring it. */
export declare const Agent: typeof import("@mastra/core/agent").Agent;
export declare const libsql: import("@mastra/core/storage").MastraCompositeStore;
export declare const id: string;
export declare const name: string;
export declare const instructions: string;
export declare const model: import("@mastra/core/agent").AgentConfig["model"];
