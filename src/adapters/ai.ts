/**
 * The AI SDK. `chats`: chats of `useChat` as sessions, with answers that outlive their clients. `aiModel`: any of its language
 * models as a model of Perdure (`@ai-sdk/anthropic`, `@ai-sdk/google`, `@ai-sdk/openai` and every other provider of the
 * specifications v3 and v4). The package `ai` is loaded when the first chat is opened; the program brings it.
 *
 * @module perdure/ai
 */
import { parseModelSettings, SessionError, type Model, type ModelSettings } from "../index.ts";
import { guardObject } from "../domain/values/option-names.ts";
import { checkBody } from "./ai/body.ts";
import type { AiLanguageModel } from "./ai/language-model.ts";
import { defined } from "../domain/values/defined.ts";

export type { AiLanguageModel, SupportedUrls } from "./ai/language-model.ts";
export { chats, Chats, type ChatOwner } from "./chats/chats.ts";
export type { ChatsOptions } from "./chats/package-ai.ts";
export { Chat, type AddOptions, type Question, type RegenerateOptions, type RespondOptions } from "./chats/chat.ts";
export { ChatSocket, type ChatSocketOptions } from "./chats/web-socket.ts";
export {
  createResumableStreamContext,
  type ResumableStreamContext,
  type ResumableStreamOptions,
} from "./resumable/resumable-stream.ts";
export {
  createResumableStreamStore,
  ResumableStreamError,
  type ResumableStreamAcquisition,
  type ResumableStreamLease,
  type ResumableStreamStore,
} from "./resumable/assistant-stream.ts";
export type { AnswerSource, StreamResult } from "./chats/source.ts";
export type { AnyUiMessage, UiChunk, UiPart } from "./chats/ui-message.ts";

/** The name of the model and the settings of calls and agents that name none. `body` is the AI SDK's `providerOptions`. */
export interface AiOptions extends ModelSettings {
  /** Default name for a function from names to models, if neither agent nor call names one. */
  readonly model?: string;
}

/** The specifications that the adapter speaks. */
const versions: readonly string[] = ["v3", "v4"];

/**
 * A language model of the AI SDK, or a function from the names of models to language models, such as a provider. One
 * request is made for each model call, without retries. Reasoning and the metadata of the provider (signatures, encrypted
 * reasoning) are kept in the message and sent back to the same provider.
 * @throws SessionError `argument_invalid`, also for a model of another specification; at the call: `model_refused` (400,
 *   401, 403, 404 …, a name without a model, a `body` that is no `providerOptions`), `model_failed` (429, 5xx, no
 *   connection, a stream that breaks or falls silent)
 */
export function aiModel(model: AiLanguageModel | ((name: string) => AiLanguageModel), options: AiOptions = {}): Model {
  guardObject(options, "aiModel");
  const { model: defaultName, ...settings } = options;
  parseModelSettings(settings, "aiModel");
  checkBody(settings, "aiModel");
  if (typeof model !== "function") checkModel(model);
  return async function* answer(request) {
    const chosen = choose(model, request.model ?? defaultName);
    const own = { ...settings, ...request.settings };
    try {
      checkBody(own, "settings");
    } catch (error) {
      // The turn has begun, and stores the refusal.
      throw new SessionError("model_refused", { reported: (error as Error).message }, { cause: error });
    }
    const { streamAnswer } = await import("./ai/stream.ts");
    yield* streamAnswer(chosen, request, own);
  };
}

/** @throws SessionError `model_refused` */
function choose(
  model: AiLanguageModel | ((name: string) => AiLanguageModel),
  name: string | undefined,
): AiLanguageModel {
  if (typeof model !== "function") {
    if (name === undefined || name === model.modelId) return model;
    throw new SessionError("model_refused", { problem: "model_fixed", model: name });
  }
  if (name === undefined) throw new SessionError("model_refused", { problem: "model_unnamed" });
  try {
    const chosen = model(name);
    checkModel(chosen);
    return chosen;
  } catch (error) {
    const reported = error instanceof Error ? error.message : String(error);
    throw new SessionError("model_refused", { problem: "model_unusable", model: name, reported }, { cause: error });
  }
}

/** @throws SessionError `argument_invalid` for another specification, and for a value that is no language model */
function checkModel(model: AiLanguageModel): void {
  const { specificationVersion: version, doStream } = Object(model) as Partial<Record<keyof AiLanguageModel, unknown>>;
  if (typeof doStream !== "function")
    throw new SessionError("argument_invalid", { name: "model", value: typeof model, expected: "language_model" });
  if (typeof version === "string" && versions.includes(version)) return;
  const value = JSON.stringify(version) as string | undefined;
  throw new SessionError("argument_invalid", {
    name: "model.specificationVersion",
    ...defined({ value }),
    expected: "one_of",
    known: versions,
  });
}
