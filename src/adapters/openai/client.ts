import { SessionError } from "../../index.ts";

/** The methods of the official client that are called. */
export interface OpenaiClient {
  readonly chat: { readonly completions: { readonly create: (...args: never[]) => unknown } };
}

export async function loadClient(baseURL: string | undefined, apiKey: string | undefined): Promise<OpenaiClient> {
  const { OpenAI } = await import("openai").catch((error: unknown) => {
    throw new SessionError("model_refused", { problem: "package_missing" }, { cause: error });
  });
  // The client would log parts of answers.
  return new OpenAI({ logLevel: "off", baseURL, apiKey });
}
