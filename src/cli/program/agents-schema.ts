import type { Budget } from "../../domain/record/record.ts";
import { parseBudget } from "../../domain/record/budget.ts";
import { parseDuration } from "../../domain/values/duration.ts";
import { parseNewId } from "../../domain/values/ids.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import { SessionError } from "../../errors.ts";
import {
  JsonError,
  parseLocatedJson,
  type LocatedMember,
  type LocatedValue,
  type Place,
} from "../../sessions/snapshots/located-json.ts";
import { parseWindow, type Window } from "../../domain/turns/window.ts";
import type { ModelSettings } from "../../sessions/options/model.ts";
import { parseModelSettings } from "../../sessions/options/model-settings.ts";
import type { Value } from "../../domain/values/codec.ts";
import { parsePolicy, type Agent, type RetentionPolicy } from "../../sessions/options/options.ts";

const settings = [
  "instructions",
  "model",
  "settings",
  "window",
  "ttl",
  "handoffTtl",
  "idleTimeout",
  "description",
  "keywords",
  "default",
  "openToDevices",
  "retention",
  "budget",
];
const policySettings = ["state", "after", "do", "user"];

/**
 * The agents of a JSON text `{"ceo":{"instructions":"…","model":"…","ttl":"1h"}, …}`; `file` is how errors call it.
 * Names are ordinary text, `__proto__` and `constructor` included.
 * @throws SessionError `agents_file_invalid` with the line
 */
export function parseAgentsFile(text: string, file: string): Readonly<Record<string, Agent>> {
  const invalid = ({ line, column }: Place, reason: string): SessionError =>
    new SessionError("agents_file_invalid", { file, line, reason: `${reason} (column ${column})` });

  let root: LocatedValue;
  try {
    root = parseLocatedJson(text);
  } catch (error) {
    if (error instanceof JsonError) throw invalid(error.place, `not JSON: ${error.message}`);
    throw error;
  }
  if (root.kind !== "object") throw invalid(root, 'expected an object of agents: {"ceo":{"instructions":"…"}}');
  const agents = [...root.members].map(([name, member]) => [name, parseAgent(name, member, invalid)] as const);
  // Unlike an assignment, this makes `__proto__` a member like any other.
  return Object.fromEntries(agents);
}

type Invalid = (place: Place, reason: string) => SessionError;

function parseAgent(name: string, { name: place, value }: LocatedMember, invalid: Invalid): Agent {
  checked(place, invalid, () => parseNewId(name, "the agent's name"));
  const called = `agent ${formatValue(name)}`;
  if (value.kind !== "object") throw invalid(value, `${called} is ${kindOf(value)}; expected an object`);
  const agent: { -readonly [Setting in keyof Agent]: Agent[Setting] } = {};
  for (const [setting, member] of value.members) {
    if (setting === "instructions") {
      agent.instructions = text(member.value, `instructions of ${called}`, invalid);
    } else if (setting === "model") {
      agent.model = text(member.value, `model of ${called}`, invalid);
    } else if (setting === "settings") {
      agent.settings = modelSettings(member.value, `settings of ${called}`, invalid);
    } else if (setting === "window") {
      agent.window = window(member.value, `window of ${called}`, invalid);
    } else if (setting === "ttl" || setting === "handoffTtl" || setting === "idleTimeout") {
      agent[setting] = duration(member.value, `${setting} of ${called}`, invalid);
    } else if (setting === "description") {
      agent.description = text(member.value, `description of ${called}`, invalid);
    } else if (setting === "keywords") {
      agent.keywords = texts(member.value, `keywords of ${called}`, invalid);
    } else if (setting === "default") {
      agent.default = flag(member.value, `default of ${called}`, invalid);
    } else if (setting === "openToDevices") {
      agent.openToDevices = flag(member.value, `openToDevices of ${called}`, invalid);
    } else if (setting === "retention") {
      agent.retention = policies(member.value, `retention of ${called}`, invalid);
    } else if (setting === "budget") {
      agent.budget = budget(member.value, `budget of ${called}`, invalid);
    } else {
      throw invalid(member.name, `${called} has no setting ${formatValue(setting)}; known: ${settings.join(", ")}`);
    }
  }
  return agent;
}

