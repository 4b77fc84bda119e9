import { defined } from "../../domain/values/defined.ts";
import { openaiModel } from "../../adapters/openai.ts";
import { openSessions, SessionError, type Agent, type Model, type Sessions } from "../../index.ts";
import { guardExistingStore } from "./store-file.ts";

/** The options that every command takes to find its store. */
export interface StoreOptions {
  readonly store?: string;
  readonly tenant?: string;
}

/** The store that option or environment name. */
export function storeUrl({ store }: StoreOptions): string {
  return store ?? variable("PERDURE_STORE") ?? variable("DATABASE_URL") ?? "sqlite:perdure.db";
}

/** Open the sessions of the store that option or environment name. Commands live too briefly to sweep. */
export async function openFor(
  options: StoreOptions,
  extra: { agents?: Readonly<Record<string, Agent>> | undefined; model?: Model; secret?: string } = {},
): Promise<Sessions> {
  return await openSessions({
    store: storeUrl(options),
    sweep: false,
    ...defined({ tenant: options.tenant, agents: extra.agents, model: extra.model, secret: extra.secret }),
  });
}

/** As {@link openFor}, for commands that only read or remove. @throws SessionError as {@link guardExistingStore} */
export async function openExisting(options: StoreOptions, extra: { readonly secret?: string } = {}): Promise<Sessions> {
  await guardExistingStore(storeUrl(options));
  return await openFor(options, extra);
}

/**
 * The model at the endpoint that the environment names. `named` is what option or agent call it.
 * @throws SessionError `argument_invalid` that says what to set, before anything is written
 */
export function modelOfEnvironment(named: string | undefined): Model {
  const baseURL = variable("OPENAI_BASE_URL");
  const apiKey = variable("OPENAI_API_KEY");
  const model = variable("PERDURE_MODEL");
  if (!hasModelEndpoint()) {
    throw new SessionError("argument_invalid", {
      name: "the model's endpoint",
      value: "not set",
      expected: "OPENAI_BASE_URL (such as http://127.0.0.1:11434/v1) or OPENAI_API_KEY in the environment",
    });
  }
  if (named === undefined && model === undefined) {
    throw new SessionError("argument_invalid", {
      name: "the model",
      value: "not named",
      expected: "--model NAME, a model in the agents file, or PERDURE_MODEL in the environment",
    });
  }
  return openaiModel(defined({ baseURL, apiKey, model }));
}

/** Whether the environment names a model's endpoint. */
export function hasModelEndpoint(): boolean {
  return variable("OPENAI_BASE_URL") !== undefined || variable("OPENAI_API_KEY") !== undefined;
}

/** How long a handoff lasts: `DEFAULT_SESSION_TTL`, in seconds, ms here. @throws SessionError `argument_invalid` */
export function handoffTtlOfEnvironment(): number | undefined {
  const text = variable("DEFAULT_SESSION_TTL");
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text) * 1000;
  throw new SessionError("argument_invalid", {
    name: "DEFAULT_SESSION_TTL",
    value: JSON.stringify(text.slice(0, 40)),
    expected: "a whole number of seconds, such as 3600 for an hour",
  });
}

/** A variable of the environment; one that is empty is one that is not set. */
export function variable(name: string): string | undefined {
  return process.env[name] || undefined;
}
