import { defined } from "../../domain/values/defined.ts";
import { openaiModel } from "../../adapters/openai.ts";
import { openSessions, type Agent, type Model, type Sessions } from "../../index.ts";
import { guardExistingStore } from "./store-file.ts";
import { CliError } from "../terminal/cli-error.ts";

/** The options that name the store and the tenant. */
export interface StoreOptions {
  readonly store?: string;
  readonly tenant?: string;
}

/** The URL of the store, from the option or the environment. */
export function storeUrl({ store }: StoreOptions): string {
  return store ?? variable("PERDURE_STORE") ?? variable("DATABASE_URL") ?? "sqlite:perdure.db";
}

/** Open the sessions of the store that option or environment name. Commands end too soon to sweep. */
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
export async function openExisting(
  options: StoreOptions,
  extra: { readonly agents?: Readonly<Record<string, Agent>> | undefined; readonly secret?: string } = {},
): Promise<Sessions> {
  await guardExistingStore(storeUrl(options));
  return await openFor(options, extra);
}

/**
 * The model at the endpoint that the environment names; `named` is the model's name in an option or an agent.
 * @throws CliError with the variable to set, before anything is written
 */
export function modelOfEnvironment(named: string | undefined): Model {
  const baseURL = variable("OPENAI_BASE_URL");
  const apiKey = variable("OPENAI_API_KEY");
  const model = variable("PERDURE_MODEL");
  if (!hasModelEndpoint()) {
    throw new CliError(
      "usage",
      "no model endpoint is set; set OPENAI_BASE_URL (such as http://127.0.0.1:11434/v1) or OPENAI_API_KEY",
    );
  }
  if (named === undefined && model === undefined) {
    throw new CliError("usage", "no model is named; use --model NAME, a model in the agents file, or PERDURE_MODEL");
  }
  return openaiModel(defined({ baseURL, apiKey, model }));
}

/** Whether the environment names a model's endpoint. */
export function hasModelEndpoint(): boolean {
  return variable("OPENAI_BASE_URL") !== undefined || variable("OPENAI_API_KEY") !== undefined;
}

/** How long a handoff lasts, ms: `DEFAULT_SESSION_TTL`, in seconds. @throws CliError if it is not a number */
export function handoffTtlOfEnvironment(): number | undefined {
  const text = variable("DEFAULT_SESSION_TTL");
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text) * 1000;
  const shown = JSON.stringify(text.slice(0, 40));
  throw new CliError(
    "usage",
    `DEFAULT_SESSION_TTL is ${shown}; set it to a number of seconds, such as 3600 for an hour`,
  );
}

/** The key of an operator: the option, else `PERDURE_KEY`. @throws CliError if there is none */
export function requiredKey(option: string | undefined): string {
  const key = option ?? variable("PERDURE_KEY");
  if (key !== undefined) return key;
  throw new CliError(
    "usage",
    'this command needs a key: use --key, or set PERDURE_KEY; create one with "perdure keys create --right read"',
  );
}

/** A variable of the environment; an empty one counts as not set. */
export function variable(name: string): string | undefined {
  return process.env[name] || undefined;
}
