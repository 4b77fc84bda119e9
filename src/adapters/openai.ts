/**
 * A model behind any OpenAI-compatible endpoint (OpenAI, Ollama, vLLM, LM Studio …), through the official `openai`
 * client. It streams chat completions:
 * https://platform.openai.com/docs/api-reference/chat/streaming
 *
 * @module perdure/openai
 */
import {
  parseModelSettings,
  SessionError,
  type Expectation,
  type Model,
  type ModelEvent,
  type ModelRequest,
  type ModelSettings,
} from "../index.ts";
import { guardObject, guardSwitch } from "../domain/values/option-names.ts";
import { failure } from "./model/failure.ts";
import { defaultTimeoutMs, Silence } from "./model/silence.ts";
import { StreamedAnswer, type CompletionChunk } from "./openai/answer.ts";
import { loadClient, type OpenaiClient } from "./openai/client.ts";
import { modelError } from "./openai/failure.ts";
import { learnLimit, requestBody, type EndpointLimits } from "./openai/request.ts";

export type { OpenaiClient } from "./openai/client.ts";

/** Endpoint, limits, retries, and the settings of calls and agents that name none. */
export interface OpenaiOptions extends ModelSettings {
  /** @default OPENAI_BASE_URL, else OpenAI's own */
  readonly baseURL?: string;
  /** @default OPENAI_API_KEY; an endpoint with a base URL of yours may need none */
  readonly apiKey?: string;
  /** Default model, if neither agent nor call names one. */
  readonly model?: string;
  /** Your own `OpenAI` client, instead of base URL and key. */
  readonly client?: OpenaiClient;
  /**
   * Retries of a request before its answer begins, with the client's backoff.
   * @default the client's own: 2
   */
  readonly maxRetries?: number;
  /**
   * False for an endpoint that refuses the fields of another provider in assistant messages (reasoning, signatures). An
   * endpoint whose refusal names such a field is asked again without them, and remembered.
   * @default true
   */
  readonly providerFields?: boolean;
}

type CreateStream = (
  body: Record<string, unknown>,
  options: { signal: AbortSignal; timeout: number; maxRetries: number | undefined },
) => PromiseLike<AsyncIterable<CompletionChunk>>;

/** One endpoint, and what was learned of it. */
interface Endpoint {
  readonly client: OpenaiClient;
  readonly limits: EndpointLimits;
}

/**
 * The model at an endpoint. The client is loaded at the first call. An endpoint that refuses `stream_options`, the name of
 * the field for the maximum number of tokens, or another provider's fields is asked again without them.
 * @throws SessionError `argument_invalid`, also where there is no key and no base URL; at the call: `model_refused` (400,
 *   401, 403, 404 …), `model_failed` (429, 5xx, no connection, a stream that breaks or falls silent)
 */
export function openaiModel(options: OpenaiOptions = {}): Model {
  guardObject(options, "openaiModel");
  guardSwitch(options, "providerFields");
  const { baseURL, apiKey, model, client, maxRetries, providerFields, ...settings } = options;
  checkOptions({ baseURL, maxRetries });
  parseModelSettings(settings, "openaiModel");
  const address = baseURL ?? environment("OPENAI_BASE_URL");
  const key = apiKey ?? environment("OPENAI_API_KEY") ?? (address === undefined ? undefined : "none");
  if (client === undefined && key === undefined)
    throw new SessionError("argument_invalid", { name: "apiKey", expected: "credentials" });
  const open = async (): Promise<Endpoint> => {
    const opened = client ?? (await loadClient(address, key));
    const { baseURL: host = "" } = opened as { baseURL?: string };
    const maxTokensField = /^https:\/\/[^/]*\bopenai\.(?:com|azure\.com)\b/.test(host)
      ? "max_completion_tokens"
      : "max_tokens";
    return {
      client: opened,
      limits: { streamOptions: true, providerFields: providerFields ?? true, anyCallId: true, maxTokensField },
    };
  };
  let endpoint: Promise<Endpoint> | undefined;
  return async function* answer(request) {
    endpoint ??= open();
    const named = request.model ?? model;
    if (named === undefined) throw new SessionError("model_refused", { problem: "model_unnamed" });
    yield* stream(await endpoint, request, {
      model: named,
      settings: { ...settings, ...request.settings },
      maxRetries,
    });
  };
}

