import { invalidArgument, invalidText } from "../../domain/values/invalid-argument.ts";
import type { ModelSettings } from "./model.ts";
import { parseWholeNumber } from "./arguments.ts";

/** The largest delay of a timer, ms. */
export const timerMaxMs: number = 2 ** 31 - 1;
const effortLengthMax = 64;
const known: readonly (keyof ModelSettings)[] = ["temperature", "maxTokens", "effort", "timeoutMs", "body"];

/** @throws SessionError `argument_invalid`, also for a setting that does not exist */
export function parseModelSettings(settings: ModelSettings, name: string): ModelSettings {
  if (!isObject(settings)) throw invalidArgument(name, settings, { expected: "object" });
  for (const [setting, value] of Object.entries(settings)) {
    if (!known.includes(setting as keyof ModelSettings))
      throw invalidArgument(name, setting, { expected: "one_of", known });
    if (value === undefined) continue;
    parseSetting(setting as keyof ModelSettings, value, `${name}.${setting}`);
  }
  return settings;
}

function parseSetting(setting: keyof ModelSettings, value: unknown, name: string): void {
  if (setting === "temperature") {
    if (typeof value !== "number" || !(value >= 0) || value === Infinity)
      throw invalidArgument(name, value, { expected: "number", min: 0 });
  } else if (setting === "maxTokens") {
    parseWholeNumber(value as number, name, 1);
  } else if (setting === "timeoutMs") {
    if (!Number.isSafeInteger(value) || (value as number) < 1 || (value as number) > timerMaxMs)
      throw invalidArgument(name, value, { expected: "whole_number", min: 1, max: timerMaxMs });
  } else if (setting === "effort") {
    if (typeof value !== "string" || value === "" || value.length > effortLengthMax)
      throw invalidText(name, value, { min: 1, max: effortLengthMax });
  } else if (!isObject(value)) {
    throw invalidArgument(name, value, { expected: "object" });
  }
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
