/** What the snippets of docs/frameworks/langgraph.md use without declaring it. */
import type { MessagesAnnotation, StateGraph } from "@langchain/langgraph";

export declare const sessions: import("perdure").Sessions;
export declare const runnable: import("@langchain/core/runnables").Runnable;
export declare const RunnableWithMessageHistory: typeof import("@langchain/core/runnables").RunnableWithMessageHistory;
type Spec = (typeof MessagesAnnotation)["spec"];
type Update = (typeof MessagesAnnotation)["Update"];
export declare const graph: StateGraph<
  Spec,
  (typeof MessagesAnnotation)["State"],
  Update,
  "__start__" | "agent",
  Spec,
  Spec
>;
