/**
 * The endings of answers that have none of their own: an interruption, a failure of the model, too many steps of tools.
 * An error carries a code with its ids and numbers; the words for its message are made here. A turn stores the words, so
 * the readers below turn them back into details; words that changed stay readable as `reported`.
 */

/** How an answer was interrupted. */
export type Interruption =
  /** The signal of the caller aborted it. */
  | "aborted"
  /** A caller cancelled it, in any process. */
  | "cancelled"
  /** Its process closed the session. */
  | "closed"
  /** An operator broke the lease of its writer. */
  | "lease_broken"
  /** Its session ended. */
  | "session_ended"
  /** Another writer took over the session. */
  | "taken_over"
  /** The turn was truncated. */
  | "truncated"
  /** It waited, and was not resumed in time. */
  | "waiting_expired"
  /** The process of its writer has ended. */
  | "writer_gone"
  /** The process of its writer has ended, and the session has expired. */
  | "writer_gone_expired"
  /** Another end; `reported` has the text that the turn stores, if it stores one. */
  | "other";

/** An interruption. */
export interface InterruptedAnswer {
  readonly turn: number;
  readonly how: Interruption;
  /** The text that the turn stores, of `other`. */
  readonly reported?: string;
}

/** The words for each interruption. Turns and events store them: a change keeps only new ones readable as codes. */
export const interruptions: { readonly [How in Exclude<Interruption, "other">]: string } = {
  aborted: "it was aborted",
  cancelled: "it was cancelled",
  closed: "its process closed the session",
  lease_broken: "its lease was broken",
  session_ended: "the session ended",
  taken_over: "another writer took over",
  truncated: "the turn was truncated",
  waiting_expired: "it was not resumed in time",
  writer_gone: "its writer is no longer alive",
  writer_gone_expired: "its writer is no longer alive and the session expired",
};

export function describeInterruption({ how, reported }: Pick<InterruptedAnswer, "how" | "reported">): string {
  return how === "other" ? (reported ?? "no cause is stored") : interruptions[how];
}

/** The interruption that a turn stores as a text. */
export function interruptionOf(stored: string | undefined): Pick<InterruptedAnswer, "how" | "reported"> {
  const known = Object.entries(interruptions).find(([, words]) => words === stored);
  if (known !== undefined) return { how: known[0] as Interruption };
  return stored === undefined ? { how: "other" } : { how: "other", reported: stored };
}

/** Problems that Perdure finds itself; without one, `reported` has the text of the model. */
export type ModelProblem =
  /** The stream ended before the answer did. */
  | "answer_incomplete"
  /** The provider's own fields of one answer have more than `lengthMax` characters. */
  | "fields_too_large"
  /** One model is set for all names, and the name of another one was asked for: `model`. */
  | "model_fixed"
  /** No model is named, neither for the agent nor in the call. */
  | "model_unnamed"
  /** The name `model` leads to no model that can be called; `reported` says why. */
  | "model_unusable"
  /** The package `openai` is not installed. */
  | "package_missing"
  /** The recorded conversation has no such question. */
  | "question_unknown"
  /** Nothing came for `timeoutMs`. */
  | "silent"
  /** The stream broke off; `reported` has the text of the client. */
  | "stream_broken"
  /** The tool calls of one answer have more than `lengthMax` characters. */
  | "tool_calls_too_large"
  /** No response came; `reported` has the text of the client, `systemCode` and `host` tell where it failed. */
  | "unreachable";

/** The failure of a model. */
export interface ModelFailure {
  readonly sessionId?: string;
  readonly problem?: ModelProblem;
  /** The text of the model's endpoint or client, on one line. */
  readonly reported?: string;
  /** Of the model's endpoint. */
  readonly httpStatus?: number;
  /** True if the request was longer than the model's context. */
  readonly contextExceeded?: boolean;
  readonly turn?: number;
  readonly lengthMax?: number;
  readonly timeoutMs?: number;
  /** The name of the model that was asked for. */
  readonly model?: string;
  /** The id of a recorded conversation. */
  readonly conversation?: string;
  /** As `ECONNREFUSED`. */
  readonly systemCode?: string;
  /** Name and port of the endpoint. */
  readonly host?: string;
}

