import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * What is loaded from here on need not be compiled again from the second start on. It is kept in the user's own folder:
 * Node's is one that all users of the machine may write to, and what stands there would be run.
 */
export function keepCompiled(): void {
  try {
    enableCompileCache(join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "perdure"));
  } catch {
    // A user without a home starts a little slower.
  }
}
