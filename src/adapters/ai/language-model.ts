/**
 * Language models of the AI SDK, as far as this adapter calls them: the specifications v3 and v4 of `@ai-sdk/provider`.
 * The types are structural, so that the package needs neither of its versions. They differ only in how a file stands in
 * a prompt, and in `reasoning`, which v4 added.
 */

/** A language model of the AI SDK, of specification v3 or v4: `anthropic("…")`, `openai("…")`, `google("…")` … */
export interface AiLanguageModel {
  readonly specificationVersion: "v3" | "v4";
  /** The provider and its API, such as `openai.responses`. */
  readonly provider: string;
  readonly modelId: string;
  /** The URLs that the provider opens itself, by media type. */
  readonly supportedUrls: SupportedUrls | PromiseLike<SupportedUrls>;
  /** Begins an answer: a stream of parts. */
  readonly doStream: (...options: never[]) => PromiseLike<unknown>;
}

/** Patterns of URLs, by media type: `image/*`, `application/pdf`, `*` … */
export type SupportedUrls = Readonly<Record<string, readonly RegExp[]>>;

/** Fields by provider: `{ anthropic: { signature: "…" } }`. */
export type ProviderFields = Record<string, JsonObject>;

export type Json = null | string | number | boolean | JsonObject | Json[];
/** A JSON object; an absent field may be undefined, as in the AI SDK. */
export interface JsonObject {
  [field: string]: Json | undefined;
}

interface WithOptions {
  providerOptions?: ProviderFields;
}

export interface TextPart extends WithOptions {
  type: "text";
  text: string;
}

/** The content of a file in a prompt, as v4 writes it. */
export type FileData =
  | { type: "data"; data: string }
  | { type: "url"; url: URL }
  | { type: "reference"; reference: Record<string, string> };

/** The same as v3 writes it: base64, a URL, or the id of a file at the provider. */
export type FileDataV3 = string | URL;

export interface FilePart<Data> extends WithOptions {
  type: "file";
  data: Data;
  mediaType: string;
  filename?: string;
}

export interface ReasoningPart extends WithOptions {
  type: "reasoning";
  text: string;
}

export interface ToolCallPart extends WithOptions {
  type: "tool-call";
  toolCallId: string;
  toolName: string;
  input: unknown;
  providerExecuted?: boolean;
}

export interface ToolResultPart extends WithOptions {
  type: "tool-result";
  toolCallId: string;
  toolName: string;
  output: { type: "text" | "error-text"; value: string } | { type: "json" | "error-json"; value: Json };
}

/** A part of v4 only. */
export type PartV4 =
  | ({ type: "custom"; kind: `${string}.${string}` } & WithOptions)
  | ({ type: "reasoning-file"; data: Exclude<FileData, { type: "reference" }>; mediaType: string } & WithOptions);

type AnswerPart<Data> = TextPart | FilePart<Data> | ReasoningPart | ToolCallPart | ToolResultPart;

/** A message of a prompt of v4. */
export type PromptMessage =
  | { role: "system"; content: string }
  | { role: "user"; content: (TextPart | FilePart<FileData>)[] }
  | { role: "assistant"; content: (AnswerPart<FileData> | PartV4)[] }
  | { role: "tool"; content: ToolResultPart[] };

/** A message of a prompt of v3. */
export type PromptMessageV3 =
  | { role: "system"; content: string }
  | { role: "user"; content: (TextPart | FilePart<FileDataV3>)[] }
  | { role: "assistant"; content: AnswerPart<FileDataV3>[] }
  | { role: "tool"; content: ToolResultPart[] };

/** The values of `reasoning` in v4. */
export const reasoningEfforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const;

interface CallOptionsOf<Message> {
  prompt: Message[];
  abortSignal: AbortSignal;
  temperature?: number;
  maxOutputTokens?: number;
  tools?: { type: "function"; name: string; description: string; inputSchema: object }[];
  providerOptions?: ProviderFields;
}

/** The options of a call of v3. */
export type CallOptionsV3 = CallOptionsOf<PromptMessageV3>;

/** The options of a call of v4. */
export interface CallOptions extends CallOptionsOf<PromptMessage> {
  reasoning?: (typeof reasoningEfforts)[number];
}

/** The fields of streamed parts that are read, each checked where it is read. */
export interface StreamPart {
  readonly type: string;
  readonly [field: string]: unknown;
}
