import type { ModelRequest, ModelSettings } from "../../index.ts";
import { wellFormed } from "../model/well-formed.ts";
import {
  reasoningEfforts,
  type AiLanguageModel,
  type CallOptions,
  type CallOptionsV3,
  type FileData,
  type FileDataV3,
  type ProviderFields,
  type PromptMessage,
  type PromptMessageV3,
} from "./language-model.ts";
import { promptOf } from "./prompt.ts";
import { defined } from "../../domain/values/defined.ts";

/** The options of a call, as the model's version of the specification writes them. */
export async function callOptions(
  model: AiLanguageModel,
  { messages, tools = [] }: ModelRequest,
  { settings, signal }: { readonly settings: ModelSettings; readonly signal: AbortSignal },
): Promise<CallOptions | CallOptionsV3> {
  const { provider, specificationVersion } = model;
  const { temperature, maxTokens, effort, body } = settings;
  const supportedUrls = await model.supportedUrls;
  const prompt = promptOf(wellFormed(messages) as typeof messages, { provider, supportedUrls });
  const common = {
    abortSignal: signal,
    ...defined({ temperature, maxOutputTokens: maxTokens }),
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map(({ name, description, parameters }) => ({
            type: "function" as const,
            name,
            description,
            inputSchema: parameters,
          })),
        }),
  };
  if (specificationVersion === "v4" && isReasoning(effort))
    return { prompt, ...common, reasoning: effort, ...optionsOf(body) };
  const options = { ...common, ...optionsOf(withEffort(effort, provider, body)) };
  return specificationVersion === "v4" ? { prompt, ...options } : { prompt: prompt.map(asV3), ...options };
}

function isReasoning(effort: string | undefined): effort is NonNullable<CallOptions["reasoning"]> {
  return (reasoningEfforts as readonly (string | undefined)[]).includes(effort);
}

function optionsOf(body: ModelSettings["body"]): { readonly providerOptions?: ProviderFields } {
  return defined({ providerOptions: body as ProviderFields | undefined });
}

/** Version 3 has no field for the effort, and version 4 none for words of its own: the provider's options say it. */
function withEffort(effort: string | undefined, provider: string, body: ModelSettings["body"]): ModelSettings["body"] {
  if (effort === undefined) return body;
  const segments = provider.split(".");
  const name = segments.includes("anthropic") ? "anthropic" : (segments[0] ?? "");
  const fields =
    name === "anthropic"
      ? { effort }
      : name === "google"
        ? { thinkingConfig: { thinkingLevel: effort } }
        : { reasoningEffort: effort };
  return { ...body, [name]: { ...fields, ...(body?.[name] as object | undefined) } };
}

function asV3(message: PromptMessage): PromptMessageV3 {
  if (message.role === "user")
    return { role: "user", content: message.content.map((part) => (part.type === "file" ? fileV3(part) : part)) };
  if (message.role !== "assistant") return message;
  const content = message.content.flatMap((part) => {
    if (part.type === "custom" || part.type === "reasoning-file") return [];
    return [part.type === "file" ? fileV3(part) : part];
  });
  return { role: "assistant", content };
}

function fileV3<Part extends { readonly data: FileData }>(part: Part): Omit<Part, "data"> & { data: FileDataV3 } {
  const { data } = part;
  if (data.type === "data") return { ...part, data: data.data };
  return { ...part, data: data.type === "url" ? data.url : Object.values(data.reference).join() };
}
