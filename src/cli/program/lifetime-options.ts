/** The options of a command that serves agents: how long sessions live, are kept, and stay handed off. */
import { InvalidArgumentError, type Command } from "commander";
import { defined } from "../../domain/values/defined.ts";
import { parseDuration, parseLifetime, type Duration, type Lifetime } from "../../domain/values/duration.ts";
import type { OpenOptions } from "../../index.ts";
import { handoffTtlOfEnvironment } from "./environment.ts";

export interface LifetimeOptions {
  readonly ttl?: Lifetime;
  readonly retention?: Duration;
}

export function withLifetimeOptions(command: Command): Command {
  return command
    .option(
      "--ttl <duration>",
      "how long a new session lives after its last activity, such as 30d (default: the agent's, else never ends)",
      lifetime,
    )
    .option(
      "--retention <duration>",
      "remove sessions this long after they expired or ended, such as 90d, if no policy applies (default: never)",
      duration,
    );
}

/** The options of `openSessions` that options and environment name. @throws CliError for a wrong `DEFAULT_SESSION_TTL` */
export function lifetimesOf({ ttl, retention }: LifetimeOptions): Pick<OpenOptions, "ttl" | "sweep" | "handoffTtl"> {
  const sweep = retention === undefined ? undefined : { retention };
  return defined({ ttl, sweep, handoffTtl: handoffTtlOfEnvironment() });
}

/** Reads an option that is a time to live. @throws InvalidArgumentError */
export function lifetime(text: string): Lifetime {
  return checked(text, parseLifetime, 'Expected a duration such as 30d, or "never".');
}

function duration(text: string): Duration {
  return checked(text, parseDuration, "Expected a duration such as 90d.");
}

function checked(text: string, parse: (value: string, name: string) => number, expected: string): string {
  try {
    parse(text, "duration");
  } catch {
    throw new InvalidArgumentError(expected);
  }
  return text;
}
