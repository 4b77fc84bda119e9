import type { Value } from "../../domain/values/codec.ts";
import type { Message, ReportedUsage, ToolCall } from "../../domain/turns/turn.ts";

/**
 * Calls a model and yields its answer as it arrives. It stops when `request.signal` aborts.
 * @throws SessionError `model_refused` if the same request will always fail, `model_failed` if it may succeed later
 */
export interface Model {
  (request: ModelRequest, context?: ModelContext): AsyncIterable<ModelEvent>;
  /**
   * True for a model that runs the calls of `decided` before it answers: `session.approve` takes no other. Models of
   * `withTools` have it; set it on a model of your own that wraps one.
   * @default false
   */
  readonly runsTools?: boolean;
  /**
   * The model without its tools: summaries are asked of it, since the words that it summarizes must not run tools. Models of
   * `withTools` have it.
   * @default the model itself, unless it runs tools
   */
  readonly withoutTools?: Model;
}

/** The model without its tools, for words of a conversation, which must not run tools; undefined where there is none. */
export function toolless(model: Model | undefined): Model | undefined {
  if (model?.withoutTools !== undefined) return toolless(model.withoutTools);
  return model?.runsTools === true ? undefined : model;
}

/** The question of a session, for a model that passes it on to another agent. */
export interface ModelContext {
  /**
   * The same question as a request to another agent: with its instructions, window, model and settings, and the note of
   * the handoff by which it is active.
   * @throws SessionError `agent_unknown`, the store's
   */
  readonly requestTo: (agent: string) => Promise<Omit<ModelRequest, "signal">>;
}

/** A request to a model. */
export interface ModelRequest {
  /** Instructions, window and question, in this order. */
  readonly messages: readonly Message[];
  /** The name of the requested model, as its provider knows it. */
  readonly model?: string;
  /** The agent that answers. */
  readonly agent: string;
  /** The tools that the model may call. @default none */
  readonly tools?: readonly ToolDescription[];
  /** How the model answers. @default the model's own settings */
  readonly settings?: ModelSettings;
  /** The tool calls at the end of `messages` that waited for approval: they come before the next model call. @default none */
  readonly decided?: DecidedCalls;
  readonly signal: AbortSignal;
}

/** The decision about a tool call: it runs, or it is refused, and the model reads why. */
export type Decision = true | { readonly refused: string };

/** Tool calls that waited for approval, and those after them, in order. */
export interface DecidedCalls {
  readonly calls: readonly ToolCall[];
  /** By the id of the call; calls without one needed no approval. */
  readonly decisions: { readonly [callId: string]: Decision };
  /** Model calls of the answer before the wait. */
  readonly requests: number;
}

/** How a model answers. Those of a call replace those of the agent, and these replace the model's own, one by one. */
export interface ModelSettings {
  /** 0 for the most likely words, more for more variety; most providers take up to 1 or 2. */
  readonly temperature?: number;
  /** Maximum number of tokens of one answer, reasoning included. */
  readonly maxTokens?: number;
  /** How long a reasoning model thinks, in the provider's words: "low", "medium", "high" … */
  readonly effort?: string;
  /** The longest silence within an answer, ms. @default 120 000 */
  readonly timeoutMs?: number;
  /** More fields of the request, as the provider knows them; an object. */
  readonly body?: { readonly [field: string]: Value };
}

/** The description of a tool for a model. */
export interface ToolDescription {
  /** 1 to 64 of the characters a-z, A-Z, 0-9, _ and -. */
  readonly name: string;
  /** Its purpose, and when to call it. */
  readonly description: string;
  /** A JSON Schema of its arguments: an object. */
  readonly parameters: { readonly [keyword: string]: Value };
}

/** A part of a model's answer. */
export type ModelEvent =
  /** A piece of the answer's text. */
  | { readonly type: "text"; readonly text: string }
  /** A whole message: tool calls, or the results of tools that the model's side ran. */
  | { readonly type: "message"; readonly message: Message }
  /** A piece of the model's reasoning, for display while it thinks; it is no part of the answer. */
  | { readonly type: "reasoning"; readonly text: string }
  /** Why the answer ended: "stop", "length", "content_filter", "tool_calls", "refusal", or the provider's own word. */
  | { readonly type: "finish"; readonly reason: string }
  /** The usage, as the provider counted it. */
  | { readonly type: "usage"; readonly usage: ReportedUsage }
  /** The number of model calls so far, if the answer takes more than one. */
  | { readonly type: "requests"; readonly requests: number }
  /** The end of one model call of several, with its usage. */
  | { readonly type: "step"; readonly usage: ReportedUsage }
  /**
   * The tool calls whose tools have not begun to run. If the answer ends here, their results say that they did not run, and
   * those of other calls without a result that they may have run.
   */
  | { readonly type: "waiting"; readonly calls: readonly ToolCall[] }
  /** The answer waits for the approval of these tool calls. Those of `notRun` that are not in `asks` run after them. */
  | { readonly type: "approval"; readonly asks: readonly string[]; readonly notRun: readonly ToolCall[] }
  /** Another agent continues the answer; the turn and its steps name it. */
  | { readonly type: "agent"; readonly agent: string }
  /** The model that answered. */
  | { readonly type: "model"; readonly model: string };
