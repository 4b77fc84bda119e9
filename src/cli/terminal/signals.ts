import { hasCode } from "../../index.ts";
import { CliError } from "./cli-error.ts";

const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

type StopSignal = keyof typeof exitCodes;

/**
 * Run `work` with a signal that aborts at the first of these process signals; a second one ends the process at once.
 * A process signal sets the exit code. `when`: what was not done by then, for the message.
 */
export async function untilSignalled(
  work: (signal: AbortSignal) => Promise<void>,
  names: readonly StopSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"],
  when = "before the command was done",
): Promise<void> {
  const stop = new AbortController();
  const onSignal = (name: StopSignal): void => {
    process.exitCode = exitCodes[name];
    stop.abort(new CliError("interrupted", `stopped by ${name} ${when}`));
  };
  for (const name of names) process.once(name, onSignal as NodeJS.SignalsListener);
  try {
    await work(stop.signal);
  } catch (error) {
    // The library and streams of Node report an aborted call; the error for the user names the process signal.
    const isAborted = hasCode(error, "aborted") || (error instanceof Error && error.name === "AbortError");
    throw isAborted && stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    for (const name of names) process.removeListener(name, onSignal as NodeJS.SignalsListener);
  }
}
