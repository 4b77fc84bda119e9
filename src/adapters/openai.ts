/**
 * A model behind any OpenAI-compatible endpoint (OpenAI, Ollama, vLLM, LM Studio …), through the official `openai`
 * client. It streams chat completions:
 * https://platform.openai.com/docs/api-reference/chat/streaming
 *
 * @module perdure/openai
 */
import {
  SessionError,
  type Message,
  type Model,
  type ModelEvent,
  type ModelRequest,
  type ToolCall,
  type Usage,
  type Expectation,
} from "../index.ts";

/** Endpoint, limits and retries. */
export interface OpenaiOptions {
  /** @default OPENAI_BASE_URL, else OpenAI's own */
  readonly baseURL?: string;
  /** @default OPENAI_API_KEY; local servers accept any */
  readonly apiKey?: string;
  /** Default model, if neither agent nor call names one. */
  readonly model?: string;
  /** Your own `OpenAI` client, instead of base URL and key. */
  readonly client?: OpenaiClient;
  /**
   * The longest silence within an answer, ms.
   * @default 120 000
   */
  readonly timeoutMs?: number;
  /**
   * Retries of a request before its answer begins, with the client's backoff.
   * @default the client's own: 2
   */
  readonly maxRetries?: number;
}

/** The methods of the official client that are called. */
export interface OpenaiClient {
  readonly chat: { readonly completions: { readonly create: (...args: never[]) => unknown } };
}

/** The fields of a streamed chunk that are read. Servers omit or null what they do not have. */
interface CompletionChunk {
  readonly model?: string | null;
  readonly choices?:
    | readonly {
        readonly delta?: {
          readonly content?: string | null;
          readonly tool_calls?: readonly ToolCallPiece[] | null;
        } | null;
        readonly finish_reason?: string | null;
      }[]
    | null;
  readonly usage?: {
    readonly prompt_tokens?: number;
    readonly completion_tokens?: number;
    readonly total_tokens?: number;
  } | null;
}

interface ToolCallPiece {
  readonly index?: number | null;
  readonly id?: string | null;
  readonly function?: { readonly name?: string | null; readonly arguments?: string | null } | null;
}

type CreateStream = (
  body: Record<string, unknown>,
  options: { signal: AbortSignal; timeout: number; maxRetries: number | undefined },
) => PromiseLike<AsyncIterable<CompletionChunk>>;

/**
 * The model at an endpoint. The client is loaded at the first call.
 * @throws SessionError `argument_invalid`; at the call: `model_refused` (400, 401, 403, 404 …), `model_failed` (429,
 *   5xx, no connection, a stream that breaks or falls silent)
 */
export function openaiModel(options: OpenaiOptions = {}): Model {
  checkOptions(options);
  let client: Promise<OpenaiClient> | undefined;
  return async function* answer(request) {
    client ??= options.client === undefined ? loadClient(options) : Promise.resolve(options.client);
    yield* stream(await client, request, options);
  };
}

function checkOptions({ baseURL, timeoutMs, maxRetries }: OpenaiOptions): void {
  const check = (name: string, value: string | number | undefined, holds: boolean, expectation: Expectation): void => {
    if (value === undefined || holds) return;
    const shown = typeof value === "string" ? JSON.stringify(value) : String(value);
    throw new SessionError("argument_invalid", { name, value: shown, ...expectation });
  };
  const timerMax = 2 ** 31 - 1;
  const isWhole = (value: number | undefined, min: number): boolean =>
    Number.isSafeInteger(value) && value! >= min && value! <= timerMax;
  check("baseURL", baseURL, URL.canParse(baseURL ?? ""), { expected: "url" });
  check("timeoutMs", timeoutMs, isWhole(timeoutMs, 1), { expected: "whole_number", min: 1, max: timerMax });
  check("maxRetries", maxRetries, isWhole(maxRetries, 0), { expected: "whole_number" });
}

