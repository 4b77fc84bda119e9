/** What the snippets of docs/frameworks/genkit.md use without declaring it. */
export declare const plugins: import("genkit/plugin").GenkitPluginV2[];
export declare const model: import("genkit").ModelArgument;
export declare const sessionId: string;
export declare const sessions: import("perdure").Sessions;
