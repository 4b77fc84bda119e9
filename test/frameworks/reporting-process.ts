/** A process that prints a JSON object a line for each step that was acknowledged to it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { endsWithTest } from "../support/ends-with-test.ts";

export type Report = Readonly<Record<string, unknown>>;

export interface ReportingProcess {
  /** The lines so far. A line that the process did not complete is left out. */
  readonly reports: readonly Report[];
  /** Resolves when the process has ended and all of its lines are read. */
  readonly ended: Promise<unknown>;
  /** Waits for so many lines that have this field. @throws AssertionError if the process has ended, and its last lines are read */
  reported(field: string, count: number): Promise<void>;
  kill(): void;
}

export function reportingProcess(program: string, args: readonly string[]): ReportingProcess {
  const child = endsWithTest(spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] }));
  const reports: Report[] = [];
  const lines = createInterface({ input: child.stdout });
  let isClosed = false;
  let wake = (): void => undefined;
  lines.on("line", (line) => {
    if (line.endsWith("}")) reports.push(JSON.parse(line) as Report);
    wake();
  });
  const ended = Promise.all([once(child, "close"), once(lines, "close")]).finally(() => {
    isClosed = true;
    wake();
  });
  return {
    reports,
    ended,
    async reported(field, count) {
      while (reports.filter((one) => one[field] !== undefined).length < count) {
        // An ended process may have lines in its pipe that are not read yet.
        assert(!isClosed, `the process ended without ${count} lines of ${field}`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    kill: () => void child.kill("SIGKILL"),
  };
}
