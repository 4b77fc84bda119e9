import { SessionError } from "../../index.ts";

/** The methods of the official client that are called. */
export interface OpenaiClient {
  readonly chat: { readonly completions: { readonly create: (...args: never[]) => unknown } };
}

export async function loadClient(baseURL: string | undefined, apiKey: string | undefined): Promise<OpenaiClient> {
  const { OpenAI } = await import("openai").catch((error: unknown) => {
    const reason = "the package openai is not installed; run npm install openai";
    throw new SessionError("model_refused", { reason }, { cause: error });
  });
  // The client would log parts of answers.
  return new OpenAI({ logLevel: "off", baseURL, apiKey });
}
