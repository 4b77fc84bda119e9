import { createInterface } from "node:readline";
import { addAbortSignal } from "node:stream";
import { defaultLimits } from "../../domain/values/limits.ts";
import { CliError } from "./cli-error.ts";

/** The questions of a pipe or a file, one a line; a line that ends in a backslash continues in the next one. */
export async function* questionsOfPipe(signal: AbortSignal): AsyncGenerator<string, void, undefined> {
  let begun = "";
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY, signal });
  try {
    for await (const line of lines) {
      if (line.endsWith("\\")) {
        begun += `${line.slice(0, -1)}\n`;
      } else {
        yield begun + line;
        begun = "";
      }
    }
  } finally {
    lines.close(); // an open reader keeps the process alive until the pipe ends
  }
  if (begun !== "" && !signal.aborted) yield begun;
}

/**
 * The whole text of a pipe or a file, without the line break at its end.
 * @throws CliError if it is longer than a turn may be
 */
export async function textOfPipe(signal: AbortSignal): Promise<string> {
  const { turnBytesMax } = defaultLimits;
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of addAbortSignal(signal, process.stdin)) {
    bytes += (part as Buffer).length;
    if (bytes > turnBytesMax) throw new CliError("usage", `the text on stdin is over ${turnBytesMax} bytes; send less`);
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts)
    .toString("utf8")
    .replace(/\r?\n$/, "");
}
