/**
 * Google's Agent Development Kit: a session service whose sessions are those of Perdure. The program brings the package `@google/adk`,
 * which is loaded at the first append.
 *
 * @module perdure/adk
 */
import { parseLifetime } from "../domain/values/duration.ts";
import { invalidArgument } from "../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import type { Lifetime, Sessions } from "../index.ts";
import type { BaseSessionService } from "./adk/package-adk.ts";
import { AdkSessions } from "./adk/session-service.ts";

/** Options of a session service. */
export interface AdkSessionsOptions {
  /** The time to live of new sessions after their last event. @default that of the user, or `openSessions` */
  readonly ttl?: Lifetime;
  /**
   * An append to an object whose session has other events by now: `fail` with `conflict`, or `reload` the object and append to what is
   * stored.
   * @default "fail"
   */
  readonly onConflict?: "fail" | "reload";
}

const optionNames: OptionNames<AdkSessionsOptions> = { ttl: true, onConflict: true };
const onConflicts: readonly string[] = ["fail", "reload"];

/**
 * A session service: `new Runner({ appName, agent, sessionService: adkSessions(sessions) })`. A session is the Perdure session
 * `adk/APP/USER/SESSION`; what is stored under `app:` and `user:` are documents.
 * @throws SessionError `argument_invalid`, `duration_invalid`
 */
export function adkSessions(sessions: Sessions, options: AdkSessionsOptions = {}): BaseSessionService {
  guardNames(options, "options", optionNames);
  const { ttl, onConflict = "fail" } = options;
  if (ttl !== undefined) parseLifetime(ttl, "ttl");
  if (!onConflicts.includes(onConflict))
    throw invalidArgument("onConflict", onConflict, { expected: "one_of", known: onConflicts });
  const service: unknown = new AdkSessions(sessions, { ttl, onConflict });
  return service as BaseSessionService;
}