function text(value: LocatedValue, name: string, invalid: Invalid): string {
  if (value.kind === "plain" && typeof value.value === "string" && value.value.trim() !== "") return value.value;
  throw invalid(value, `${name} is ${kindOf(value)}; expected a text that is not empty`);
}

function texts(value: LocatedValue, name: string, invalid: Invalid): readonly string[] {
  if (value.kind !== "array") throw invalid(value, `${name} is ${kindOf(value)}; expected an array of texts`);
  return value.items.map((item, index) => text(item, `${name}[${index}]`, invalid));
}

function policies(value: LocatedValue, name: string, invalid: Invalid): NonNullable<Agent["retention"]> {
  if (value.kind !== "array") throw invalid(value, `${name} is ${kindOf(value)}; expected an array of policies`);
  return value.items.map((item, index) => policy(item, `${name}[${index}]`, invalid));
}

function policy(value: LocatedValue, name: string, invalid: Invalid): NonNullable<Agent["retention"]>[number] {
  if (value.kind !== "object") throw invalid(value, `${name} is ${kindOf(value)}; expected an object`);
  const fields = new Map<string, unknown>();
  for (const [setting, member] of value.members) {
    if (!policySettings.includes(setting)) {
      throw invalid(member.name, `${name} has no setting ${formatValue(setting)}; known: ${policySettings.join(", ")}`);
    }
    fields.set(setting, member.value.kind === "plain" ? member.value.value : kindOf(member.value));
  }
  const found = Object.fromEntries(fields) as unknown as RetentionPolicy;
  checked(value, invalid, () => parsePolicy(found));
  return found;
}

function budget(value: LocatedValue, name: string, invalid: Invalid): Budget {
  if (value.kind !== "object") throw invalid(value, `${name} is ${kindOf(value)}; expected an object`);
  const units = [...value.members].map(([unit, { value: one }]) => [unit, one.kind === "plain" ? one.value : null]);
  const budget = Object.fromEntries(units) as Budget;
  checked(value, invalid, () => parseBudget(budget, name));
  return budget;
}

function modelSettings(value: LocatedValue, name: string, invalid: Invalid): ModelSettings {
  const settings = plainValue(value) as ModelSettings;
  checked(value, invalid, () => parseModelSettings(settings, name));
  return settings;
}

function window(value: LocatedValue, name: string, invalid: Invalid): Window {
  const bounds = plainValue(value) as Window;
  checked(value, invalid, () => parseWindow(bounds, name));
  return bounds;
}

/** The value without its places. */
function plainValue(value: LocatedValue): Value {
  if (value.kind === "plain") return value.value;
  if (value.kind === "array") return value.items.map(plainValue);
  return Object.fromEntries([...value.members].map(([name, member]) => [name, plainValue(member.value)]));
}

function flag(value: LocatedValue, name: string, invalid: Invalid): boolean {
  if (value.kind === "plain" && typeof value.value === "boolean") return value.value;
  throw invalid(value, `${name} is ${kindOf(value)}; expected true or false`);
}

function duration(value: LocatedValue, name: string, invalid: Invalid): string | number {
  if (value.kind !== "plain" || value.value === null || typeof value.value === "boolean")
    throw invalid(value, `${name} is ${kindOf(value)}; expected a text like "1h" or milliseconds`);
  const ttl = value.value;
  checked(value, invalid, () => parseDuration(ttl, name));
  return ttl;
}

/** What the rule says against it, at the place where it stands. */
function checked(place: Place, invalid: Invalid, rule: () => unknown): void {
  try {
    rule();
  } catch (error) {
    throw error instanceof SessionError ? invalid(place, error.message) : error;
  }
}

function kindOf(value: LocatedValue): string {
  return value.kind === "plain" ? formatValue(value.value) : `an ${value.kind}`;
}
