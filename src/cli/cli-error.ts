/** A failure that only a command line knows: wrong usage, or a signal. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly code: "usage" | "interrupted";

  constructor(code: "usage" | "interrupted", message: string) {
    super(message);
    this.code = code;
  }
}
