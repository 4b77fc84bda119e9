import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/**
 * Cache the compiled code of all modules that load after this call. The cache is in the user's own folder: Node's default
 * is a folder that every user of the machine may write to, and Node runs the code it finds there.
 */
export function keepCompiled(): void {
  try {
    const { XDG_CACHE_HOME: named = "" } = process.env;
    // The XDG standard ignores an empty or relative path: it would name a folder below the working directory.
    enableCompileCache(join(isAbsolute(named) ? named : join(homedir(), ".cache"), "perdure"));
  } catch {
    // Without a home directory there is no cache, and the start is slower.
  }
}
