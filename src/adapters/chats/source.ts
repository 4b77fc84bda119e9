/** The source of an answer: a result of `streamText` or of an agent, or a UI message stream. */
import { defined } from "../../domain/values/defined.ts";
import { invalidArgument } from "../../domain/values/invalid-argument.ts";
import type { ReportedUsage } from "../../index.ts";
import { finishReasons } from "../model/finish-reason.ts";
import { fieldsOf, type UiChunk } from "./ui-message.ts";

/** The result of `streamText`, as far as it is used. */
export interface StreamResult {
  toUIMessageStream(options?: {
    messageMetadata?: (options: { part: { type: string } }) => undefined;
    onError?: (error: unknown) => string;
  }): ReadableStream<UiChunk>;
}

/**
 * A result of `streamText`, or a stream of chunks, such as that of `createUIMessageStream` or of `toUIMessageStream` with options
 * of your own. Of a stream of chunks the usage is not known.
 */
export type AnswerSource = StreamResult | ReadableStream<UiChunk>;

/** The usage of a model for an answer, as its parts report it. */
export interface Used {
  readonly model?: string;
  readonly usage: ReportedUsage;
}

/** Clients get no message of a model's error: early releases of version 6 of the package would send it. */
const errorText = "An error occurred.";

/** A turn stores no longer name. */
const modelLengthMax = 256;

/** The chunks of an answer, and how it goes. */
export class SourceReader {
  readonly #reader: ReadableStreamDefaultReader<UiChunk>;
  /** A result of `streamText` says at its end that it has finished. */
  readonly #finishes: boolean;
  readonly #steps: Record<string, unknown>[] = [];
  #model: string | undefined;
  #openSteps = 0;
  #requests = 0;
  #end: "finish" | "abort" | "error" | undefined;
  #finish: string | undefined;

  /** @throws SessionError `argument_invalid` */
  constructor(source: AnswerSource) {
    const given: unknown = source;
    this.#finishes = typeof fieldsOf(given)["toUIMessageStream"] === "function";
    if (!this.#finishes && !(given instanceof ReadableStream))
      throw invalidArgument("answer", given, { expected: "one_of", known: ["a result of streamText", "a stream"] });
    const messageMetadata = ({ part }: { part: { type: string } }): undefined => this.#observe(part);
    const stream = this.#finishes
      ? (source as StreamResult).toUIMessageStream({ messageMetadata, onError: () => errorText })
      : (source as ReadableStream<UiChunk>);
    this.#reader = stream.getReader();
  }

  /** The next chunk; undefined at the end. */
  async next(): Promise<UiChunk | undefined> {
    const { done, value } = await this.#reader.read();
    if (done) return undefined;
    const { type } = value;
    if (type === "start-step") {
      this.#openSteps++;
      this.#requests++;
    } else if (type === "finish-step") this.#openSteps--;
    else if (type === "finish" || type === "abort" || type === "error") this.#end ??= type;
    if (type === "finish") {
      const { finishReason } = fieldsOf(value);
      if (typeof finishReason === "string") this.#finish = finishReason;
    }
    return value;
  }

  /** Stop the source; a read that waits ends. */
  async cancel(reason: unknown): Promise<void> {
    await this.#reader.cancel(reason).catch(() => undefined);
  }

  /** How the answer ended. Half an answer is interrupted: one without its end, or with a step that has none. */
  get status(): "done" | "failed" | "interrupted" {
    if (this.#end === "error" || this.#finish === "error") return "failed";
    const isWhole = this.#openSteps <= 0 && (this.#end === "finish" || !this.#finishes);
    return isWhole && this.#end !== "abort" && this.#finish !== "interrupted" ? "done" : "interrupted";
  }

  /** Why the model ended, in the words of a turn. */
  get finish(): string | undefined {
    return this.#finish === undefined ? undefined : (finishReasons.get(this.#finish) ?? this.#finish);
  }

  /** The calls of a model. */
  get requests(): number {
    return this.#requests;
  }

  /** Unknown parts of the usage are estimated. */
  get used(): Used {
    return { usage: sumOf(this.#steps), ...defined({ model: this.#model }) };
  }

  /** A step has ended: its usage is known also where a later one is broken off. */
  #observe(part: { type: string }): undefined {
    if (part.type !== "finish-step") return;
    const { usage, response } = fieldsOf(part);
    this.#steps.push({ ...fieldsOf(usage) });
    const { modelId } = fieldsOf(response);
    if (typeof modelId === "string" && modelId !== "" && modelId.length <= modelLengthMax) this.#model = modelId;
  }
}

function sumOf(steps: readonly Record<string, unknown>[]): ReportedUsage {
  const counts = steps.map((usage) => ({
    inputTokens: usage["inputTokens"],
    outputTokens: usage["outputTokens"],
    totalTokens: usage["totalTokens"],
    cachedTokens: fieldsOf(usage["inputTokenDetails"])["cacheReadTokens"] ?? usage["cachedInputTokens"],
    reasoningTokens: fieldsOf(usage["outputTokenDetails"])["reasoningTokens"] ?? usage["reasoningTokens"],
  }));
  const names = ["inputTokens", "outputTokens", "totalTokens", "cachedTokens", "reasoningTokens"] as const;
  return Object.fromEntries(
    names.flatMap((name) => {
      const known = counts.flatMap((one) => (typeof one[name] === "number" ? [one[name]] : []));
      return known.length === 0 ? [] : [[name, known.reduce((sum, count) => sum + count, 0)]];
    }),
  );
}
