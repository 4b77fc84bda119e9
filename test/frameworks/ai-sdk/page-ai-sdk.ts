/** What the snippets of docs/frameworks/ai-sdk.md use without declaring it. */
export declare const model: import("ai").LanguageModel;
export declare const sessions: import("perdure").Sessions;
export declare const store: import("perdure/ai").Chats<import("ai").UIMessage>;
export declare const tools: import("ai").ToolSet;
export declare const metadataSchema: undefined;
export declare const dataSchemas: undefined;
export declare const answer: import("perdure/ai").ChatSocketOptions<import("ai").UIMessage>["answer"];
export declare const userOf: (request: unknown) => string;
interface Socket {
  send(text: string): void;
  close(code?: number): void;
  on(event: string, listener: (data: unknown) => void): void;
}
export declare const server: { on(event: "connection", listener: (ws: Socket, request: unknown) => void): void };
