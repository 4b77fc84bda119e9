/** The frameworks that take part in the tests between frameworks. */
import { globSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { leftOut } from "./install.ts";
import type { Participant } from "./participant.ts";

/** The modules that export participants: Perdure's, and those of the frameworks. */
export const participantModules: readonly string[] = [
  join(import.meta.dirname, "perdure-participant.ts"),
  ...globSync("*/between.ts", { cwd: import.meta.dirname })
    .toSorted()
    .map((path) => join(import.meta.dirname, path)),
];

/** The option of tests that need the packages of all of them. */
export const skip: string | false =
  participantModules
    .slice(1)
    .map((module) => leftOut(basename(dirname(module))))
    .find((reason) => reason !== false) ?? false;

/** The participants of a module, once their packages can be found. */
export async function participantsOf(module: string): Promise<readonly Participant[]> {
  const resolve = join(dirname(module), "resolve.ts");
  // In the folder of all frameworks it is the function for them.
  if (dirname(module) !== import.meta.dirname) await import(pathToFileURL(resolve).href);
  const { participant, participants = [participant] } = (await import(pathToFileURL(module).href)) as {
    readonly participant: Participant;
    readonly participants?: readonly Participant[];
  };
  return participants;
}
