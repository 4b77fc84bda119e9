/** The names under which programs keep a question and its answer side by side. */

/** The usual one first. */
export const questionNames = ["question", "prompt", "user_message", "query", "user_input", "input"] as const;

/** The usual one first. */
export const answerNames = ["response", "answer", "assistant_message", "completion", "reply", "output"] as const;
