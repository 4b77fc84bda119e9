/**
 * Genkit: a store of the sessions of its agents. The program brings the package `genkit`, of which only an error is ever loaded.
 *
 * @module perdure/genkit
 */
import { parseLifetime } from "../domain/values/duration.ts";
import { invalidArgument, parseFunction } from "../domain/values/invalid-argument.ts";
import { guardNames, type OptionNames } from "../domain/values/option-names.ts";
import { Sessions } from "../index.ts";
import { GenkitStore, type GenkitStoreOptions } from "./genkit/store.ts";

export { GenkitStore, type GenkitStoreOptions } from "./genkit/store.ts";
export type { GenkitContext, GenkitSnapshot, GenkitSnapshotInput, GenkitState } from "./genkit/package-genkit.ts";

const optionNames: OptionNames<GenkitStoreOptions> = {
  user: true,
  ttl: true,
  rejectBranchingSessions: true,
  sessionOf: true,
};

/**
 * A store of sessions: `ai.defineAgent({ name, model, store: genkitStore(sessions) })`. A session of genkit is the Perdure session
 * `genkit/SESSION`, and the messages of its newest snapshot are turns.
 * @throws SessionError `argument_invalid`, `duration_invalid`
 */
export function genkitStore<S = unknown>(sessions: Sessions, options: GenkitStoreOptions = {}): GenkitStore<S> {
  if (!(sessions instanceof Sessions)) throw invalidArgument("sessions", sessions, { expected: "sessions" });
  guardNames(options, "options", optionNames);
  if (options.user !== undefined) parseFunction(options.user, "user");
  if (options.sessionOf !== undefined) parseFunction(options.sessionOf, "sessionOf");
  if (options.ttl !== undefined) parseLifetime(options.ttl, "ttl");
  return new GenkitStore<S>(sessions, options);
}