const modelProblems: { readonly [Problem in ModelProblem]: (failure: ModelFailure, reported: string) => string } = {
  answer_incomplete: () => "the stream ended before the answer did",
  fields_too_large: (d) => `the provider's own fields of one answer are over ${d.lengthMax} characters`,
  model_fixed: (d) =>
    `${JSON.stringify(d.model)} was asked for, and one other model is set; give aiModel a function from names to models`,
  model_unnamed: () => "no model is named; name one for the agent or in the call",
  model_unusable: (d, reported) => `there is no model for the name ${JSON.stringify(d.model)}: ${reported}`,
  package_missing: () => "the package openai is not installed; run npm install openai",
  question_unknown: (d) => `the conversation ${d.conversation} has no such question`,
  silent: (d) => `nothing came for ${d.timeoutMs} ms`,
  stream_broken: (_, reported) => `the stream broke off: ${reported}`,
  tool_calls_too_large: (d) => `the tool calls of one answer are over ${d.lengthMax} characters`,
  unreachable: (d, reported) => `${reported} (${d.systemCode}${d.host === undefined ? "" : ` at ${d.host}`})`,
};

/** @param caused the text of the error's cause, for failures without a text of their own */
export function describeModelFailure(failure: ModelFailure, caused: string): string {
  const reported = failure.reported ?? caused;
  return failure.problem === undefined ? reported : modelProblems[failure.problem](failure, reported);
}

/** An answer whose last step still called tools. */
export interface ExceededSteps {
  readonly sessionId?: string;
  readonly turn?: number;
  /** Absent if the turn does not store them. */
  readonly stepsMax?: number;
  /** The names of the tools that the last step called, at most five. */
  readonly tools?: readonly string[];
}

export function describeExceededSteps({ stepsMax, tools = [] }: ExceededSteps): string {
  const called = tools.length === 0 ? "tools" : tools.map((name) => JSON.stringify(name)).join(", ");
  return stepsMax === undefined
    ? `its last step still called ${called}`
    : `at step ${stepsMax} of ${stepsMax} the model still called ${called}`;
}

/** The details that a turn stores as a text. */
export function exceededStepsOf(stored: string | undefined): Pick<ExceededSteps, "stepsMax" | "tools"> {
  const [, stepsMax, called = ""] = /^at step \d+ of (\d+) the model still called (.*)$/s.exec(stored ?? "") ?? [];
  if (stepsMax === undefined) return {};
  const quoted = called.match(/"(?:[^"\\]|\\.)*"/gs) ?? [];
  return { stepsMax: Number(stepsMax), tools: quoted.flatMap(unquoted) };
}

/** A budget of tokens that an answer reached. */
export interface ReachedBudget {
  readonly used: number;
  readonly max: number;
}

export function describeReachedBudget({ used, max }: ReachedBudget): string {
  return `the session has used ${used} tokens, its budget is ${max}`;
}

/** The details that a turn stores as a text; none if its words are of another version. */
export function reachedBudgetOf(stored: string | undefined): ReachedBudget | undefined {
  const [, used, max] = /^the session has used (\d+) tokens, its budget is (\d+)$/.exec(stored ?? "") ?? [];
  return used === undefined ? undefined : { used: Number(used), max: Number(max) };
}

/** A budget of a day that was reached. */
export interface ReachedDailyBudget {
  readonly scope: "user" | "tenant";
  readonly unit: "tokens" | "turns";
  readonly used: number;
  readonly max: number;
  /** The end of the day, midnight UTC, epoch ms. */
  readonly startsAgainAt: number;
}

export function describeReachedDailyBudget({ scope, unit, used, max, startsAgainAt }: ReachedDailyBudget): string {
  const again = new Date(startsAgainAt).toISOString();
  return `the ${scope} has used ${used} ${unit} today, the budget of a day is ${max}; it starts again at ${again}`;
}

const dailyBudgetWords =
  /^the (user|tenant) has used (\d+) (tokens|turns) today, the budget of a day is (\d+); it starts again at (\S+)$/;

/** The details that a turn stores as a text; none if its words are of another version. */
export function reachedDailyBudgetOf(stored: string | undefined): ReachedDailyBudget | undefined {
  const [, scope, used, unit, max, again = ""] = dailyBudgetWords.exec(stored ?? "") ?? [];
  if (scope === undefined || !Number.isFinite(Date.parse(again))) return undefined;
  const words = { scope, unit } as Pick<ReachedDailyBudget, "scope" | "unit">;
  return { ...words, used: Number(used), max: Number(max), startsAgainAt: Date.parse(again) };
}

function unquoted(text: string): readonly string[] {
  try {
    return [JSON.parse(text) as string];
  } catch {
    return []; // truncated within a name by an older version
  }
}
