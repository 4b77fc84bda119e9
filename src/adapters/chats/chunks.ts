/** Chunks of UI message streams: fewer of them with the same content, and those of a stored message. */
import { defined } from "../../domain/values/defined.ts";
import { fieldsOf, isToolPart, type AnyUiMessage, type Fields, type UiChunk, type UiPart } from "./ui-message.ts";

/** The fields of chunks that continue the chunk before them, and the fields that must be the same. */
const growing: Readonly<Record<string, { readonly text: string; readonly same: string }>> = {
  "text-delta": { text: "delta", same: "id" },
  "reasoning-delta": { text: "delta", same: "id" },
  "tool-input-delta": { text: "inputTextDelta", same: "toolCallId" },
};

/** Chunks as they arrive, the consecutive pieces of one text as one of them. */
export class ReceivedChunks implements Iterable<UiChunk> {
  readonly #chunks: UiChunk[] = [];
  /** The pieces of the last chunk. */
  #pieces: string[] = [];

  add(chunk: UiChunk): void {
    const last = this.#chunks.at(-1);
    const piece = last === undefined ? undefined : pieceOf(last, chunk);
    if (piece !== undefined) {
      this.#pieces.push(piece);
      return;
    }
    this.#join();
    this.#chunks.push(chunk);
  }

  *[Symbol.iterator](): Generator<UiChunk, void, void> {
    this.#join();
    yield* this.#chunks;
  }

  #join(): void {
    const last = this.#chunks.at(-1);
    if (last === undefined || this.#pieces.length === 0) return;
    const { text } = growing[last.type]!;
    const joined = [String(fieldsOf(last)[text]), ...this.#pieces].join("");
    this.#chunks[this.#chunks.length - 1] = { ...last, [text]: joined };
    this.#pieces = [];
  }
}

/** The text that a chunk adds to the one before it; undefined where it says something else too. */
function pieceOf(last: UiChunk, chunk: UiChunk): string | undefined {
  const rule = Object.hasOwn(growing, chunk.type) ? growing[chunk.type] : undefined;
  if (rule === undefined || last.type !== chunk.type) return undefined;
  const [before, after] = [fieldsOf(last), fieldsOf(chunk)];
  const isPlain = [before, after].every((fields) => Object.keys(fields).length === 3);
  const piece = after[rule.text];
  return isPlain && before[rule.same] === after[rule.same] && typeof piece === "string" ? piece : undefined;
}

/** The chunks behind `start` that make up this message: a reader that begins again gets them before later ones. */
export function chunksOfMessage({ parts, metadata }: AnyUiMessage): readonly UiChunk[] {
  const about = metadata === undefined ? [] : [chunk("message-metadata", { messageMetadata: metadata })];
  return [...about, ...parts.flatMap((part, index) => chunksOfPart(part, `part-${index}`))];
}

/** A chunk without the fields that have no value. */
export function chunk(type: string, fields: Fields = {}): UiChunk {
  return { type, ...defined(fields) };
}

function chunksOfPart(part: UiPart, ownId: string): readonly UiChunk[] {
  const { type } = part;
  if (isToolPart(part)) return chunksOfCall(part);
  if (type === "step-start") return [chunk("start-step")];
  if (type !== "text" && type !== "reasoning") return [part];
  const { id = ownId, text, state, citations, providerMetadata } = fieldsOf(part);
  return [
    chunk(`${type}-start`, { id, providerMetadata }),
    ...(text === "" ? [] : [chunk(`${type}-delta`, { id, delta: text })]),
    ...(state === "streaming" ? [] : [chunk(`${type}-end`, { id, providerMetadata, citations })]),
  ];
}

function chunksOfCall(part: UiPart): readonly UiChunk[] {
  const fields = fieldsOf(part);
  const { toolCallId, state, input, rawInput, inputEncoding, output, errorText, preliminary } = fields;
  const { providerExecuted, toolMetadata, title, callProviderMetadata, resultProviderMetadata } = fields;
  const isDynamic = part.type === "dynamic-tool";
  const toolName = isDynamic ? fields["toolName"] : part.type.slice("tool-".length);
  const dynamic = isDynamic ? true : undefined;
  const about = { toolName, providerExecuted, toolMetadata, title, dynamic, providerMetadata: callProviderMetadata };
  if (state === "input-streaming") {
    const text = typeof rawInput === "string" ? rawInput : input === undefined ? "" : JSON.stringify(input);
    const begun = chunk("tool-input-start", { toolCallId, ...about, inputEncoding });
    return text === "" ? [begun] : [begun, chunk("tool-input-delta", { toolCallId, inputTextDelta: text })];
  }
  const called = chunk("tool-input-available", { toolCallId, ...about, input: input ?? rawInput ?? null });
  const settled = { toolCallId, providerExecuted, dynamic, providerMetadata: resultProviderMetadata };
  const approval = chunksOfApproval(fields["approval"], toolCallId);
  switch (state) {
    case "output-available":
      return [called, ...approval, chunk("tool-output-available", { ...settled, output: output ?? null, preliminary })];
    case "output-error":
      return [called, ...approval, chunk("tool-output-error", { ...settled, errorText })];
    case "output-denied":
      return [called, ...approval, chunk("tool-output-denied", { toolCallId })];
    default:
      return [called, ...approval];
  }
}

function chunksOfApproval(approval: unknown, toolCallId: unknown): readonly UiChunk[] {
  const { id: approvalId, approved, reason, requestReason, descriptor, ...others } = fieldsOf(approval);
  if (approvalId === undefined) return [];
  const { isAutomatic, signature, inputSchemaInput } = others;
  const about = { approvalId, toolCallId, isAutomatic, signature, inputSchemaInput };
  const asked = chunk("tool-approval-request", { ...about, approvalDescriptor: descriptor, reason: requestReason });
  if (typeof approved !== "boolean") return [asked];
  return [asked, chunk("tool-approval-response", { approvalId, approved, reason })];
}
