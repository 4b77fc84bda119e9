import type { Value } from "../../domain/values/codec.ts";
import type { Message, ReportedUsage } from "../../domain/turns/turn.ts";

/**
 * Calls a model and yields its answer as it arrives. It stops when `request.signal` aborts.
 * @throws SessionError `model_refused` where the same request will never be answered, `model_failed` where it may be
 */
export type Model = (request: ModelRequest) => AsyncIterable<ModelEvent>;

/** What a model is asked. */
export interface ModelRequest {
  /** Instructions, window and question, in this order. */
  readonly messages: readonly Message[];
  /** The name of the model wanted, as its provider knows it. */
  readonly model?: string;
  /** The agent that answers. */
  readonly agent: string;
  /** What the model may call. @default nothing */
  readonly tools?: readonly ToolDescription[];
  /** How the model answers. @default the model's own settings */
  readonly settings?: ModelSettings;
  readonly signal: AbortSignal;
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

/** A tool, as a model is told of it. */
export interface ToolDescription {
  /** 1 to 64 of the characters a-z, A-Z, 0-9, _ and -. */
  readonly name: string;
  /** What it does, and when to call it. */
  readonly description: string;
  /** A JSON Schema of its arguments: an object. */
  readonly parameters: { readonly [keyword: string]: Value };
}

/** What a model says, piece by piece. */
export type ModelEvent =
  /** A piece of the answer's text. */
  | { readonly type: "text"; readonly text: string }
  /** A whole message: tool calls, or the results of tools that the model's side ran. */
  | { readonly type: "message"; readonly message: Message }
  /** A piece of the model's reasoning, for display while it thinks; it is no part of the answer. */
  | { readonly type: "reasoning"; readonly text: string }
  /** Why the answer ended: "stop", "length", "content_filter", "tool_calls", "refusal", or the provider's own word. */
  | { readonly type: "finish"; readonly reason: string }
  /** What it cost, as the provider counted. */
  | { readonly type: "usage"; readonly usage: ReportedUsage }
  /** How many calls of a model the answer has taken so far, where it takes more than one. */
  | { readonly type: "requests"; readonly requests: number }
  /** A call of a model is done, one of perhaps several, and took this by itself. */
  | { readonly type: "step"; readonly usage: ReportedUsage }
  /** Which model answered. */
  | { readonly type: "model"; readonly model: string };
