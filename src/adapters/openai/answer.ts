import type { Message, ReportedUsage, ToolCall, Value } from "../../index.ts";
import { failure } from "../model/failure.ts";
import { argumentsOf, callOverhead, lengthMax, uniqueCallId } from "../model/tool-call.ts";

/** The fields of a streamed chunk that are read. Servers omit or null what they do not have. */
export interface CompletionChunk {
  readonly model?: string | null;
  readonly choices?: readonly Choice[] | null;
  readonly usage?: WireUsage | null;
  /** Groq reports its usage here. */
  readonly x_groq?: { readonly usage?: WireUsage | null } | null;
}

interface Choice {
  readonly delta?: Delta | null;
  /** A few servers send whole messages instead of deltas. */
  readonly message?: Delta | null;
  readonly finish_reason?: string | null;
  /** Moonshot reports its usage here. */
  readonly usage?: WireUsage | null;
}

interface Delta {
  readonly content?: unknown;
  readonly refusal?: unknown;
  readonly tool_calls?: readonly ToolCallPiece[] | null;
  readonly [key: string]: unknown;
}

interface ToolCallPiece {
  readonly index?: number | null;
  readonly id?: string | null;
  readonly function?: { readonly name?: string | null; readonly arguments?: unknown } | null;
  readonly [key: string]: unknown;
}

interface WireUsage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly total_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  readonly completion_tokens_details?: { readonly reasoning_tokens?: number } | null;
  /** DeepSeek's name for cached tokens. */
  readonly prompt_cache_hit_tokens?: number;
}

/** The events that one chunk adds to the answer. */
export interface Piece {
  readonly text: string;
  readonly reasoning: string;
  readonly usage: ReportedUsage | undefined;
}

/**
 * Puts a streamed answer together. Text is given on at once; tool calls and the fields that only the provider knows
 * (signatures, reasoning) are kept until the end, for one message.
 */
export class StreamedAnswer {
  readonly #calls = new ToolCalls();
  readonly #fields = new ProviderFields();
  /** Why the answer ended, in the provider's words; undefined while it has not. */
  finish: string | undefined;
  #isRefusal = false;
  #hasUsage = false;

  /** @throws SessionError `model_failed` for an answer that is larger than a turn may be */
  add(chunk: CompletionChunk): Piece {
    const [choice] = chunk.choices ?? [];
    const delta = choice?.delta ?? choice?.message ?? {};
    const { content, refusal, tool_calls: calls, role: _role, ...unknown } = delta;
    const refused = typeof refusal === "string" ? refusal : "";
    this.#isRefusal ||= refused !== "";
    this.#calls.add(calls ?? []);
    this.#fields.add(unknown);
    if (typeof choice?.finish_reason === "string" && choice.finish_reason !== "") this.finish = choice.finish_reason;
    const [text, thought] = textsOf(content);
    const reasoning = thought + (stringOf(delta["reasoning_content"]) || stringOf(delta["reasoning"]));
    return { text: text + refused, reasoning, usage: this.#usage(chunk) };
  }

  /** The words of OpenAI for how the answer ended. A refusal ends with `stop` on the wire. */
  get finishReason(): string | undefined {
    const finish = finishWords.get(this.finish?.toLowerCase() ?? "") ?? this.finish;
    return this.#isRefusal && finish === "stop" ? "refusal" : finish;
  }

  /** The message that completes the text: tool calls and provider fields; undefined where there are neither. */
  get message(): Message | undefined {
    const calls = this.#calls.all();
    const fields = this.#fields.all;
    if (calls.length === 0 && Object.keys(fields).length === 0) return undefined;
    return { ...fields, role: "assistant", content: null, ...(calls.length === 0 ? {} : { tool_calls: calls }) };
  }

  /** Some endpoints repeat the usage, and end with one of zeros. */
  #usage({ usage, x_groq: groq, choices }: CompletionChunk): ReportedUsage | undefined {
    const found = usage ?? choices?.[0]?.usage ?? groq?.usage ?? {};
    const { prompt_tokens: inputTokens, completion_tokens: outputTokens, total_tokens: totalTokens } = found;
    if (!isCount(inputTokens) && !isCount(outputTokens)) return undefined;
    if (this.#hasUsage && (inputTokens ?? 0) + (outputTokens ?? 0) === 0) return undefined;
    this.#hasUsage = true;
    const cachedTokens = found.prompt_tokens_details?.cached_tokens ?? found.prompt_cache_hit_tokens;
    const reasoningTokens = found.completion_tokens_details?.reasoning_tokens;
    return {
      ...(isCount(inputTokens) ? { inputTokens } : {}),
      ...(isCount(outputTokens) ? { outputTokens } : {}),
      ...(isCount(totalTokens) ? { totalTokens } : {}),
      ...(isCount(cachedTokens) ? { cachedTokens } : {}),
      ...(isCount(reasoningTokens) ? { reasoningTokens } : {}),
    };
  }
}

/** The words of endpoints that pass on those of another provider: Anthropic, Gemini, Mistral and others. */
const finishWords: ReadonlyMap<string, string> = new Map([
  ["max_tokens", "length"],
  ["model_length", "length"],
  ["end_turn", "stop"],
  ["stop", "stop"],
  ["stop_sequence", "stop"],
  ["tool_use", "tool_calls"],
  ["function_call", "tool_calls"],
  ["safety", "content_filter"],
]);

/** Text and reasoning of a content, which is a text or a list of parts (Mistral sends `thinking` parts). */
function textsOf(content: unknown): readonly [text: string, reasoning: string] {
  if (!Array.isArray(content)) return [stringOf(content), ""];
  let [text, reasoning] = ["", ""];
  for (const part of content as readonly (Record<string, unknown> | null)[]) {
    if (part?.["type"] === "thinking") reasoning += textsOf(part["thinking"])[0];
    else text += stringOf(part?.["text"]) + stringOf(part?.["refusal"]);
  }
  return [text, reasoning];
}

function stringOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

interface ToolCallInProgress {
  id: string;
  name: string;
  arguments: string;
  readonly fields: ProviderFields;
}

/**
 * Assembles tool calls from chunks. A chunk belongs to the call with its index. Servers that omit the index, or send the
 * same one for all calls, begin another call with another id, or with a name where the call before is complete.
 */
class ToolCalls {
  readonly #calls: ToolCallInProgress[] = [];
  /** The latest call of each index. */
  readonly #byIndex = new Map<number, ToolCallInProgress>();
  #length = 0;

