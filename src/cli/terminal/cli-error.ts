/** A failure that only a command line knows: wrong usage, a signal, or a thing that is not there. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: "usage" | "interrupted" | "not_found" | "receipt_invalid";

  constructor(code: "usage" | "interrupted" | "not_found" | "receipt_invalid", message: string) {
    super(message);
    this.code = code;
  }
}
