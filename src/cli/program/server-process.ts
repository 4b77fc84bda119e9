/** The parts of commands that serve HTTP until they are stopped. */
import { InvalidArgumentError } from "commander";
import { hasCode, type KeyRight, type Sessions } from "../../index.ts";
import type { ConfiguredKey, ListenedServer, Listening } from "../../server/index.ts";
import { wholeNumber } from "../terminal/arguments.ts";
import { variable } from "./environment.ts";
import { CliError } from "../terminal/cli-error.ts";

export const deviceConversationsOption = [
  "--device-conversations",
  "a device of a user reaches all sessions of the user, not the current one alone",
] as const;

export interface ListenOptions {
  readonly port: number;
  readonly host: string;
  /** Seconds in which the server is not ready before its port closes. @default 0 */
  readonly drain?: number;
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
 * The keys of `PERDURE_SERVER_KEYS`: entries of a right, a colon and a secret, with commas or blanks between them.
 * @throws CliError without the secret
 */
export function configuredKeys(): readonly ConfiguredKey[] {
  const entries = (variable("PERDURE_SERVER_KEYS") ?? "").split(/[\s,]+/).filter((entry) => entry !== "");
  return entries.map((entry, index) => {
    const [, right, token] = /^(read|write|admin):(.{32,200})$/.exec(entry) ?? [];
    if (token !== undefined) return { token, right: right as KeyRight, name: "PERDURE_SERVER_KEYS" };
    throw new CliError(
      "usage",
      `PERDURE_SERVER_KEYS: entry ${index + 1} is no key; set it to RIGHT:SECRET, with the right read, write or admin and a random secret of 32 to 200 characters, such as "admin:$(openssl rand -hex 32)"`,
    );
  });
}

/**
 * Whether there is a key, configured or in the store; without one, only a loopback address may be served.
 * @throws CliError if the address is not a loopback address and there is no key
 */
export async function guardReach(
  sessions: Sessions,
  keys: readonly ConfiguredKey[],
  options: Pick<ListenOptions, "host">,
): Promise<boolean> {
  const hasKey = keys.length > 0 || (await knowsKeys(sessions));
  if (hasKey || isLoopback(options)) return hasKey;
  throw new CliError(
    "usage",
    `--host is ${options.host}, and the store has no key that is valid; use a loopback address, create a key with "perdure keys create --name operator", or set PERDURE_SERVER_KEYS`,
  );
}

/** While the store is unreachable and a fallback serves, assume that the store has keys. */
async function knowsKeys(sessions: Sessions): Promise<boolean> {
  try {
    return (await Array.fromAsync(sessions.keys.each())).some(({ expired }) => !expired);
  } catch (error) {
    if (hasCode(error, "store_unavailable")) return true;
    throw error;
  }
}

/** Start to listen. @throws CliError if the address or port cannot be used */
export async function listenOn(
  server: ListenedServer | Promise<ListenedServer>,
  options: ListenOptions,
): Promise<Listening> {
  const { listen } = await import("../../server/index.ts");
  try {
    const { port, host, drain = 0 } = options;
    return await listen(server, { port, host, drainMs: drain * 1000 });
  } catch (error) {
    throw portError(error, options) ?? error;
  }
}

/** The error of a listener as wrong usage; undefined for other errors. */
function portError(cause: unknown, { port, host }: ListenOptions): CliError | undefined {
  const code = (cause as NodeJS.ErrnoException).code ?? "";
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "the port is in use",
    EACCES: "permission denied",
    EADDRNOTAVAIL: "this machine does not have the address",
    ENOTFOUND: "the address is unknown",
  };
  const reason = reasons[code];
  return reason === undefined
    ? undefined
    : new CliError(
        "usage",
        `cannot listen on port ${port} of ${host}: ${reason}; choose another with --port or --host`,
      );
}

/** Resolves when the signal aborts. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
