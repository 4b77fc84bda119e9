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
  /** Waits for so many lines that have this field. */
  reported(field: string, count: number): Promise<void>;
  kill(): void;
}

export function reportingProcess(program: string, args: readonly string[]): ReportingProcess {
  const child = endsWithTest(spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "inherit"] }));
  const reports: Report[] = [];
  const lines = createInterface({ input: child.stdout });
  let wake = (): void => undefined;
  lines.on("line", (line) => {
    if (line.endsWith("}")) reports.push(JSON.parse(line) as Report);
    wake();
  });
  return {
    reports,
    ended: Promise.all([once(child, "close"), once(lines, "close")]),
    async reported(field, count) {
      while (reports.filter((one) => one[field] !== undefined).length < count) {
        assert(child.exitCode === null && child.signalCode === null, "the process has ended");
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    kill: () => void child.kill("SIGKILL"),
  };
}