async function loadClient({ baseURL, apiKey }: OpenaiOptions): Promise<OpenaiClient> {
  const { OpenAI } = await import("openai").catch((error: unknown) => {
    const reason = "the package openai is not installed; run npm install openai";
    throw new SessionError("model_refused", { reason }, { cause: error });
  });
  // An empty variable counts as unset, as in the client.
  const endpoint = baseURL ?? (process.env["OPENAI_BASE_URL"]?.trim() || undefined);
  const key =
    apiKey ?? (process.env["OPENAI_API_KEY"]?.trim() || undefined) ?? (endpoint === undefined ? undefined : "none");
  try {
    return new OpenAI({
      // The client would log parts of answers.
      logLevel: "off",
      baseURL: endpoint,
      apiKey: key,
    });
  } catch (error) {
    // No key for OpenAI's own endpoint.
    throw new SessionError("model_refused", { reason: (error as Error).message }, { cause: error });
  }
}

async function* stream(
  client: OpenaiClient,
  request: ModelRequest,
  options: OpenaiOptions,
): AsyncGenerator<ModelEvent, void, undefined> {
  const { maxRetries, timeoutMs = 120_000 } = options;
  const model = request.model ?? options.model;
  if (model === undefined) {
    throw new SessionError("model_refused", { reason: "no model is named; name one for the agent or in the call" });
  }
  const silence = new AbortController();
  const signal = AbortSignal.any([request.signal, silence.signal]);
  let timer: NodeJS.Timeout | undefined;
  const listen = (): void => {
    timer = setTimeout(() => silence.abort(), timeoutMs);
  };
  const calls = new ToolCalls();
  let begun = false;
  let finished = false;
  try {
    const { completions } = client.chat;
    const create = completions.create.bind(completions) as unknown as CreateStream;
    const body = {
      model,
      messages: request.messages.map(toWire),
      // An empty list is refused by some endpoints.
      ...(request.tools === undefined || request.tools.length === 0
        ? {}
        : { tools: request.tools.map((tool) => ({ type: "function", function: tool })) }),
      stream: true,
      stream_options: { include_usage: true },
    };
    let answeredBy: string | undefined;
    // Until the answer begins, the client applies the timeout to each attempt.
    const chunks = await create(body, { signal, timeout: timeoutMs, maxRetries });
    begun = true;
    listen();
    for await (const chunk of chunks) {
      // Time that the caller takes for an event is not silence of the endpoint.
      clearTimeout(timer);
      if (typeof chunk !== "object" || chunk === null) throw new TypeError("a chunk is not an object");
      if (typeof chunk.model === "string" && chunk.model !== "" && answeredBy === undefined) {
        answeredBy = chunk.model;
        yield { type: "model", model: chunk.model };
      }
      const [choice] = chunk.choices ?? [];
      const text = choice?.delta?.content;
      if (typeof text === "string" && text !== "") yield { type: "text", text };
      calls.add(choice?.delta?.tool_calls ?? []);
      if (typeof choice?.finish_reason === "string") finished = true;
      const usage = usageOf(chunk);
      if (usage !== undefined) yield { type: "usage", usage };
      listen();
    }
  } catch (error) {
    request.signal.throwIfAborted();
    if (error instanceof SessionError) throw error;
    throw silence.signal.aborted
      ? failure(`nothing came for ${timeoutMs} ms`, error)
      : modelError(error, { client, begun });
  } finally {
    clearTimeout(timer);
  }
  request.signal.throwIfAborted();
  if (silence.signal.aborted) throw failure(`nothing came for ${timeoutMs} ms`, undefined);
  if (!finished) throw failure("the stream ended before the answer did", undefined);
  if (!calls.isEmpty) yield { type: "message", message: calls.message() };
}

/** The fields of a message that providers know; an application's other fields are not sent. */
function toWire(message: Message): Record<string, unknown> {
  const { role, content, name, tool_calls: toolCalls, tool_call_id: toolCallId } = message;
  return {
    role,
    content: content ?? null,
    ...(name == null ? {} : { name }),
    ...(toolCalls === undefined || toolCalls === null || toolCalls.length === 0
      ? {}
      : { tool_calls: toolCalls.map(({ id, function: called }) => ({ id, type: "function", function: called })) }),
    ...(toolCallId == null ? {} : { tool_call_id: toolCallId }),
  };
}

