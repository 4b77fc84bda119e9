import { CommanderError } from "commander";
import { SessionError, type ErrorCode } from "../index.ts";

/** 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict or busy. */
export const exitCodes = { done: 0, failed: 1, usage: 2, notFound: 3, conflict: 4, interrupted: 130 } as const;

const ofError: Partial<Record<ErrorCode, number>> = {
  argument_invalid: exitCodes.usage,
  id_invalid: exitCodes.usage,
  duration_invalid: exitCodes.usage,
  range_invalid: exitCodes.usage,
  message_invalid: exitCodes.usage,
  agent_unknown: exitCodes.usage,
  agents_file_invalid: exitCodes.usage,
  store_scheme_unknown: exitCodes.usage,
  model_missing: exitCodes.usage,
  session_not_found: exitCodes.notFound,
  session_exists: exitCodes.conflict,
  conflict: exitCodes.conflict,
  contended: exitCodes.conflict,
  busy: exitCodes.conflict,
  fenced: exitCodes.conflict,
  queue_full: exitCodes.conflict,
  turn_open: exitCodes.conflict,
  store_busy: exitCodes.conflict,
};

/** What the process exits with after this error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof SessionError) {
    const code: ErrorCode = error.code;
    return ofError[code] ?? exitCodes.failed;
  }
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  return exitCodes.failed;
}
