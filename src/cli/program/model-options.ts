/** The options of a command that say how a model answers and what it is shown. */
import { InvalidArgumentError, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { parseDuration } from "../../domain/values/duration.ts";
import type { ModelSettings, Window } from "../../index.ts";
import type { Value } from "../../domain/values/codec.ts";
import { wholeNumber } from "../terminal/arguments.ts";

/** Options of a command that asks a model. */
export interface ModelOptions {
  readonly window?: number;
  readonly windowTokens?: number;
  readonly temperature?: number;
  readonly maxTokens?: number;
  readonly effort?: string;
  readonly timeout?: number;
  readonly body?: NonNullable<ModelSettings["body"]>;
}

export function withModelOptions(command: Command): Command {
  return command
    .option("--window <turns>", "how many past turns to send (default: the agent's, else 20)", wholeNumber)
    .option(
      "--window-tokens <n>",
      "how many tokens of past turns to send (default: the agent's, else 32000)",
      wholeNumber,
    )
    .option(
      "--temperature <number>",
      "the randomness of the answer (default: the agent's, else the model's)",
      temperature,
    )
    .option("--max-tokens <n>", "the most tokens of one answer (default: the agent's, else the model's)", wholeNumber)
    .option("--effort <word>", "how much a reasoning model thinks, such as low or high")
    .option("--timeout <duration>", "how long the model may be silent (default: the agent's, else 2m)", milliseconds)
    .option("--body <json>", "more fields of the request to the endpoint, a JSON object", jsonObject);
}

/** The settings that the options name; undefined for none. */
export function settingsOf({ temperature, maxTokens, effort, timeout, body }: ModelOptions): ModelSettings | undefined {
  const settings: ModelSettings = defined({ temperature, maxTokens, effort, timeoutMs: timeout, body });
  return Object.keys(settings).length === 0 ? undefined : settings;
}

/** The window that the options name; undefined for none. */
export function windowOf({ window: turns, windowTokens: tokens }: ModelOptions): Window | undefined {
  return turns === undefined && tokens === undefined ? undefined : defined({ turns, tokens });
}

function temperature(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && Number.isFinite(value)) return value;
  throw new InvalidArgumentError("Expected a number, 0 or more.");
}

function milliseconds(text: string): number {
  try {
    return parseDuration(text, "timeout");
  } catch {
    throw new InvalidArgumentError("Expected a duration such as 90s or 5m.");
  }
}

function jsonObject(text: string): NonNullable<ModelOptions["body"]> {
  const value = parsed(text);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as { [field: string]: Value };
  throw new InvalidArgumentError(`Expected a JSON object, such as '{"top_p":0.9}'.`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The caller reports it, as any other value.
    return undefined;
  }
}
