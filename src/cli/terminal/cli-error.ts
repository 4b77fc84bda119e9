/** A failure of the command line itself: wrong usage, a signal, an id that does not exist, an invalid receipt. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: "usage" | "interrupted" | "not_found" | "receipt_invalid";

  constructor(code: "usage" | "interrupted" | "not_found" | "receipt_invalid", message: string) {
    super(message);
    this.code = code;
  }
}
