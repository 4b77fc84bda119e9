import { createInterface } from "node:readline";

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
