import { hasCode } from "../../index.ts";
import { CliError } from "./cli-error.ts";

const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;

type StopSignal = keyof typeof exitCodes;

/**
 * Run `work`, which stops in good order at the first of these signals; a second one ends the process where it stands.
 * A signal decides what the process exits with.
 */
export async function untilSignalled(
  work: (signal: AbortSignal) => Promise<void>,
  names: readonly StopSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"],
): Promise<void> {
  const stop = new AbortController();
  const onSignal = (name: StopSignal): void => {
    process.exitCode = exitCodes[name];
    stop.abort(new CliError("interrupted", `stopped by ${name} before anything was asked`));
  };
  for (const name of names) process.once(name, onSignal as NodeJS.SignalsListener);
  try {
    await work(stop.signal);
  } catch (error) {
    // The library says that its caller's signal aborted the question; the user sent that signal and reads its name.
    throw hasCode(error, "aborted") && stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    for (const name of names) process.removeListener(name, onSignal as NodeJS.SignalsListener);
  }
}
