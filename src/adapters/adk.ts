/**
 * Google's Agent Development Kit: a session service whose sessions are those of Perdure. The program brings the package `@google/adk`,
 * which is loaded at the first append.
 *
 * @module perdure/adk
 */
import { parseLifetime } from "../domain/values/duration.ts";
import { invalidArgument, parseFunction } from "../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { Sessions, type Lifetime } from "../index.ts";
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
  /**
   * The id of the session with an address, such as one that another framework has begun. A session of another user than `userId` is not
   * found.
   * @default `adk/APP/USER/SESSION`; where there is none, the session of the user `userId` with the id `sessionId`
   */
  readonly sessionOf?: (address: {
    readonly appName: string;
    readonly userId: string;
    readonly sessionId: string;
  }) => string;
}

const optionNames: OptionNames<AdkSessionsOptions> = { ttl: true, onConflict: true, sessionOf: true };
const onConflicts: readonly string[] = ["fail", "reload"];

/**
 * A session service: `new Runner({ appName, agent, sessionService: adkSessions(sessions) })`. A session is the Perdure session
 * `adk/APP/USER/SESSION`; its contents are turns, and what is stored under `app:` and `user:` are documents.
 * @throws SessionError `argument_invalid`, `duration_invalid`
 */
export function adkSessions(sessions: Sessions, options: AdkSessionsOptions = {}): BaseSessionService {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  guardNames(options, "options", optionNames);
  const { ttl, onConflict = "fail", sessionOf } = options;
  if (ttl !== undefined) parseLifetime(ttl, "ttl");
  if (!onConflicts.includes(onConflict))
    throw invalidArgument("onConflict", onConflict, { expected: "one_of", known: onConflicts });
  if (sessionOf !== undefined) parseFunction(sessionOf, "sessionOf");
  const service: unknown = new AdkSessions(sessions, { ttl, onConflict, sessionOf });
  return service as BaseSessionService;
}
