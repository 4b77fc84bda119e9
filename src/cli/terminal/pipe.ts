import { createInterface } from "node:readline";
import { addAbortSignal } from "node:stream";
import { defaultLimits } from "../../domain/values/limits.ts";
import { inputBytes } from "../../files/bytes.ts";
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
  const text = await textOfFile("-", { signal, bytesMax: defaultLimits.turnBytesMax });
  return text.replace(/\r?\n$/, "");
}

/**
 * The whole text of a file, or of stdin for `-`.
 * @throws CliError if it has more bytes; SessionError `argument_invalid` for a file that does not exist or cannot be read
 */
export async function textOfFile(
  file: string,
  { signal, bytesMax }: { readonly signal: AbortSignal; readonly bytesMax: number },
): Promise<string> {
  const source = file === "-" ? addAbortSignal(signal, process.stdin) : inputBytes(file, signal);
  const name = file === "-" ? "the text on stdin" : file;
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of source) {
    bytes += (part as Buffer).length;
    if (bytes > bytesMax) throw new CliError("usage", `${name} is over ${bytesMax} bytes; send less`);
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}
