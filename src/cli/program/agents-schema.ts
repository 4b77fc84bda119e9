import type { Budget } from "../../domain/record/record.ts";
import { parseBudget } from "../../domain/record/budget.ts";
import { parseDuration, parseLifetime } from "../../domain/values/duration.ts";
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
import { parseWindow, type Window } from "../../domain/request/window.ts";
import { parseCompaction, type Compaction } from "../../sessions/options/compaction.ts";
import type { ModelSettings } from "../../sessions/options/model.ts";
import { parseModelSettings } from "../../sessions/options/model-settings.ts";
import type { Value } from "../../domain/values/codec.ts";
import { parsePolicy, type Agent, type RetentionPolicy } from "../../sessions/options/options.ts";
import type { Mismatch } from "../../errors/expectations.ts";
import { defined } from "../../domain/values/defined.ts";
import { mismatchOf } from "../../domain/values/invalid-argument.ts";

const settings = [
  "instructions",
  "model",
  "settings",
  "window",
  "compaction",
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
 * The agents of a JSON text `{"ceo":{"instructions":"…","model":"…","ttl":"1h"}, …}`; `file` is its name in errors.
 * Names are ordinary text, `__proto__` and `constructor` included.
 * @throws SessionError `agents_file_invalid` with the line
 */
export function parseAgentsFile(text: string, file: string): Readonly<Record<string, Agent>> {
  const invalid: Invalid = ({ line, column }, path, mismatch, cause) =>
    new SessionError("agents_file_invalid", { file, line, column, ...defined({ path }), ...mismatch }, { cause });

  let root: LocatedValue;
  try {
    root = parseLocatedJson(text);
  } catch (error) {
    if (error instanceof JsonError) throw invalid(error.place, undefined, { expected: "json" }, error);
    throw error;
  }
  if (root.kind !== "object") throw invalid(root, undefined, { value: kindOf(root), expected: "agents_object" });
  const agents = [...root.members].map(([name, member]) => [name, parseAgent(name, member, invalid)] as const);
  // Object.fromEntries makes `__proto__` an ordinary member; an assignment would not.
  return Object.fromEntries(agents);
}

/** Makes the error of a value at a place; `path` names the value. */
type Invalid = (place: Place, path: string | undefined, mismatch: Mismatch, cause?: unknown) => SessionError;

function parseAgent(name: string, { name: place, value }: LocatedMember, invalid: Invalid): Agent {
  checked(place, invalid, () => parseNewId(name, "agent"));
  if (value.kind !== "object") throw invalid(value, name, { value: kindOf(value), expected: "object" });
  const agent: { -readonly [Setting in keyof Agent]: Agent[Setting] } = {};
  for (const [setting, member] of value.members) {
    if (setting === "instructions") {
      agent.instructions = text(member.value, `${name}.instructions`, invalid);
    } else if (setting === "model") {
      agent.model = text(member.value, `${name}.model`, invalid);
    } else if (setting === "settings") {
      agent.settings = modelSettings(member.value, `${name}.settings`, invalid);
    } else if (setting === "window") {
      agent.window = window(member.value, `${name}.window`, invalid);
    } else if (setting === "compaction") {
      agent.compaction = compaction(member.value, `${name}.compaction`, invalid);
    } else if (setting === "ttl" || setting === "handoffTtl" || setting === "idleTimeout") {
      agent[setting] = duration(member.value, `${name}.${setting}`, invalid);
    } else if (setting === "description") {
      agent.description = text(member.value, `${name}.description`, invalid);
    } else if (setting === "keywords") {
      agent.keywords = texts(member.value, `${name}.keywords`, invalid);
    } else if (setting === "default") {
      agent.default = flag(member.value, `${name}.default`, invalid);
    } else if (setting === "openToDevices") {
      agent.openToDevices = flag(member.value, `${name}.openToDevices`, invalid);
    } else if (setting === "retention") {
      agent.retention = policies(member.value, `${name}.retention`, invalid);
    } else if (setting === "budget") {
      agent.budget = budget(member.value, `${name}.budget`, invalid);
    } else {
      throw invalid(member.name, `${name}.${setting}`, { expected: "setting", known: settings });
    }
  }
  return agent;
}

function text(value: LocatedValue, name: string, invalid: Invalid): string {
  if (value.kind === "plain" && typeof value.value === "string" && value.value.trim() !== "") return value.value;
  throw invalid(value, name, { value: kindOf(value), expected: "text", min: 1 });
}

function texts(value: LocatedValue, name: string, invalid: Invalid): readonly string[] {
  if (value.kind !== "array") throw invalid(value, name, { value: kindOf(value), expected: "array" });
  return value.items.map((item, index) => text(item, `${name}[${index}]`, invalid));
}

function policies(value: LocatedValue, name: string, invalid: Invalid): NonNullable<Agent["retention"]> {
  if (value.kind !== "array") throw invalid(value, name, { value: kindOf(value), expected: "array" });
  return value.items.map((item, index) => policy(item, `${name}[${index}]`, invalid));
}

function policy(value: LocatedValue, name: string, invalid: Invalid): NonNullable<Agent["retention"]>[number] {
  if (value.kind !== "object") throw invalid(value, name, { value: kindOf(value), expected: "object" });
  const fields = new Map<string, unknown>();
  for (const [setting, member] of value.members) {
    if (!policySettings.includes(setting)) {
      throw invalid(member.name, `${name}.${setting}`, { expected: "setting", known: policySettings });
    }
    fields.set(setting, member.value.kind === "plain" ? member.value.value : kindOf(member.value));
  }
  const found = Object.fromEntries(fields) as unknown as RetentionPolicy;
  checked(value, invalid, () => parsePolicy(found, name));
  return found;
}

function budget(value: LocatedValue, name: string, invalid: Invalid): Budget {
  if (value.kind !== "object") throw invalid(value, name, { value: kindOf(value), expected: "object" });
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

function compaction(value: LocatedValue, name: string, invalid: Invalid): Compaction {
  const plain = plainValue(value) as unknown as Compaction;
  checked(value, invalid, () => parseCompaction(plain, name));
  return plain;
}

/** The plain value, without the places of its parts in the file. */
function plainValue(value: LocatedValue): Value {
  if (value.kind === "plain") return value.value;
  if (value.kind === "array") return value.items.map(plainValue);
  return Object.fromEntries([...value.members].map(([name, member]) => [name, plainValue(member.value)]));
}

function flag(value: LocatedValue, name: string, invalid: Invalid): boolean {
  if (value.kind === "plain" && typeof value.value === "boolean") return value.value;
  throw invalid(value, name, { value: kindOf(value), expected: "boolean" });
}

function duration(value: LocatedValue, name: string, invalid: Invalid): string | number {
  if (value.kind !== "plain" || value.value === null || typeof value.value === "boolean")
    throw invalid(value, name, { value: kindOf(value), expected: "duration" });
  const ttl = value.value;
  const rule = name.startsWith("ttl of ") ? parseLifetime : parseDuration;
  checked(value, invalid, () => rule(ttl, name));
  return ttl;
}

/** Applies a rule, and reports its mismatch with the place of the value. */
function checked(place: Place, invalid: Invalid, rule: () => unknown): void {
  try {
    rule();
  } catch (error) {
    if (!(error instanceof SessionError)) throw error;
    const { path, ...mismatch } = mismatchOf(error);
    throw invalid(place, path, mismatch, error);
  }
}

function kindOf(value: LocatedValue): string {
  return value.kind === "plain" ? formatValue(value.value) : `an ${value.kind}`;
}