/** An empty variable counts as unset, as in the client. */
function environment(name: string): string | undefined {
  return process.env[name]?.trim() || undefined;
}

function checkOptions({ baseURL, maxRetries }: Record<"baseURL" | "maxRetries", string | number | undefined>): void {
  const check = (name: string, value: string | number | undefined, holds: boolean, expectation: Expectation): void => {
    if (value === undefined || holds) return;
    const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
    throw new SessionError("argument_invalid", { name, value: shown, ...expectation });
  };
  check("baseURL", baseURL, typeof baseURL === "string" && URL.canParse(baseURL), { expected: "url" });
  const isWhole = Number.isSafeInteger(maxRetries) && (maxRetries as number) >= 0;
  check("maxRetries", maxRetries, isWhole, { expected: "whole_number" });
}

interface StreamOptions {
  readonly model: string;
  readonly settings: ModelSettings;
  readonly maxRetries: number | undefined;
}

/** One request, and its answer as it arrives. */
async function* stream(
  endpoint: Endpoint,
  request: ModelRequest,
  { model, settings, maxRetries }: StreamOptions,
): AsyncGenerator<ModelEvent, void, undefined> {
  const { client } = endpoint;
  const { timeoutMs = defaultTimeoutMs } = settings;
  const silence = new Silence(request.signal, timeoutMs);
  const answer = new StreamedAnswer();
  let begun = false;
  try {
    let answeredBy: string | undefined;
    // Until the answer begins, the client applies the timeout to each attempt.
    const chunks = await createStream(endpoint, (limits) => requestBody(request, { model, settings, limits }), {
      signal: silence.signal,
      timeout: timeoutMs,
      maxRetries,
    });
    begun = true;
    silence.listen();
    for await (const chunk of chunks) {
      silence.pause();
      if (typeof chunk !== "object" || chunk === null) throw new TypeError("a chunk is not an object");
      if (typeof chunk.model === "string" && chunk.model !== "" && answeredBy === undefined) {
        answeredBy = chunk.model;
        yield { type: "model", model: chunk.model };
      }
      const { text, reasoning, usage } = answer.add(chunk);
      if (reasoning !== "") yield { type: "reasoning", text: reasoning };
      if (text !== "") yield { type: "text", text };
      if (usage !== undefined) yield { type: "usage", usage };
      silence.listen();
    }
  } catch (error) {
    request.signal.throwIfAborted();
    if (error instanceof SessionError) throw error;
    silence.throwIfAborted(error);
    throw modelError(error, { client, begun });
  } finally {
    silence.pause();
  }
  silence.throwIfAborted();
  const { message, finishReason } = answer;
  if (finishReason === undefined) throw failure({ problem: "answer_incomplete" });
  if (message?.tool_calls !== undefined) yield { type: "waiting", calls: message.tool_calls };
  if (message !== undefined) yield { type: "message", message };
  yield { type: "finish", reason: finishReason };
}

/** How often a request is changed after what its endpoint refuses of it. */
const changesMax = 4;

async function createStream(
  { client, limits }: Endpoint,
  bodyFor: (limits: EndpointLimits) => Record<string, unknown>,
  options: Parameters<CreateStream>[1],
): Promise<AsyncIterable<CompletionChunk>> {
  const { completions } = client.chat;
  const create = completions.create.bind(completions) as unknown as CreateStream;
  for (let changes = 0; ; changes++) {
    const body = bodyFor(limits);
    try {
      return await create(body, options);
    } catch (error) {
      const isLearned = changes < changesMax && learnLimit(modelError(error, { client, begun: false }), body, limits);
      if (!isLearned) throw error;
    }
  }
}