/** The usage that the endpoint counted; some send none, some an empty object. */
function usageOf({ usage }: CompletionChunk): Usage | undefined {
  const { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: totalTokens } = usage ?? {};
  if (!isCount(inputTokens) || !isCount(outputTokens)) return undefined;
  return { inputTokens, outputTokens, totalTokens: isCount(totalTokens) ? totalTokens : inputTokens + outputTokens };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

interface ToolCallInProgress {
  id: string;
  name: string;
  arguments: string;
}

/** Limits memory if an endpoint never stops: the default limit of a turn. */
const toolCallsLengthMax = 8 * 1024 * 1024;
/** Minimum size of a call beside its text. */
const callOverhead = 64;

/**
 * Assembles tool calls from chunks. A chunk belongs to the call with its index; but some servers omit the index or send
 * the same for all calls, so a new id always starts a new call.
 */
class ToolCalls {
  readonly #calls: ToolCallInProgress[] = [];
  /** The latest call of each index. */
  readonly #byIndex = new Map<number, ToolCallInProgress>();
  #length = 0;

  /** @throws SessionError `model_failed` if the calls exceed the limit of a turn */
  add(pieces: readonly ToolCallPiece[]): void {
    for (const { index, id, function: called } of pieces) {
      let call = typeof index === "number" ? this.#byIndex.get(index) : this.#calls.at(-1);
      const isOther = id != null && id !== "" && call?.id !== "" && call?.id !== id;
      if (call === undefined || isOther) {
        call = { id: "", name: "", arguments: "" };
        this.#calls.push(call);
        if (typeof index === "number") this.#byIndex.set(index, call);
        this.#length += callOverhead;
      }
      if (id != null && id !== "") call.id = id;
      call.name += called?.name ?? "";
      call.arguments += called?.arguments ?? "";
      this.#length += (called?.name ?? "").length + (called?.arguments ?? "").length;
      if (this.#length > toolCallsLengthMax)
        throw failure(`the tool calls of one answer are over ${toolCallsLengthMax} characters`, undefined);
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

function modelError(error: unknown, { client, begun }: { client: OpenaiClient; begun: boolean }): SessionError {
  const { status, code, message } = error as { status?: unknown; code?: unknown; message?: unknown };
  const { reason, cause } = withoutKey(typeof message === "string" ? message : "unknown", error, client);
  // Within a stream the HTTP status was 200; vLLM and others put the real status into `code`.
  const isStatus = (value: unknown): value is number => isCount(value) && value >= 400 && value <= 599;
  const httpStatus = [status, code].find(isStatus);
  if (httpStatus === undefined && begun) return failure(`the stream broke off: ${reason}`, cause);
  if (httpStatus === undefined) {
    const { code } = ((error as { cause?: { cause?: unknown } }).cause?.cause ?? {}) as { code?: unknown };
    // No response at all: name the host, so that it can be checked.
    return failure(typeof code === "string" ? `${reason} (${code}${hostOf(client)})` : reason, cause);
  }
  // 408, 409, 429 and 5xx are temporary; any other 4xx refuses this request for good.
  const passing = httpStatus >= 500 || [408, 409, 429].includes(httpStatus);
  return new SessionError(passing ? "model_failed" : "model_refused", { reason, httpStatus }, { cause });
}

/** A short reason on one line. An endpoint that echoes its key must not bring it into a log. */
function withoutKey(message: string, error: unknown, client: OpenaiClient): { reason: string; cause: unknown } {
  const { apiKey } = client as { apiKey?: unknown };
  const isSecret = typeof apiKey === "string" && apiKey.length >= 8;
  const safe = isSecret ? message.replaceAll(apiKey, "[key]") : message;
  const reason = safe.replace(/[\s\p{Cc}]+/gu, " ").slice(0, 300);
  return { reason, cause: safe === message ? error : undefined };
}

/** The host that the client calls, without the rest of its URL. */
function hostOf(client: OpenaiClient): string {
  const { baseURL } = client as { baseURL?: unknown };
  return typeof baseURL === "string" && URL.canParse(baseURL) ? ` at ${new URL(baseURL).host}` : "";
}

function failure(reason: string, cause: unknown): SessionError {
  return new SessionError("model_failed", { reason }, { cause });
}
