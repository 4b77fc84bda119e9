/** Compiled only: the adapter's own types of the AI SDK fit both versions of the specification, as published. */
import type {
  LanguageModelV3 as LanguageModelV3OfV4,
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4StreamPart,
} from "@ai-sdk/provider";
import type { LanguageModelV3, LanguageModelV3CallOptions, LanguageModelV3StreamPart } from "@ai-sdk/provider-v3";
import type { CallOptions, CallOptionsV3, StreamPart } from "../../../src/adapters/ai/language-model.ts";
import { aiModel } from "../../../src/adapters/ai.ts";

/** Compiles only if the adapter takes models of each version. */
export function models(v3: LanguageModelV3, v3OfV4: LanguageModelV3OfV4, v4: LanguageModelV4): void {
  for (const model of [v3, v3OfV4, v4]) aiModel(model);
  aiModel((name) => (name === "a" ? v3 : v4));
}

type Fits<Own extends Theirs, Theirs> = [Own, Theirs];

/** Compiles only if the options of a call, and the parts of a stream, are what each version takes and sends. */
export type Checks = [
  Fits<CallOptions, LanguageModelV4CallOptions>,
  Fits<CallOptionsV3, LanguageModelV3CallOptions>,
  Fits<LanguageModelV4StreamPart["type"], StreamPart["type"]>,
  Fits<LanguageModelV3StreamPart["type"], StreamPart["type"]>,
];
