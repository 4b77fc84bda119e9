/**
 * A model behind any OpenAI-compatible endpoint (OpenAI, Ollama, vLLM, LM Studio …), on the official `openai` client.
 * It streams chat completions: https://platform.openai.com/docs/api-reference/chat/streaming
 */
import { SessionError, type Message, type Model, type ModelEvent, type ModelRequest, type ToolCall } from "../index.ts";

/** Which endpoint, and how patient to be with it. */
export interface OpenaiOptions {
  /** @default OPENAI_BASE_URL, else OpenAI's own */
  readonly baseURL?: string;
  /** @default OPENAI_API_KEY; local servers take any */
  readonly apiKey?: string;
  /** The model asked for where neither agent nor call names one. */
  readonly model?: string;
  /** An `OpenAI` client of your own, in the place of base URL and key. */
  readonly client?: OpenaiClient;
  /** The longest silence in an answer, ms. @default 120 000 */
  readonly timeoutMs?: number;
  /** Retries of a request before its answer begins, with the client's own back-off. @default 2 */
  readonly maxRetries?: number;
}

/** The part of the official client that is called. */
export interface OpenaiClient {
  readonly chat: { readonly completions: { readonly create: (...args: never[]) => unknown } };
}

/** The part of a streamed chunk that is read. */
interface CompletionChunk {
  readonly model?: string;
  readonly choices?: readonly {
    readonly delta?: {
      readonly content?: string | null;
      readonly tool_calls?: readonly {
        readonly index: number;
        readonly id?: string;
        readonly function?: { readonly name?: string; readonly arguments?: string };
      }[];
    };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly total_tokens: number;
  } | null;
}

type CreateStream = (
  body: Record<string, unknown>,
  options: { signal: AbortSignal; maxRetries: number },
) => PromiseLike<AsyncIterable<CompletionChunk>>;

/**
 * The model at an endpoint. The client is loaded at the first call.
 * @throws SessionError at the call: `model_refused` (400, 401, 403, 404 …), `model_failed` (429, 5xx, no connection, a
 *   stream that breaks off or falls silent)
 */
export function openaiModel(options: OpenaiOptions = {}): Model {
  let client: Promise<OpenaiClient> | undefined;
  return async function* answer(request) {
    client ??= options.client === undefined ? loadClient(options) : Promise.resolve(options.client);
    yield* stream(await client, request, options);
  };
}

async function loadClient({ baseURL, apiKey }: OpenaiOptions): Promise<OpenaiClient> {
  const { OpenAI } = await import("openai").catch((error: unknown) => {
    const reason = "the package openai is not installed; run npm install openai";
    throw new SessionError("model_refused", { reason }, { cause: error });
  });
  const endpoint = baseURL ?? process.env["OPENAI_BASE_URL"];
  const key = apiKey ?? process.env["OPENAI_API_KEY"] ?? (endpoint === undefined ? undefined : "none");
  return new OpenAI({
    // It would print pieces of answers to the console.
    logLevel: "off",
    ...(endpoint === undefined ? {} : { baseURL: endpoint }),
    ...(key === undefined ? {} : { apiKey: key }),
  });
}

