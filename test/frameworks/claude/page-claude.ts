/** What the snippets of docs/frameworks/claude.md use without declaring it. */
export declare const prompt: string;
export declare const sessionId: string;
