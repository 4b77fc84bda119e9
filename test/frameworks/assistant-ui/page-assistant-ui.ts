/** What the snippets of docs/frameworks/assistant-ui.md use without declaring it. */
export declare const model: import("@assistant-ui/core").ChatModelAdapter;
export declare const key: string;
export declare const threadId: string;
export declare const throughMyRoute: typeof fetch;
export declare const sessions: ReturnType<typeof import("perdure/client").connect>;
export declare const useMemo: <T>(make: () => T, dependencies: readonly unknown[]) => T;
/** As `@assistant-ui/react` has it. */
export declare const useLocalRuntime: (
  model: import("@assistant-ui/core").ChatModelAdapter,
  options: { adapters: { history: import("@assistant-ui/core").ThreadHistoryAdapter } },
) => unknown;
