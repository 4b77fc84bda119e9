/** Checks the logs of a snapshot, and its header against them. */
import { attachmentsLog } from "../../domain/attachments/attachment.ts";
import { eventSeverities, isAppEventType } from "../../domain/record/event.ts";
import { parseChunk } from "../../domain/turns/chunk.ts";
import { lastShared, readTree, type BranchTree } from "../../domain/branches/tree.ts";
import {
  branchesLog,
  branchOfLog,
  feedbackLog,
  isMemoryLog,
  titlesLog,
  summarizedTo,
  truncatedUsageLog,
  type Entry,
  type LogName,
} from "../../domain/record/entry.ts";
import { ratingsMax, readRating } from "../../domain/memory/feedback.ts";
import { owedCall } from "../../domain/memory/title.ts";
import { readSummary, summaryLengthMax } from "../../domain/memory/summary.ts";
import { titleAttemptsMax } from "../../domain/record/pin.ts";
import { leftOutMax, memoryOf, pinnedMax } from "../../domain/memory/turn-memory.ts";
import { encode } from "../../domain/values/codec.ts";
import { counterMax, durationMaxMs, type Limits } from "../../domain/values/limits.ts";
import { formatValue } from "../../domain/values/format-value.ts";
import type { PortableRecord } from "../../domain/copies/snapshot.ts";
import { parseMessages, type TurnData } from "../../domain/turns/turn.ts";
import { countToolCalls } from "../../domain/turns/message-steps.ts";
import { isFinish, isModelName } from "../../domain/turns/usage.ts";
import { AttachmentGuard } from "./attachment-guard.ts";
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
  /** The turn in progress or waiting, which is the last one. */
  #open: number | null = null;
  #isWaiting = false;
  /** The messages before the last turn. */
  #messagesBefore = 0;
  #usage = 0;
  #replacedKeys = 0;
  #tree: BranchTree | undefined;
  /** The number of turns in the log of each other branch. */
  readonly #kept = new Map<number, number>();
  /** The turns that the open turn replaced. */
  #replaced: { readonly header: Fields; turns: number; before: unknown; messages: number } | undefined;

  readonly #attachments: AttachmentGuard;

  constructor({ limits, refuse }: Judge) {
    this.#attachments = new AttachmentGuard(limits, refuse);
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
      case "replaced":
        this.#addReplaced(seq, objectOf(value, path, refuse), path);
        break;
      case "replaced-keys":
        this.#replacedKeys = seq;
        break;
      case truncatedUsageLog:
        this.#usage = seq;
        guardTruncatedUsage(objectOf(value, path, refuse), path, refuse);
        break;
      case attachmentsLog:
        this.#attachments.add(value, path);
        break;
      case branchesLog:
        this.#tree = readTree(JSON.stringify(value));
        if (this.#tree === undefined || seq > 1) refuse(path, { value: formatValue(value), expected: "branches" });
        break;
    }
    if (isMemoryLog(log)) guardMemoryEntry(log, seq, objectOf(value, path, refuse), { path, refuse });
    const branch = branchOfLog(log);
    if (branch !== undefined) this.#addKept(branch, seq, objectOf(value, path, refuse), path);
  }

  /** Add a turn of another branch than the current one. */
  #addKept(branch: number, seq: number, turn: Fields, path: string): void {
    const [limits, refuse] = [this.#limits, this.#refuse];
    if (!sealedStatuses.includes(turn["status"] as string))
      refuse(`${path}.status`, { value: formatValue(turn["status"]), expected: "one_of", known: sealedStatuses });
    messagesOf(turn, path, refuse);
    guardToolCalls(turn as unknown as TurnData, path, { limits, refuse });
    this.#kept.set(branch, seq);
  }

  /** The branches of the header, of their tree and of the logs are the same. */
  #guardBranches(branch: PortableRecord["branch"]): void {
    const refuse = this.#refuse;
    const tree = this.#tree;
    const numbers = tree === undefined ? [] : tree.kept.map(({ number }) => number);
    const others = [...this.#kept.keys()].filter((number) => !numbers.includes(number));
    if (branch === undefined) {
      if (tree !== undefined || others.length > 0)
        refuse("session.branch", { value: formatValue(branch), expected: "branches" });
      return;
    }
    const turnsOf = (number: number): number => {
      const kept = tree?.kept.find((one) => one.number === number);
      return kept === undefined ? this.#turns : kept.from - 1 + (this.#kept.get(number) ?? 0);
    };
    const agrees =
      tree?.current === branch.current &&
      others.length === 0 &&
      numbers.every((number) => number <= branch.made && (this.#kept.get(number) ?? 0) > 0) &&
      tree.kept.every(({ parent, from }) => from <= turnsOf(parent) + 1) &&
      lastShared(tree) === branch.shared;
    if (!agrees) refuse("session.branch", { value: formatValue(branch), expected: "branches" });
  }

  #addTurn(seq: number, turn: Fields, path: string): void {
    const refuse = this.#refuse;
    if (this.#open !== null) {
      const path = `logs.turns[${this.#open - 1}].data.status`;
      refuse(path, { value: '"open"', expected: "one_of", known: sealedStatuses });
    }
    if (unsealed.includes(turn["status"] as string)) this.#open = seq;
    this.#isWaiting = turn["status"] === "waiting";
    guardMessagesBefore(turn, path, this.#messages, refuse);
    this.#messagesBefore = this.#messages;
    this.#messages += messagesOf(turn, path, refuse);
    this.#turns = seq;
  }

  /** Add an entry of the log `replaced`: the first one is its header, the others are turns. */
  #addReplaced(seq: number, value: Fields, path: string): void {
    const refuse = this.#refuse;
    if (this.#replaced === undefined) {
      this.#replaced = { header: value, turns: 0, before: undefined, messages: 0 };
      return;
    }
    const replaced = this.#replaced;
    if (!sealedStatuses.includes(value["status"] as string))
      refuse(`${path}.status`, { value: formatValue(value["status"]), expected: "one_of", known: sealedStatuses });
    if (replaced.turns === 0) replaced.before = value["messagesBefore"];
    if (typeof replaced.before === "number")
      guardMessagesBefore(value, path, replaced.before + replaced.messages, refuse);
    guardToolCalls(value as unknown as TurnData, path, { limits: this.#limits, refuse });
    replaced.messages += messagesOf(value, path, refuse);
    replaced.turns = seq - 1;
  }

  #guardReplaced(openTurn: number | null): void {
    const refuse = this.#refuse;
    const path = "logs.replaced[0].data";
    if (this.#replaced === undefined) return;
    const { header, turns, before } = this.#replaced;
    if (openTurn === null) refuse("session.openTurn", { value: "null", expected: "whole_number", min: 1 });
    guardMessagesBefore({ messagesBefore: before }, "logs.replaced[1].data", this.#messagesBefore, refuse);
    const most = (openTurn ?? 1) - 1 + turns;
    wholeOf(header["inherited"], `${path}.inherited`, { least: 0, most, refuse });
    wholeOf(header[truncatedUsageLog], `${path}.${truncatedUsageLog}`, { least: 0, most: this.#usage, refuse });
    wholeOf(header["keys"], `${path}.keys`, { least: 0, most: this.#replacedKeys, refuse });
  }

  /** Check the header against the log of turns, once all entries were added. @throws what `refuse` throws */
  guardHeader({ state, counters, openTurn, waiting, inherited = 0, branch }: PortableRecord): void {
    const refuse = this.#refuse;
    const turns = this.#turns;
    this.#attachments.end();
    const agrees = (path: string, stated: number, found: number): void => {
      if (stated !== found) refuse(path, { value: String(stated), expected: "one_of", known: [String(found)] });
    };
    if (openTurn !== null) agrees("session.openTurn", openTurn, turns);
    if (openTurn !== this.#open)
      refuse(`logs.turns[${turns - 1}].data.status`, {
        value: this.#open === null ? "sealed" : '"open"',
        expected: "one_of",
        known: this.#open === null ? unsealed : sealedStatuses,
      });
    if (openTurn !== null && (state === "ended" || state === "archived"))
      refuse("session.openTurn", { value: String(openTurn), expected: "one_of", known: ["null"] });
    if ((waiting !== undefined) !== this.#isWaiting)
      refuse(`logs.turns[${turns - 1}].data.status`, {
        value: this.#isWaiting ? '"waiting"' : "not waiting",
        expected: "one_of",
        known: this.#isWaiting ? ["open", ...sealedStatuses] : ["waiting"],
      });
    this.#guardReplaced(openTurn);
    this.#guardBranches(branch);
    agrees("session.counters.turns", counters.turns, turns);
    agrees("session.counters.messages", counters.messages, this.#messages);
    if (inherited > turns)
      refuse("session.inherited", { value: String(inherited), expected: "whole_number", min: 0, max: turns });
  }
}

/** The limit of tool calls is that of a turn which is appended. */
function guardToolCalls({ input, output }: TurnData, path: string, { limits, refuse }: Judge): void {
  const count = countToolCalls(input) + countToolCalls(output);
  if (count > limits.toolCallsMax) refuse(path, { length: count, expected: "tool_calls", max: limits.toolCallsMax });
}

function guardMessagesBefore({ messagesBefore }: Fields, path: string, messages: number, refuse: Refuse): void {
  if (messagesBefore === undefined || messagesBefore === messages) return;
  const known = [String(messages)];
  refuse(`${path}.messagesBefore`, { value: formatValue(messagesBefore), expected: "one_of", known });
}

const sealedStatuses = ["done", "failed", "interrupted"];
const unsealed = ["open", "waiting"];
const statuses = [...unsealed, ...sealedStatuses];

/** The number of messages of the turn. */
function messagesOf(turn: Fields, path: string, refuse: Refuse): number {
  const { status, agent, model, requests, durationMs, waitedMs, usage, steps, finish, error, resume } = turn;
  if (!statuses.includes(status as string))
    refuse(`${path}.status`, { value: formatValue(status), expected: "one_of", known: statuses });
  idOf(agent, `${path}.agent`, refuse);
  guardModel(model, path, refuse);
  countOf(requests, `${path}.requests`, refuse);
  if (durationMs !== undefined) spanOf(durationMs, `${path}.durationMs`, { most: durationMaxMs, refuse });
  if (waitedMs !== undefined) spanOf(waitedMs, `${path}.waitedMs`, { most: durationMaxMs, refuse });
  if (status === "waiting" || resume !== undefined) guardResume(resume, `${path}.resume`, refuse);
  if (usage !== undefined) guardUsage(usage, path, (tokens, place) => countOf(tokens, place, refuse), refuse);
  if (finish !== undefined && !isFinish(finish))
    refuse(`${path}.finish`, { value: formatValue(finish), expected: "name", min: 1, max: 64 });
  if (steps !== undefined) guardSteps(steps, `${path}.steps`, refuse);
  if (error !== undefined) {
    const { code, message } = objectOf(error, `${path}.error`, refuse);
    textOfAtMost(code, `${path}.error.code`, { lengthMax: 256, refuse });
    if (typeof message !== "string") refuse(`${path}.error.message`, { value: formatValue(message), expected: "text" });
  }
  let count = 0;
  for (const part of ["input", "output"]) {
    const messages = turn[part];
    if (!Array.isArray(messages)) refuse(`${path}.${part}`, { value: formatValue(messages), expected: "array" });
    count += judged(`${path}.${part}`, refuse, () => parseMessages(messages, "user", `${path}.${part}`)).length;
  }
  const { length } = turn["output"] as readonly unknown[];
  // The output of a turn in progress is in the log of chunks.
  if (status === "open" && length > 0) refuse(`${path}.output`, { length, expected: "list", max: 0 });
  // The output of a turn that waits is counted at its end.
  return status === "waiting" ? count - length : count;
}

function guardResume(value: unknown, path: string, refuse: Refuse): void {
  const { state, notRun, asks } = objectOf(value, path, refuse);
  if (state === undefined) refuse(`${path}.state`, { value: "undefined", expected: "value" });
  if (!Array.isArray(notRun)) refuse(`${path}.notRun`, { value: formatValue(notRun), expected: "array" });
  judged(`${path}.notRun`, refuse, () => parseMessages([{ role: "assistant", tool_calls: notRun }], "user", path));
  if (!Array.isArray(asks)) refuse(`${path}.asks`, { value: formatValue(asks), expected: "array" });
  // The model chose the ids of its calls: any text may be one.
  for (const [index, id] of (asks as readonly unknown[]).entries())
    if (typeof id !== "string") refuse(`${path}.asks[${index}]`, { value: formatValue(id), expected: "text" });
}

function guardModel(model: unknown, path: string, refuse: Refuse): void {
  if (model !== undefined && !isModelName(model))
    refuse(`${path}.model`, { value: formatValue(model), expected: "name", min: 1, max: 256 });
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
  if (!Array.isArray(steps)) refuse(path, { value: formatValue(steps), expected: "array" });
  for (const [index, one] of (steps as readonly unknown[]).entries()) {
    const place = `${path}[${index}]`;
    const { agent, model, usage, durationMs } = objectOf(one, place, refuse);
    if (agent !== undefined) idOf(agent, `${place}.agent`, refuse);
    guardModel(model, place, refuse);
    guardUsage(usage, place, (tokens, at) => countOf(tokens, at, refuse), refuse);
    spanOf(durationMs, `${place}.durationMs`, { most: durationMaxMs, refuse });
  }
}

/** Types of a later version pass. */
function guardEvent({ type, correlation, heldMs, severity }: Fields, path: string, refuse: Refuse): void {
  const isApp = isAppEventType(type);
  if (isApp && !eventSeverities.some((known) => known === severity))
    refuse(`${path}.severity`, { value: formatValue(severity), expected: "one_of", known: eventSeverities });
  if (isApp) {
    if (correlation !== undefined) idOf(correlation, `${path}.correlation`, refuse);
    return;
  }
  if (typeof type !== "string" || !/^[a-z][a-z_]{0,63}$/.test(type))
    refuse(`${path}.type`, { value: formatValue(type), expected: "event_type" });
  if (correlation !== undefined) idOf(correlation, `${path}.correlation`, refuse);
  const isSpan = typeof heldMs === "number" && Math.abs(heldMs) <= counterMax;
  if (heldMs !== undefined && heldMs !== null && !isSpan)
    refuse(`${path}.heldMs`, { value: formatValue(heldMs), expected: "number", min: -counterMax, max: counterMax });
}

/** Summaries and ratings have a text or a value, and marks are lists: what cannot be read would be passed over for good. */
function guardMemoryEntry(
  log: LogName,
  seq: number,
  value: Fields,
  { path, refuse }: { readonly path: string; readonly refuse: Refuse },
): void {
  const entry = { seq, key: null, at: 0, data: encode(value) };
  const to = summarizedTo(log);
  if (to !== undefined) {
    if (readSummary(to, entry) === undefined) refuse(path, { value: formatValue(value), expected: "object" });
    textOfAtMost(value["text"], `${path}.text`, { lengthMax: summaryLengthMax, refuse });
  } else if (log === titlesLog) {
    // One more closes the log.
    if (seq > titleAttemptsMax + 1 || (Object.keys(value).length > 0 && owedCall(entry) === undefined))
      refuse(path, { value: formatValue(value), expected: "object" });
  } else if (log === feedbackLog) {
    if (readRating(entry) === undefined || seq > ratingsMax)
      refuse(path, { value: formatValue(value), expected: "object" });
  } else {
    const { pinned, leftOut } = memoryOf(entry);
    const isWhole = (list: unknown, read: readonly unknown[], max: number): boolean =>
      Array.isArray(list) && list.length === read.length && list.length <= max;
    const isRead = isWhole(value["pinned"], pinned, pinnedMax) && isWhole(value["leftOut"], leftOut, leftOutMax);
    if (!isRead || seq > 1) refuse(path, { value: formatValue(value), expected: "object" });
  }
}

/** The usage of truncated turns: sums, which may be greater than the usage of one turn. */
function guardTruncatedUsage(usage: Fields, path: string, refuse: Refuse): void {
  const sum = (value: unknown, place: string): void => {
    wholeOf(value, place, { least: 0, most: counterMax, refuse });
  };
  idOf(usage["agent"], `${path}.agent`, refuse);
  guardModel(usage["model"], path, refuse);
  guardUsage(usage["usage"], path, sum, refuse);
  for (const name of ["requests", "turns", "failed", "interrupted", "estimated"]) sum(usage[name], `${path}.${name}`);
  for (const name of ["durationMs", "longestMs"]) spanOf(usage[name], `${path}.${name}`, { most: counterMax, refuse });
}
