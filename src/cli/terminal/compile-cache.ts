import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/**
 * What is loaded from here on need not be compiled again from the second start on. It is kept in the user's own folder:
 * Node's is one that all users of the machine may write to, and what stands there would be run.
 */
export function keepCompiled(): void {
  try {
    const { XDG_CACHE_HOME: named = "" } = process.env;
    // What is empty or relative counts for nothing, says the standard: it would be a folder of wherever the user stands.
    enableCompileCache(join(isAbsolute(named) ? named : join(homedir(), ".cache"), "perdure"));
  } catch {
    // A user without a home starts a little slower.
  }
}
