/** OpenAI's words for the reasons that the AI SDK knows. An answer that ended for another one has the provider's word. */
export const finishReasons: ReadonlyMap<unknown, string> = new Map([
  ["stop", "stop"],
  ["length", "length"],
  ["content-filter", "content_filter"],
  ["tool-calls", "tool_calls"],
]);
