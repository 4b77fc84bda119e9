/** Checks the logs of a snapshot, and its header against them. */
import { parseChunk } from "../../domain/turns/chunk.ts";
import type { Entry, LogName } from "../../domain/record/entry.ts";
import { counterMax, durationMaxMs, type Limits } from "../../domain/values/limits.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import { countToolCalls, parseMessages, type TurnData } from "../../domain/turns/turn.ts";
import { isFinish, isModelName } from "../../domain/turns/usage.ts";
import {
  countOf,
  idOf,
  judged,
  objectOf,
  spanOf,
  textOfAtMost,
  wholeOf,
  type Fields,
  type Refuse,
} from "./snapshot-fields.ts";

/** The limits that hold, and the way the document is refused. */
interface Judge {
  readonly limits: Limits;
  readonly refuse: Refuse;
}

/** Checks the entries of a snapshot as they come, and at the end whether the header agrees with them. */
export class ContentGuard {
  readonly #limits: Limits;
  readonly #refuse: Refuse;
  #turns = 0;
  #messages = 0;
  /** The turn in progress, which is the last one. */
  #open: number | null = null;

  constructor({ limits, refuse }: Judge) {
    this.#limits = limits;
    this.#refuse = refuse;
  }

  /** Check the next entry of a log, by the value of its data. @throws what `refuse` throws */
  add(log: LogName, { seq }: Entry, value: unknown): void {
    const [limits, refuse] = [this.#limits, this.#refuse];
    const path = `logs.${log}[${seq - 1}].data`;
    switch (log) {
      case "turns":
        this.#addTurn(seq, objectOf(value, path, refuse), path);
        guardToolCalls(value as TurnData, path, { limits, refuse });
        break;
      case "instructions":
        textOfAtMost(value, path, { lengthMax: limits.instructionsLengthMax, refuse });
        break;
      case "chunks":
        judged(path, refuse, () => parseChunk(value));
        break;
      case "events":
        guardEvent(objectOf(value, path, refuse), path, refuse);
        break;
      case "spent":
        guardSpent(objectOf(value, path, refuse), path, refuse);
        break;
    }
  }

  #addTurn(seq: number, turn: Fields, path: string): void {
    const refuse = this.#refuse;
    if (this.#open !== null) refuse(`logs.turns[${this.#open - 1}].data.status`, `is "open", turn ${seq} follows`);
    if (turn["status"] === "open") this.#open = seq;
    const before = turn["messagesBefore"];
    if (before !== undefined && before !== this.#messages)
      refuse(`${path}.messagesBefore`, `is ${formatValue(before)}, the log has ${this.#messages}`);
    this.#messages += messagesOf(turn, path, refuse);
    this.#turns = seq;
  }

  /** Check the header against the log of turns, once all entries were added. @throws what `refuse` throws */
  guardHeader({ state, counters, openTurn, inherited = 0 }: PortableRecord): void {
    const refuse = this.#refuse;
    const turns = this.#turns;
    const agrees = (path: string, said: number, found: number): void => {
      if (said !== found) refuse(path, `is ${said}, the log has ${found}`);
    };
    if (openTurn !== null) agrees("session.openTurn", openTurn, turns);
    if (openTurn !== this.#open)
      refuse(
        `logs.turns[${turns - 1}].data.status`,
        `is ${this.#open === null ? "not " : ""}"open", openTurn is ${openTurn}`,
      );
    if (openTurn !== null && (state === "ended" || state === "archived"))
      refuse("session.openTurn", `is ${openTurn}; a session in the state ${state} has no turn in progress`);
    agrees("session.counters.turns", counters.turns, turns);
    agrees("session.counters.messages", counters.messages, this.#messages);
    if (inherited > turns) refuse("session.inherited", `is ${inherited}, the log has ${turns} turns`);
  }
}

/** The limit of tool calls is that of a turn which is appended. */
function guardToolCalls({ input, output }: TurnData, path: string, { limits, refuse }: Judge): void {
  const count = countToolCalls(input) + countToolCalls(output);
  if (count > limits.toolCallsMax) refuse(path, `has ${count} tool calls, the limit is ${limits.toolCallsMax}`);
}

const statuses: readonly unknown[] = ["open", "done", "failed", "interrupted"];

/** The number of messages of the turn. */
function messagesOf(turn: Fields, path: string, refuse: Refuse): number {
  const { status, agent, model, requests, durationMs, usage, steps, finish, error } = turn;
  if (!statuses.includes(status)) refuse(`${path}.status`, `is ${formatValue(status)}`);
  idOf(agent, `${path}.agent`, refuse);
  guardModel(model, path, refuse);
  countOf(requests, `${path}.requests`, refuse);
  if (durationMs !== undefined) spanOf(durationMs, `${path}.durationMs`, { most: durationMaxMs, refuse });
  if (usage !== undefined) guardUsage(usage, path, (tokens, place) => countOf(tokens, place, refuse), refuse);
  if (finish !== undefined && !isFinish(finish))
    refuse(`${path}.finish`, `is ${formatValue(finish)}; expected a text of 1 to 64 characters, no control characters`);
  if (steps !== undefined) guardSteps(steps, `${path}.steps`, refuse);
  if (error !== undefined) {
    const { code, message } = objectOf(error, `${path}.error`, refuse);
    textOfAtMost(code, `${path}.error.code`, { lengthMax: 256, refuse });
    if (typeof message !== "string") refuse(`${path}.error.message`, `is ${formatValue(message)}; expected a text`);
  }
  let count = 0;
  for (const part of ["input", "output"]) {
    const messages = turn[part];
    if (!Array.isArray(messages))
      refuse(`${path}.${part}`, `is ${formatValue(messages)}; expected an array of messages`);
    count += judged(`${path}.${part}`, refuse, () => parseMessages(messages, "user", part)).length;
  }
  if (status === "open" && (turn["output"] as readonly unknown[]).length > 0)
    refuse(`${path}.output`, "holds messages; a turn in progress has none yet");
  return count;
}

function guardModel(model: unknown, path: string, refuse: Refuse): void {
  if (model !== undefined && !isModelName(model))
    refuse(`${path}.model`, `is ${formatValue(model)}; expected a text of 1 to 256 characters, no control characters`);
}

function guardUsage(
  value: unknown,
  path: string,
  guard: (tokens: unknown, path: string) => void,
  refuse: Refuse,
): void {
  const usage = objectOf(value, `${path}.usage`, refuse);
  for (const name of ["inputTokens", "outputTokens", "totalTokens"]) guard(usage[name], `${path}.usage.${name}`);
  for (const name of ["cachedTokens", "reasoningTokens"]) {
    if (usage[name] !== undefined) guard(usage[name], `${path}.usage.${name}`);
  }
}

function guardSteps(steps: unknown, path: string, refuse: Refuse): void {
  if (!Array.isArray(steps)) refuse(path, `is ${formatValue(steps)}; expected an array`);
  for (const [index, one] of (steps as readonly unknown[]).entries()) {
    const place = `${path}[${index}]`;
    const { model, usage, durationMs } = objectOf(one, place, refuse);
    guardModel(model, place, refuse);
    guardUsage(usage, place, (tokens, at) => countOf(tokens, at, refuse), refuse);
    spanOf(durationMs, `${place}.durationMs`, { most: durationMaxMs, refuse });
  }
}

/** Types of a later version pass. */
function guardEvent({ type, correlation, heldMs }: Fields, path: string, refuse: Refuse): void {
  if (typeof type !== "string" || !/^[a-z][a-z_]{0,63}$/.test(type))
    refuse(`${path}.type`, `is ${formatValue(type)}; expected a type of event`);
  if (correlation !== undefined) idOf(correlation, `${path}.correlation`, refuse);
  const isSpan = typeof heldMs === "number" && Math.abs(heldMs) <= counterMax;
  if (heldMs !== undefined && heldMs !== null && !isSpan)
    refuse(`${path}.heldMs`, `is ${formatValue(heldMs)}; expected milliseconds or null`);
}

/** The usage of truncated turns: sums, which may be greater than the usage of one turn. */
function guardSpent(spent: Fields, path: string, refuse: Refuse): void {
  const sum = (value: unknown, place: string): void => {
    wholeOf(value, place, { least: 0, most: counterMax, refuse });
  };
  idOf(spent["agent"], `${path}.agent`, refuse);
  guardModel(spent["model"], path, refuse);
  guardUsage(spent["usage"], path, sum, refuse);
  for (const name of ["requests", "turns", "failed", "interrupted", "estimated"]) sum(spent[name], `${path}.${name}`);
  for (const name of ["durationMs", "longestMs"]) spanOf(spent[name], `${path}.${name}`, { most: counterMax, refuse });
}
