import type { Message, ModelEvent, ReportedUsage, ToolCall, Value } from "../../index.ts";
import { failure } from "../model/failure.ts";
import { finishReasons } from "../model/finish-reason.ts";
import { argumentsOf, callOverhead, lengthMax, uniqueCallId } from "../model/tool-call.ts";
import { keepParts, type KeptPart } from "./kept-parts.ts";
import type { ProviderFields, StreamPart } from "./language-model.ts";
import { defined } from "../../domain/values/defined.ts";

type Fields = Readonly<Record<string, unknown>>;

/**
 * Puts a streamed answer together. Text and reasoning are given on at once; calls and the parts that only the provider
 * knows are kept until the end, for one message.
 */
export class StreamedAnswer {
  readonly #parts: KeptPart[] = [];
  /** The parts of text and reasoning that still grow, by the id of their block. */
  readonly #open = new Map<string, Extract<KeptPart, { type: "text" | "reasoning" }>>();
  readonly #calls: ToolCall[] = [];
  readonly #callIds = new Set<string>();
  #callsLength = 0;
  #fieldsLength = 0;
  #answeredBy: string | undefined;
  #finish: Fields | undefined;

  /** The events of one part. @throws SessionError `model_failed` for an answer that is larger than a turn may be */
  add(part: StreamPart): readonly ModelEvent[] {
    const { type } = part;
    if (type === "text-start" || type === "text-delta" || type === "text-end") return this.#addText(part);
    if (type === "reasoning-start" || type === "reasoning-delta" || type === "reasoning-end")
      return this.#addReasoning(part);
    if (type === "tool-call") this.#addCall(part);
    else if (type === "response-metadata") return this.#named(stringOf(part["modelId"]));
    else if (type === "finish") {
      this.#finish = fieldsOf(part["finishReason"], "unified");
      const usage = usageOf(part["usage"]);
      return usage === undefined ? [] : [{ type: "usage", usage }];
    } else this.#keep(part);
    return [];
  }

  /**
   * The words of OpenAI for how the answer ended, or the provider's own; undefined if the provider did not report it: its
   * stream broke off.
   */
  get finishReason(): string | undefined {
    const unified = this.#finish?.["unified"];
    if (unified === "interrupted") return undefined;
    const raw = stringOf(this.#finish?.["raw"]);
    // Anthropic's word, which the AI SDK calls a filter.
    if (raw === "refusal") return raw;
    return finishReasons.get(unified) ?? (raw === "" ? undefined : raw);
  }

  /** The message that completes the text: calls, and the parts that only the provider knows; undefined without either. */
  message(provider: string): Message | undefined {
    const parts = this.#parts.filter((part) => !isEmpty(part));
    const message: Message = {
      role: "assistant",
      content: null,
      ...(this.#calls.length === 0 ? {} : { tool_calls: this.#calls }),
      ...keepParts(parts, provider),
    };
    return message.tool_calls === undefined && message["native"] === undefined ? undefined : message;
  }

  #named(model: string): readonly ModelEvent[] {
    if (model === "" || this.#answeredBy !== undefined) return [];
    this.#answeredBy = model;
    return [{ type: "model", model }];
  }

  #addText(part: StreamPart): readonly ModelEvent[] {
    const { type, id, delta } = part;
    const block = `text ${stringOf(id)}`;
    let text = type === "text-start" ? undefined : this.#open.get(block);
    // The lengths of parts follow the order of the text, so a block that continues after another one is a part of its own.
    const isPassed = text !== this.#parts.findLast((one) => one.type === "text");
    if (text?.type !== "text" || (isPassed && type === "text-delta")) {
      text = { type: "text", length: 0, ...defined({ providerMetadata: text?.providerMetadata }) };
      this.#parts.push(text);
      this.#open.set(block, text);
    }
    this.#describe(text, part);
    const piece = stringOf(delta);
    text.length += piece.length;
    return piece === "" ? [] : [{ type: "text", text: piece }];
  }

  #addReasoning(part: StreamPart): readonly ModelEvent[] {
    const { type, id, delta } = part;
    const block = `reasoning ${stringOf(id)}`;
    let reasoning = type === "reasoning-start" ? undefined : this.#open.get(block);
    if (reasoning?.type !== "reasoning") {
      reasoning = { type: "reasoning", text: "" };
      this.#parts.push(reasoning);
      this.#open.set(block, reasoning);
    }
    this.#describe(reasoning, part);
    const piece = stringOf(delta);
    reasoning.text += piece;
    this.#grow(piece.length);
    return piece === "" ? [] : [{ type: "reasoning", text: piece }];
  }

