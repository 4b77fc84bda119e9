import { openaiModel } from "../adapters/openai.ts";
import { openSessions, SessionError, type Agent, type Model, type Sessions } from "../index.ts";

/** The options that every command takes to find its store. */
export interface StoreOptions {
  readonly store?: string;
  readonly tenant?: string;
}

/** Open the sessions of the store that option or environment name. Commands live too briefly to sweep. */
export async function openFor(
  { store, tenant }: StoreOptions,
  extra: { agents?: Record<string, Agent> | undefined; model?: Model } = {},
): Promise<Sessions> {
  const { PERDURE_STORE, DATABASE_URL } = process.env;
  return await openSessions({
    store: store ?? PERDURE_STORE ?? DATABASE_URL ?? "sqlite:perdure.db",
    sweep: false,
    ...(tenant === undefined ? {} : { tenant }),
    ...(extra.agents === undefined ? {} : { agents: extra.agents }),
    ...(extra.model === undefined ? {} : { model: extra.model }),
  });
}

/** The model at the endpoint that the environment names. */
export function modelOfEnvironment(): Model {
  const { OPENAI_BASE_URL, OPENAI_API_KEY, PERDURE_MODEL } = process.env;
  if (!OPENAI_BASE_URL && !OPENAI_API_KEY) {
    throw new SessionError("argument_invalid", {
      name: "the model's endpoint",
      value: "not set",
      expected: "OPENAI_BASE_URL (such as http://127.0.0.1:11434/v1) or OPENAI_API_KEY in the environment",
    });
  }
  return openaiModel({
    ...(OPENAI_BASE_URL ? { baseURL: OPENAI_BASE_URL } : {}),
    ...(OPENAI_API_KEY ? { apiKey: OPENAI_API_KEY } : {}),
    ...(PERDURE_MODEL ? { model: PERDURE_MODEL } : {}),
  });
}