  /** @throws SessionError `model_failed` if the calls exceed the limit of a turn */
  add(pieces: readonly ToolCallPiece[]): void {
    for (const { index, id, type: _type, function: called, ...fields } of pieces) {
      const name = stringOf(called?.name);
      let call = typeof index === "number" ? this.#byIndex.get(index) : this.#calls.at(-1);
      if (call === undefined || beginsAnother(call, stringOf(id), name)) {
        call = { id: "", name: "", arguments: "", fields: new ProviderFields() };
        this.#calls.push(call);
        if (typeof index === "number") this.#byIndex.set(index, call);
        this.#length += callOverhead;
      }
      if (stringOf(id) !== "") call.id = stringOf(id);
      // Some servers repeat the whole name with every piece.
      if (name !== call.name) call.name += name;
      const added = argumentsOf(called?.arguments);
      call.arguments += added;
      call.fields.add(fields);
      this.#length += name.length + added.length;
      if (this.#length > lengthMax) throw failure({ problem: "tool_calls_too_large", lengthMax });
    }
  }

  /** The calls, each with an id that no other one has. */
  all(): readonly ToolCall[] {
    const ids = new Set<string>();
    return this.#calls.map(({ id, name, arguments: text, fields }): ToolCall => {
      return { ...fields.all, id: uniqueCallId(id, ids), type: "function", function: { name, arguments: text } };
    });
  }
}

function beginsAnother(call: ToolCallInProgress, id: string, name: string): boolean {
  if (id !== "" && call.id !== "") return id !== call.id;
  if (name === "" || call.name === "") return false;
  return name !== call.name || isComplete(call.arguments);
}

function isComplete(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Merges the fields of deltas that only the provider knows: texts grow, lists and objects are joined, others replace. */
class ProviderFields {
  readonly #fields: Record<string, Value> = {};
  #length = 0;

  /** @throws SessionError `model_failed` if the fields exceed the limit of a turn */
  add(fields: Readonly<Record<string, unknown>>): void {
    for (const [key, value] of Object.entries(fields)) {
      if (value === null || value === undefined || key === "function_call") continue;
      this.#length += key.length + JSON.stringify(value).length;
      if (this.#length > lengthMax) throw failure({ problem: "fields_too_large", lengthMax });
      const merged = merge(Object.hasOwn(this.#fields, key) ? this.#fields[key] : undefined, value as Value);
      // A field named __proto__ must be a field.
      Object.defineProperty(this.#fields, key, { value: merged, enumerable: true, writable: true, configurable: true });
    }
  }

  get all(): Readonly<Record<string, Value>> {
    return this.#fields;
  }
}

type Fields = Readonly<Record<string, Value>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function merge(old: Value | undefined, more: Value): Value {
  if (typeof old === "string" && typeof more === "string") return old + more;
  if (Array.isArray(old) && Array.isArray(more)) {
    for (const item of more) mergeItem(old as Value[], item as Value);
    return old;
  }
  if (isFields(old) && isFields(more)) {
    const merged: Record<string, Value> = { ...old };
    for (const [key, value] of Object.entries(more)) {
      if (value !== null) merged[key] = Object.hasOwn(old, key) ? merge(old[key], value) : value;
    }
    return merged;
  }
  return more;
}

/** Pieces of one item (OpenRouter's `reasoning_details`) bear the same type and index, and follow each other. */
function mergeItem(items: Value[], item: Value): void {
  const last = items.at(-1);
  const isSame =
    isFields(last) &&
    isFields(item) &&
    last["index"] !== undefined &&
    last["index"] === item["index"] &&
    last["type"] === item["type"];
  if (isSame) items[items.length - 1] = mergePieces(last, item);
  else items.push(item);
}

/** The text of an item grows; what names it (type, format, id, index, signature) is the latest. */
function mergePieces(old: Fields, more: Fields): Value {
  const merged: Record<string, Value> = { ...old };
  for (const [key, value] of Object.entries(more)) {
    if (value === null || value === undefined) continue;
    const grows = ["text", "summary", "thinking"].includes(key);
    const before = merged[key];
    merged[key] = grows && typeof before === "string" && typeof value === "string" ? before + value : value;
  }
  return merged;
}
