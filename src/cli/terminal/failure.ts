/** Prints failures, and maps them to exit codes. */
import { inspect } from "node:util";
import { CommanderError } from "commander";
import { hasCode, SessionError, type ErrorCode } from "../../errors.ts";
import { CliError } from "./cli-error.ts";
import { printable } from "../../domain/values/format-value.ts";
import { jsonLine, note } from "./output.ts";

/** 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict or busy, 5 a newer schema. */
export const exitCodes = { done: 0, failed: 1, usage: 2, notFound: 3, conflict: 4, newerSchema: 5 } as const;

const ofCode: Partial<Record<ErrorCode, number>> = {
  argument_invalid: exitCodes.usage,
  id_invalid: exitCodes.usage,
  duration_invalid: exitCodes.usage,
  range_invalid: exitCodes.usage,
  message_invalid: exitCodes.usage,
  value_unstorable: exitCodes.usage,
  log_reserved: exitCodes.usage,
  write_too_large: exitCodes.usage,
  document_too_large: exitCodes.usage,
  attachment_too_large: exitCodes.usage,
  agent_unknown: exitCodes.usage,
  agents_file_invalid: exitCodes.usage,
  store_scheme_unknown: exitCodes.usage,
  model_missing: exitCodes.usage,
  runtime_invalid: exitCodes.usage,
  snapshot_invalid: exitCodes.usage,
  session_not_found: exitCodes.notFound,
  snapshot_not_found: exitCodes.notFound,
  document_not_found: exitCodes.notFound,
  attachment_not_found: exitCodes.notFound,
  stream_not_found: exitCodes.notFound,
  branch_not_found: exitCodes.notFound,
  share_not_found: exitCodes.notFound,
  session_exists: exitCodes.conflict,
  legal_hold: exitCodes.conflict,
  conflict: exitCodes.conflict,
  document_conflict: exitCodes.conflict,
  contended: exitCodes.conflict,
  busy: exitCodes.conflict,
  fenced: exitCodes.conflict,
  queue_full: exitCodes.conflict,
  turn_open: exitCodes.conflict,
  turn_waiting: exitCodes.conflict,
  turn_not_waiting: exitCodes.conflict,
  store_busy: exitCodes.conflict,
  store_schema_newer: exitCodes.newerSchema,
  snapshot_newer: exitCodes.newerSchema,
};

export function exitCodeOf(error: unknown): number {
  if (isMissingFile(error)) return exitCodes.notFound;
  if (error instanceof SessionError) return ofCode[error.code as ErrorCode] ?? exitCodes.failed;
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done;
  if (error instanceof CliError && error.code === "not_found") return exitCodes.notFound;
  if (error instanceof CliError && error.code === "receipt_invalid") return exitCodes.failed;
  if (error instanceof CommanderError || error instanceof CliError) return exitCodes.usage;
  return exitCodes.failed;
}

/** True for a file that a command is to read, and that does not exist. */
function isMissingFile(error: unknown): boolean {
  return hasCode(error, "argument_invalid") && error.details.expected === "existing_file";
}

/** Print one line on stderr: for people, or with `json` for programs. `PERDURE_DEBUG` adds the stack. */
export function complain(error: unknown, { json }: { json: boolean }): void {
  // Commander has printed the help or the version already.
  if (
    error instanceof CommanderError &&
    ["commander.help", "commander.helpDisplayed", "commander.version"].includes(error.code)
  )
    return;
  const { code, message, details } = describe(error);
  const line = json ? jsonLine({ error: { code, message, details } }) : `perdure: ${message} [${code}]`;
  process.stderr.write(`${line}\n`);
  if (process.env["PERDURE_DEBUG"]) note(inspect(error));
}

function describe(error: unknown): { code: string; message: string; details: object } {
  const text = error instanceof Error ? error.message : String(error);
  const message = printable(
    text
      .split("\n")
      .map((line) => line.trim())
      .join(" "),
  );
  if (isMissingFile(error)) return { code: "not_found", message, details: {} };
  if (error instanceof SessionError) return { code: error.code, message, details: error.details };
  if (error instanceof CliError) return { code: error.code, message, details: {} };
  if (error instanceof CommanderError) return { code: "usage", message: message.replace(/^error: /, ""), details: {} };
  return { code: "internal", message, details: {} };
}
