/** The error of Perdure. Its codes are in `errors/codes.ts`, which says how to add one. */
import { errorCodes, type ErrorCode, type ErrorContext, type ErrorDetails } from "./errors/codes.ts";
import { messages } from "./errors/messages.ts";

export {
  errorCodes,
  type DetailKind,
  type ErrorCode,
  type ErrorContext,
  type ErrorDetails,
  type ErrorRule,
} from "./errors/codes.ts";
export type { StreamFailure } from "./errors/codes.ts";
export type { RuntimeFailure } from "./errors/host-problems.ts";

/** Options of an error beside its code and details. */
export interface SessionErrorOptions extends ErrorOptions {
  /** Text of another component, such as a driver or a model endpoint, for the message. @default the message of `cause` */
  readonly reported?: string;
  /** The whole text, of an error that another process has sent. */
  readonly message?: string;
}

/**
 * The one error class of Perdure: every error that it throws on purpose. `code` says what failed, `details` hold the ids
 * and limits needed to act on it. Callers branch on `code`, never on the text.
 */
export class SessionError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = "SessionError";
  readonly code: Code;
  readonly details: ErrorDetails[Code] & ErrorContext;

  constructor(code: Code, details: ErrorDetails[Code] & ErrorContext, options: SessionErrorOptions = {}) {
    const { message: text, reported, ...rest } = options;
    super(text ?? messages[code](details, reported ?? textOf(options.cause)), rest);
    this.code = code;
    this.details = details;
  }

  /**
   * A copy with the ids of the operation: one failure of a store may fail many operations. Ids that the details have
   * already stay, except for the command.
   */
  withContext({ command, ...ids }: ErrorContext & { readonly command: string }): SessionError<Code> {
    const details = { ...ids, ...this.details, command };
    const cause = "cause" in this ? { cause: this.cause } : {};
    const copy = new SessionError(this.code, details, { ...cause, message: this.message });
    if (this.stack !== undefined) copy.stack = this.stack;
    return copy;
  }

  /** True if the same call may succeed later. */
  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }

  /** The HTTP status of a response with this code. */
  get status(): number {
    return errorCodes[this.code].status;
  }
}

function textOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message;
  return typeof cause === "string" ? cause : "";
}

/** True if `error` is a {@link SessionError} with this code. */
export function hasCode<Code extends ErrorCode>(error: unknown, code: Code): error is SessionError<Code> {
  return error instanceof SessionError && error.code === code;
}