  #addCall(part: StreamPart): void {
    const name = stringOf(part["toolName"]);
    const text = argumentsOf(part["input"]);
    this.#callsLength += name.length + text.length + callOverhead;
    if (this.#callsLength > lengthMax) throw failure({ problem: "tool_calls_too_large", lengthMax });
    const id = uniqueCallId(stringOf(part["toolCallId"]), this.#callIds);
    if (part["providerExecuted"] === true) {
      this.#push({ type: "tool-call", toolCallId: id, toolName: name, input: text, providerExecuted: true }, part);
      return;
    }
    this.#calls.push({ id, type: "function", function: { name, arguments: text } });
    this.#push({ type: "tool-call", toolCallId: id }, part);
  }

  /** Keeps a part that is neither text nor a call; nothing for the kinds that say nothing of the answer. */
  #keep(part: StreamPart): void {
    const { type } = part;
    if (type === "tool-result" && part["preliminary"] !== true) {
      const toolCallId = stringOf(part["toolCallId"]);
      const toolName = stringOf(part["toolName"]);
      const result = this.#plain(part["result"]) ?? null;
      const isError = part["isError"] === true ? { isError: true as const } : {};
      this.#push({ type, toolCallId, toolName, result, ...isError }, part);
    } else if (type === "file" || type === "reasoning-file") {
      const data = fileDataOf(part["data"]);
      this.#grow(data.value.length);
      this.#push({ type, mediaType: stringOf(part["mediaType"]), data }, part);
    } else if (type === "custom") {
      this.#push({ type, kind: stringOf(part["kind"]) }, part);
    } else if (type === "source") {
      const { providerMetadata: _, ...source } = this.#plain(part) as { readonly [field: string]: Value };
      this.#push({ ...source, type }, part);
    }
  }

  #push(kept: KeptPart, part: StreamPart): void {
    this.#describe(kept, part);
    this.#parts.push(kept);
  }

  /** The latest metadata of a part replaces the earlier one, as in the AI SDK. */
  #describe(kept: KeptPart, { providerMetadata }: StreamPart): void {
    if (providerMetadata === undefined || providerMetadata === null) return;
    kept.providerMetadata = this.#plain(providerMetadata) as ProviderFields;
  }

  /** The value as JSON has it, counted. */
  #plain(value: unknown): Value | undefined {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) return undefined;
    this.#grow(text.length);
    return JSON.parse(text) as Value;
  }

  #grow(length: number): void {
    this.#fieldsLength += length;
    if (this.#fieldsLength > lengthMax) throw failure({ problem: "fields_too_large", lengthMax });
  }
}

function isEmpty(part: KeptPart): boolean {
  if (part.providerMetadata !== undefined) return false;
  return (part.type === "text" && part.length === 0) || (part.type === "reasoning" && part.text === "");
}

/** The tokens as both versions nest them, or flat, as the first builds of v3 had them; undefined where nothing is counted. */
function usageOf(value: unknown): ReportedUsage | undefined {
  const usage = fieldsOf(value);
  const input = fieldsOf(usage["inputTokens"], "total");
  const output = fieldsOf(usage["outputTokens"], "total");
  const counted = {
    inputTokens: input["total"],
    outputTokens: output["total"],
    totalTokens: usage["totalTokens"],
    cachedTokens: input["cacheRead"] ?? usage["cachedInputTokens"],
    reasoningTokens: output["reasoning"] ?? usage["reasoningTokens"],
  };
  const known = Object.entries(counted).filter(([, count]) => Number.isSafeInteger(count) && (count as number) >= 0);
  const { inputTokens, outputTokens } = Object.fromEntries(known) as ReportedUsage;
  return inputTokens === undefined && outputTokens === undefined ? undefined : Object.fromEntries(known);
}

/** A file as v4 tags it, or as v3 has it: base64 or bytes. */
function fileDataOf(value: unknown): { readonly type: "data" | "url"; readonly value: string } {
  const tagged = fieldsOf(value);
  if (tagged["type"] === "url") return { type: "url", value: String(tagged["url"]) };
  const data = tagged["type"] === "data" ? tagged["data"] : value;
  return { type: "data", value: data instanceof Uint8Array ? Buffer.from(data).toString("base64") : stringOf(data) };
}

/** The fields of an object. With `only`, any other value is the field of that name. */
function fieldsOf(value: unknown, only?: string): Fields {
  if (typeof value === "object" && value !== null) return value as Fields;
  if (only === undefined) return {};
  return { [only]: value };
}

function stringOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
