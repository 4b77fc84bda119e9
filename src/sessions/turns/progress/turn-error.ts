/** The error of an answer as its turn stores it, and back. */
import {
  describeExceededSteps,
  describeInterruption,
  describeModelFailure,
  describeReachedBudget,
  describeReachedDailyBudget,
  exceededStepsOf,
  interruptionOf,
  reachedBudgetOf,
  reachedDailyBudgetOf,
} from "../../../errors/answer-problems.ts";
import { hasCode, SessionError } from "../../../errors.ts";
import type { Turn } from "../../../domain/turns/turn.ts";

/** The ids of a turn. */
interface TurnIds {
  readonly sessionId: string;
  readonly tenant?: string;
  readonly agent?: string;
  readonly turn: number;
}

/** The error as a turn stores it: the part of the message that the turn itself does not show. */
export function storedErrorOf(error: SessionError): NonNullable<Turn["error"]> {
  return { code: error.code, message: causeOf(error) };
}

function causeOf(error: SessionError): string {
  if (hasCode(error, "interrupted")) return describeInterruption(error.details);
  if (hasCode(error, "budget_exceeded")) return describeReachedBudget(error.details);
  if (hasCode(error, "daily_budget_exceeded")) return describeReachedDailyBudget(error.details);
  if (hasCode(error, "tool_steps_exceeded")) return describeExceededSteps(error.details);
  if (hasCode(error, "model_failed") || hasCode(error, "model_refused")) {
    const { cause } = error;
    return describeModelFailure(error.details, cause instanceof Error ? cause.message : "");
  }
  return error.message;
}

/** The error of a turn that was sealed as failed or interrupted. */
export function errorOfTurn({ status, error }: Turn, ids: TurnIds): SessionError {
  if (status === "interrupted") return new SessionError("interrupted", { ...ids, ...interruptionOf(error?.message) });
  if (error?.code === "tool_steps_exceeded")
    return new SessionError("tool_steps_exceeded", { ...ids, ...exceededStepsOf(error.message) });
  const reached = error?.code === "budget_exceeded" ? reachedBudgetOf(error.message) : undefined;
  if (reached !== undefined) return new SessionError("budget_exceeded", { ...ids, unit: "tokens", ...reached });
  const daily = error?.code === "daily_budget_exceeded" ? reachedDailyBudgetOf(error.message) : undefined;
  // The turn does not store when it failed: a retry with the same key gets the same failure on another day too.
  if (daily !== undefined) return new SessionError("daily_budget_exceeded", { ...ids, ...daily, retryAfterMs: 0 });
  const code = error?.code === "model_refused" ? "model_refused" : "model_failed";
  return new SessionError(code, { ...ids, reported: error?.message ?? status });
}
