import { createInterface } from "node:readline";

/** The questions of a pipe or a file, one a line; a line that ends in a backslash continues in the next one. */
export async function* questionsOfPipe(signal: AbortSignal): AsyncGenerator<string, void, undefined> {
  let begun = "";
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY, signal })) {
    if (line.endsWith("\\")) {
      begun += `${line.slice(0, -1)}\n`;
    } else {
      yield begun + line;
      begun = "";
    }
  }
  if (begun !== "" && !signal.aborted) yield begun;
}