async function* stream(
  client: OpenaiClient,
  request: ModelRequest,
  options: OpenaiOptions,
): AsyncGenerator<ModelEvent, void, undefined> {
  const { maxRetries = 2, timeoutMs = 120_000 } = options;
  const model = request.model ?? options.model;
  if (model === undefined) {
    throw new SessionError("model_refused", { reason: "no model is named; name one for the agent or in the call" });
  }
  const silence = new AbortController();
  const signal = AbortSignal.any([request.signal, silence.signal]);
  let timer = setTimeout(() => silence.abort(), timeoutMs);
  const calls = new ToolCalls();
  let finished = false;
  try {
    const { completions } = client.chat;
    const create = completions.create.bind(completions) as unknown as CreateStream;
    const body = {
      model,
      messages: request.messages.map(toWire),
      stream: true,
      stream_options: { include_usage: true },
    };
    let answeredBy: string | undefined;
    for await (const chunk of await create(body, { signal, maxRetries })) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), timeoutMs);
      if (chunk.model !== undefined && chunk.model !== "" && answeredBy === undefined) {
        answeredBy = chunk.model;
        yield { type: "model", model: chunk.model };
      }
      const [choice] = chunk.choices ?? [];
      const text = choice?.delta?.content;
      if (typeof text === "string" && text !== "") yield { type: "text", text };
      calls.add(choice?.delta?.tool_calls ?? []);
      if (typeof choice?.finish_reason === "string") finished = true;
      if (chunk.usage != null) {
        const { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: totalTokens } = chunk.usage;
        yield { type: "usage", usage: { inputTokens, outputTokens, totalTokens } };
      }
    }
  } catch (error) {
    request.signal.throwIfAborted();
    throw silence.signal.aborted ? failure(`nothing came for ${timeoutMs} ms`, error) : modelError(error, client);
  } finally {
    clearTimeout(timer);
  }
  request.signal.throwIfAborted();
  if (silence.signal.aborted) throw failure(`nothing came for ${timeoutMs} ms`, undefined);
  if (!finished) throw failure("the stream ended before the answer did", undefined);
  if (!calls.isEmpty) yield { type: "message", message: calls.message() };
}

/** The fields of a message that providers know; what else an application keeps in one stays here. */
function toWire(message: Message): Record<string, unknown> {
  const { role, content, name, tool_calls: toolCalls, tool_call_id: toolCallId } = message;
  return {
    role,
    content: content ?? null,
    ...(name === undefined ? {} : { name }),
    ...(toolCalls === undefined || toolCalls === null || toolCalls.length === 0
      ? {}
      : { tool_calls: toolCalls.map(({ id, function: called }) => ({ id, type: "function", function: called })) }),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
  };
}

/** Tool calls arrive in pieces, each with the index of its call. */
class ToolCalls {
  readonly #calls: { id: string; name: string; arguments: string }[] = [];

  add(pieces: NonNullable<NonNullable<NonNullable<CompletionChunk["choices"]>[number]["delta"]>["tool_calls"]>): void {
    for (const piece of pieces) {
      const call = (this.#calls[piece.index] ??= { id: "", name: "", arguments: "" });
      if (piece.id !== undefined) call.id = piece.id;
      call.name += piece.function?.name ?? "";
      call.arguments += piece.function?.arguments ?? "";
    }
  }

  get isEmpty(): boolean {
    return this.#calls.length === 0;
  }

  message(): Message {
    const calls = this.#calls.map(({ id, name, arguments: text }): ToolCall => ({
      id,
      type: "function",
      function: { name, arguments: text },
    }));
    return { role: "assistant", content: null, tool_calls: calls };
  }
}

function modelError(error: unknown, client: OpenaiClient): SessionError {
  const { status, message } = error as { status?: unknown; message?: unknown };
  const reason = typeof message === "string" ? message.slice(0, 300) : "unknown";
  if (typeof status !== "number") {
    const { code } = ((error as { cause?: { cause?: unknown } }).cause?.cause ?? {}) as { code?: unknown };
    // No answer at all: where it was sought is what there is to check.
    return failure(typeof code === "string" ? `${reason} (${code}${hostOf(client)})` : reason, error);
  }
  // 408, 409, 429 and 5xx may pass; the other 4xx say that this request will never do.
  const passing = status >= 500 || status === 408 || status === 409 || status === 429;
  const details = { reason, httpStatus: status };
  return new SessionError(passing ? "model_failed" : "model_refused", details, { cause: error });
}

/** Where the client calls, without what else stands in its address. */
function hostOf(client: OpenaiClient): string {
  const { baseURL } = client as { baseURL?: unknown };
  return typeof baseURL === "string" && URL.canParse(baseURL) ? ` at ${new URL(baseURL).host}` : "";
}

function failure(reason: string, cause: unknown): SessionError {
  return new SessionError("model_failed", { reason }, { cause });
}
