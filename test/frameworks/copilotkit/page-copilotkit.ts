/** What the snippets of docs/frameworks/copilotkit.md use without declaring it. */
export declare const agents: Record<string, import("@ag-ui/client").AbstractAgent>;
export declare const sessions: import("perdure").Sessions;
export declare const userOf: (request: Request) => Promise<string>;
