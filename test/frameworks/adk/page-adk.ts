/** What the snippets of docs/frameworks/adk.md use without declaring it. */
export declare const agent: import("@google/adk").BaseAgent;
export declare const newMessage: { role: "user"; parts: { text: string }[] };
