/** The parts of commands that serve HTTP until they are stopped. */
import { InvalidArgumentError } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { hasCode, type Sessions } from "../../index.ts";
import type { Listening, LogEntry, Server } from "../../server/index.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { CliError } from "../terminal/cli-error.ts";
import { jsonLine } from "../terminal/output.ts";

export interface ListenOptions {
  readonly port: number;
  readonly host: string;
}

export function port(text: string): number {
  const value = wholeNumber(text);
  if (value <= 65_535) return value;
  throw new InvalidArgumentError("Expected a port, 0 to 65535.");
}

export function isLoopback({ host }: Pick<ListenOptions, "host">): boolean {
  return /^(localhost|127(\.\d+){3}|::1)$/i.test(host);
}

/**
 * Whether there is a key; without one, only the loopback is served.
 * @throws CliError if the address is not a loopback address and there is no key
 */
export async function guardReach(sessions: Sessions, options: Pick<ListenOptions, "host">): Promise<boolean> {
  const hasKey = await knowsKeys(sessions);
  if (hasKey || isLoopback(options)) return hasKey;
  throw new CliError(
    "usage",
    `--host is ${options.host}, and the store has no key; use a loopback address, or create a key with "perdure keys create --name operator"`,
  );
}

/** A store that is away, where there is a fallback, may hold keys. */
async function knowsKeys(sessions: Sessions): Promise<boolean> {
  try {
    return (await Array.fromAsync(sessions.keys.each())).length > 0;
  } catch (error) {
    if (hasCode(error, "store_unavailable")) return true;
    throw error;
  }
}

/** Listen until it is closed. @throws CliError where the port cannot be had */
export async function listenOn(server: Server | Promise<Server>, options: ListenOptions): Promise<Listening> {
  const { listen } = await import("../../server/index.ts");
  try {
    return await listen(server, options);
  } catch (error) {
    throw portError(error, options) ?? error;
  }
}

/** A port that cannot be had is the caller's to choose. */
function portError(cause: unknown, { port, host }: ListenOptions): CliError | undefined {
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "is in use",
    EACCES: "is not yours to use",
    EADDRNOTAVAIL: "is no address of this machine",
    ENOTFOUND: "is no address that is known",
  };
  const reason = reasons[code];
  return reason === undefined
    ? undefined
    : new CliError("usage", `port ${port} of ${host} ${reason}; choose another with --port or --host`);
}

/** One line of the log on stderr, for programs. */
export function writeLog(
  { error, ...entry }: Omit<LogEntry, "event"> & { readonly event: string },
  { quiet = false }: { readonly quiet?: boolean },
): void {
  if (quiet && entry.level === "info") return;
  const took = defined({ ms: entry.ms === undefined ? undefined : Math.round(entry.ms * 100) / 100 });
  const cause = error instanceof Error ? { error: error.message, stack: error.stack } : {};
  process.stderr.write(`${jsonLine({ time: new Date().toISOString(), ...entry, ...took, ...cause })}\n`);
}

/** Resolves when it is time to stop. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
